"""Lock, ranges, conda environment, workflows and licences agree with each other."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import companion
from tests.book.lock import LOCK, ROOT
from tests.lessons import notebooks

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = [Requirement(line) for line in LOCK.read_text(encoding="utf-8").splitlines()]
PYTHONS = ("3.11", "3.12", "3.13")


def wanted() -> list[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def pinned(name: str, python: str) -> Requirement:
    """The line of the lock that a Python of this version installs."""
    about = {"python_version": python, "python_full_version": f"{python}.0"}
    (pin,) = (
        pin
        for pin in PINS
        if canonicalize_name(pin.name) == canonicalize_name(name) and (not pin.marker or pin.marker.evaluate(about))
    )
    return pin


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("requirement", wanted(), ids=str)
def test_the_lock_fits_the_ranges(requirement: Requirement, python: str) -> None:
    pin = pinned(requirement.name, python)
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


def recipe(target: str) -> list[str]:
    """What the Makefile runs for a target, its short names written out."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = re.search(rf"^{target}:.*\n((?:\t.+\n)+)", makefile, re.M)[1]
    for _ in range(2):  # a short name may stand for others
        for name, meaning in re.findall(r"^(\w+) := (.+)$", makefile, re.M):
            lines = lines.replace(f"$({name})", meaning)
    return [line.strip().replace(".venv/bin/", "") for line in lines.splitlines()]


def steps(workflow: str) -> dict[str, list[str]]:
    """The commands of each job."""
    jobs = yaml.safe_load((ROOT / f".github/workflows/{workflow}.yml").read_text(encoding="utf-8"))["jobs"]
    return {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}


def test_the_jobs_together_run_what_make_test_runs() -> None:
    assert recipe("test") == ["$(MAKE) test-units", "$(MAKE) test-lessons", "$(MAKE) test-book"]  # and lint before
    jobs = steps("test")
    assert jobs["lint"][0] == "make lint PYTHON=python"
    for part, only in (("units", ""), ("lessons", " ONLY=${{ matrix.chapter }}"), ("book", "")):
        assert jobs[part] == [f"make test-{part} PYTHON=python{only}"]
    assert (ROOT / ".ci/run").read_text(encoding="utf-8").rstrip().endswith("make test")


def test_each_python_is_promised_installed_and_proved() -> None:
    assert [f"Programming Language :: Python :: {version}" for version in PYTHONS] == [
        line for line in PROJECT["classifiers"] if ":: Python ::" in line
    ]
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))["jobs"]
    assert tuple(jobs["units"]["strategy"]["matrix"]["python"]) == PYTHONS
    others = {row["python"]: row["chapter"] for row in jobs["lessons"]["strategy"]["matrix"]["include"]}
    assert others == dict.fromkeys(PYTHONS[1:], "3_")


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make here")
def test_make_takes_the_newest_python_that_runs(tmp_path: Path) -> None:
    """A shim may exist and fail, and one may be too new: both are passed over, and without any the error names the versions."""
    for name, code in {"python3.13": "exit 127", "python3.12": "exit 0", "python3.11": "exit 0"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{code}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    for file in ("requirements.lock", "pyproject.toml"):
        (tmp_path / file).write_text("", encoding="utf-8")

    def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
        command = ["make", "--dry-run", ".venv/.installed", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | environment)

    assert "python3.12 -m venv" in make(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}").stdout
    missing = subprocess.run(
        ["make", ".venv/.installed", "PYTHON=false"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert missing.returncode == 2 and "Python 3.11, 3.12 or 3.13 is needed" in missing.stdout


def test_windows_where_there_is_no_make_runs_the_same_commands() -> None:
    jobs = steps("test")
    for part in ("units", "lessons", "book"):
        wanted = [line.replace("$(ONLY)", "${{ matrix.chapter }}") for line in recipe(f"test-{part}")]
        wanted = [*(recipe("book") if part == "book" else []), *wanted]
        assert jobs[f"windows-{part}"][2:] == wanted


def test_there_is_a_job_for_each_chapter() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))["jobs"]
    chapters = sorted({notebooks.name(path)[:4] for path in notebooks.lessons()})
    for job in ("lessons", "windows-lessons"):
        assert jobs[job]["strategy"]["matrix"]["chapter"] == chapters


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


def test_colab_installs_from_the_repository_that_the_package_names() -> None:
    assert f'COURSE = "{PROJECT["urls"]["Repository"]}"\n' in notebooks.COLAB


def test_what_the_package_imports_or_reads_is_installed_in_colab() -> None:
    """Every library that `companion` imports, and every one whose files it reads, is installed by the cell."""
    extras = re.search(r'extras = "([\w,]+)"', notebooks.COLAB)
    assert extras
    optional = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *(line for extra in extras[1].split(",") for line in optional[extra])]
    installed = {canonicalize_name(Requirement(line).name) for line in asked} | {"requests"}  # which is pooch's
    named, carried = set(), set()
    for path in (ROOT / "companion").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                named.add(node.module.split(".")[0])
            elif isinstance(node, ast.keyword) and node.arg == "distribution" and isinstance(node.value, ast.Constant):
                carried.add(canonicalize_name(node.value.value))
    homes = packages_distributions()
    foreign = named - set(sys.stdlib_module_names) - {"companion"}
    libraries = {canonicalize_name(homes[name][0]) for name in foreign if name in homes}
    assert len(libraries) > 15 and "codecarbon" in carried
    assert not (libraries | carried) - installed
