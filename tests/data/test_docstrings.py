"""Docstrings and their summaries: what stands where, and no summary in two splits."""

from companion.data.docstrings import _documented, _split_of, docstring_paragraphs, docstrings
from tests.conftest import rejects

SOURCE = '''
class Point:
    """A place.

    It has two
    numbers.
    """

    def _moved(self, by, to=None):
        """Move it
        elsewhere."""

    def silent(self): ...
'''


def test_head_and_docstring_of_a_small_source() -> None:
    found = list(_documented(SOURCE))
    assert found == [("Point", "A place.\n\nIt has two\nnumbers."), ("_moved(by, to)", "Move it\nelsewhere.")]


def test_no_summary_is_in_two_splits_and_lengths_are_bounded() -> None:
    parts = [docstrings(split, described=False) for split in ("train", "valid", "test")]
    texts = [{target.lower() for target in part.targets} for part in parts]
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]
    assert sum(map(len, parts)) == len(docstrings("all", described=False)) > 2_500
    assert min(map(len, parts)) > 300
    for text, summary in docstrings("all", described=False):
        assert 10 <= len(summary) <= 80 and len(text) <= 240


def test_a_modules_split_follows_from_its_name_and_described_ones_have_more_than_a_head() -> None:
    assert {_split_of(f"module{i}") for i in range(40)} == {"train", "valid", "test"}
    assert _split_of("json.decoder") == _split_of("json.decoder")
    part = docstrings("test", limit=100)
    assert len(part) == 100 and part.inputs == docstrings("test").inputs[:100]
    assert all(not text.endswith((".", ")")) or ". " in text for text in part.inputs)
    assert "PSF" in part.license and "Python" in part.source


def test_paragraphs_are_plain_text_of_their_split_alone() -> None:
    """Each once, summaries among them; what sums up a test's function stands in none of the training text's."""
    read = docstring_paragraphs("train")
    assert len(set(read)) == len(read) > 5_000 and all(10 <= len(one) <= 240 and "\n" not in one for one in read)
    assert docstring_paragraphs("train", limit=30) == read[:30]
    assert set(docstrings("train", described=False).targets) <= set(read)
    assert not set(docstrings("test", described=False).targets) & set(read)


def test_bad_input() -> None:
    with rejects("split"):
        docstring_paragraphs("all")
    with rejects("limit"):
        docstring_paragraphs("train", limit=0)
    with rejects("split"):
        docstrings("tests")
    with rejects("limit"):
        docstrings("test", limit=0)
