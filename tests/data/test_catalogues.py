"""Interface texts: pairs that belong together, and no English message in two splits."""

import pytest

from companion.data import catalogues as module
from companion.data.carriers import CorruptFile, MissingCarrier
from companion.data.catalogues import catalogues
from tests.conftest import rejects

SPLITS = ("train", "valid", "test")


def test_known_pairs() -> None:
    everything = dict(catalogues("all"))
    assert everything["Main Menu"] == "Menu principal"
    assert everything["version of project"] == "version du projet"
    assert 3_000 < len(everything) < 3_600


def test_no_message_is_in_two_splits_whatever_its_case_and_marks() -> None:
    parts = [catalogues(split) for split in SPLITS]
    keys = [{"".join(filter(str.isalnum, text.lower())) or text for text in part.inputs} for part in parts]
    assert not keys[0] & keys[1] and not keys[0] & keys[2] and not keys[1] & keys[2]
    assert sum(map(len, parts)) == len(catalogues("all"))
    assert len(parts[0]) > 7 * len(parts[2]) > 2_000


def test_texts_are_single_lines_that_are_translated() -> None:
    for english, french in catalogues("all"):
        assert english and french and english != french and "\n" not in english + french and "\x04" not in english
        assert max(len(english), len(french)) <= 80 and english == english.strip()


def test_licence_source_limit() -> None:
    few = catalogues("test", limit=5)
    assert few.inputs == catalogues("test").inputs[:5]
    assert "BSD" in few.license and "Sphinx" in few.source


def test_bad_input_missing_and_changed_carriers(monkeypatch: pytest.MonkeyPatch) -> None:
    with rejects("split"):
        catalogues("tests")
    for changed, error in ((("sphinx", "Sphinx", "locale/fr/*/none.mo", "0"), MissingCarrier),
                           (("sphinx", "Sphinx", "locale/fr/*/sphinx.mo", "0"), CorruptFile)):  # fmt: skip
        module._pairs.cache_clear()
        monkeypatch.setattr(module, "_CARRIERS", (changed,))
        with pytest.raises(error, match="Sphinx"):
            catalogues("test")
    module._pairs.cache_clear()
