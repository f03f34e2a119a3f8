"""Lock, ranges, conda environment, workflows and licences agree with each other."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import companion
from tests.book.lock import LOCK, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = [Requirement(line) for line in LOCK.read_text(encoding="utf-8").splitlines()]
HERE = {canonicalize_name(p.name): p for p in PINS if p.marker is None or p.marker.evaluate({"python_version": "3.11"})}


def wanted() -> list[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


@pytest.mark.parametrize("requirement", wanted(), ids=str)
def test_the_lock_fits_the_ranges(requirement: Requirement) -> None:
    pin = HERE[canonicalize_name(requirement.name)]
    (specifier,) = pin.specifier
    assert specifier.operator == "==", f"{pin} is not exact"
    assert requirement.specifier.contains(specifier.version), f"{pin} does not fit {requirement}"


def test_every_pin_is_exact_and_none_is_of_cuda() -> None:
    for pin in PINS:
        assert [s.operator for s in pin.specifier] == ["=="], str(pin)
        assert not re.match(r"nvidia|cuda|triton", pin.name), str(pin)


def test_conda_installs_the_lock_and_the_package() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, packages = environment["dependencies"]
    assert (python, pip) == ("python=3.11", "pip")
    assert "--requirement requirements.lock" in packages["pip"]
    assert "--editable ." in packages["pip"]
    assert PROJECT["requires-python"] == ">=3.11"


def test_workflows_use_the_commands_of_the_makefile() -> None:
    """On Windows, where there is no make, the workflow runs what `make test` runs, in its order."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    windows = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))["jobs"]["windows"]
    run = [step["run"] for step in windows["steps"] if "run" in step]
    recipe = re.search(r"^test:.*\n((?:\t.+\n)+)", makefile, re.M)[1]
    recipe = recipe.replace("$(BIN)/", "").replace("$(RUNNER)", "python -m tests.lessons")
    recipe = recipe.replace("$(MAKE) book", "python -m tests.book.build")
    commands = [line.strip() for line in recipe.splitlines()]
    assert [command for command in run if command in commands] == commands


def test_version_and_licence_are_said_once_and_the_same() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert companion.__version__ == PROJECT["version"] == citation["version"]
    assert PROJECT["license"] == citation["license"] == "MIT"
    assert f"## {companion.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_links_of_the_readme_point_to_files() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            assert target.startswith("http") or (ROOT / target).exists(), f"{name} points to {target}"
