"""Interface texts in English and French: the messages of programs, from the gettext catalogues of their translators."""

import gettext
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Literal

from companion.data.carriers import MissingCarrier, carrier_folder, check_digest
from companion.data.sets import PairSet
from companion.data.splits import split_indices
from companion.validate import Count, checked

# The import name of each carrier, the distribution, its catalogues, and the sha256 of all of them together.
_CARRIERS = (
    (
        "jupyterlab_language_pack_fr_FR", "jupyterlab-language-pack-fr-FR", "locale/fr_FR/LC_MESSAGES/*.mo",
        "3f81b2e463d590cd19aedbd65ccfda695a6f0a03b74d458a22b7da415243a31f",
    ),
    ("sphinx", "Sphinx", "locale/fr/LC_MESSAGES/sphinx.mo", "3819d7e8438429b4d9d7978821976eff89846a5f8679037cccf612aed4844ed7"),
)  # fmt: skip
_LONGEST = 80  # characters of either text


@checked
def catalogues(split: Literal["train", "valid", "test", "all"] = "train", *, limit: Count | None = None) -> PairSet:
    """About 3,300 messages of JupyterLab and Sphinx with their French translations: ``Main Menu`` → ``Menu principal``.

    80 % are for training, 10 % for validation, 10 % for the test. Messages that differ in case, blanks, dots or marks alone
    fall into one split, so no English text stands in two. Left out are texts of over 80 characters, of more than one line,
    and those that are not translated.

    Args:
        split: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        limit: at most so many.

    Raises:
        ValueError: an unknown split or a limit below 1.
        MissingCarrier: a carrier is not installed, or has no catalogues.
        CorruptFile: the catalogues are not the known ones.
    """
    pairs = _pairs()
    chosen = [pairs[i] for i in split_indices([_key(english) for english, _ in pairs], split, limit=limit)]
    return PairSet(
        name="catalogues",
        split=split,
        license="BSD 3-Clause (JupyterLab), BSD 2-Clause (Sphinx)",
        source="French catalogues of jupyterlab-language-pack-fr-FR and Sphinx, LC_MESSAGES/*.mo",
        inputs=tuple(english for english, _ in chosen),
        targets=tuple(french for _, french in chosen),
    )


def _key(english: str) -> str:
    return "".join(c for c in english.lower() if c.isalnum()) or english


@lru_cache(maxsize=1)
def _pairs() -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for package, distribution, pattern, sha256 in _CARRIERS:
        for file in _files(package, distribution, pattern, sha256):
            with file.open("rb") as stream:
                messages = gettext.GNUTranslations(stream)._catalog
            for message, french in messages.items():
                english = message[0] if isinstance(message, tuple) else message  # several plural forms: the first
                english = english.rpartition("\x04")[2]  # what stands before it is a context for the translator
                english, french = english.strip(), french.strip()
                longest = max(len(english), len(french))
                if english and french and english != french and longest <= _LONGEST and "\n" not in english + french:
                    found.setdefault(english, french)
    return tuple(sorted(found.items()))


def _files(package: str, distribution: str, pattern: str, sha256: str) -> list[Path]:
    files = sorted(carrier_folder(package, distribution=distribution, extra="data").glob(pattern))
    if not files:
        raise MissingCarrier(f"{distribution!r} is installed but has no {pattern}; install the locked version")
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    check_digest(f"{distribution}'s catalogues", total.hexdigest(), sha256, distribution)
    return files
