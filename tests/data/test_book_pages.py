"""The snapshot of the book: what is in it, that its splits share no page, and that a changed file is refused."""

import pytest

from companion.data import book_pages as module
from companion.data.book_pages import TEST, VALID, book_pages
from companion.data.carriers import CorruptFile


def test_what_is_in_it() -> None:
    pages = book_pages()
    assert (len(pages.passages), len(pages.questions)) == (778, 687)
    assert pages.license == "CC BY 4.0" and "778 passages" in repr(pages)
    assert len({passage.lesson for passage in pages.passages}) == 27
    lengths = sorted(len(passage.text.split()) for passage in pages.passages)
    assert lengths[0] >= 12 and lengths[len(lengths) // 2] in range(60, 100) and lengths[-1] < 230
    assert not any("$$" in p.text or "```" in p.text or "{glue" in p.text for p in pages.passages)
    assert pages.passages[340].place == "Decoding: from probabilities to a text § The same sentence, for ever"


def test_answers_stand_on_the_questions_page_and_the_splits_share_none() -> None:
    pages = book_pages()
    for question in pages.questions:
        assert question.beside and {pages.passages[i].lesson for i in question.beside} == {question.lesson}
    parts = {split: {q.lesson for q in book_pages(split).questions} for split in ("train", "valid", "test")}
    assert parts["test"] == set(TEST) and parts["valid"] == set(VALID)
    assert not parts["train"] & (parts["test"] | parts["valid"])
    assert sum(len(book_pages(split).questions) for split in parts) == len(pages.questions)
    assert {q.kind for q in book_pages("train").questions} == {"claim", "caption"}
    assert sum(q.kind == "asked" for q in book_pages("test").questions) == 44


def test_a_changed_file_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / "book_pages.json.gz"
    changed.write_bytes(module.FILE.read_bytes() + b"x")
    monkeypatch.setattr(module, "FILE", changed)
    book_pages.cache_clear()
    with pytest.raises(CorruptFile, match="sha256"):
        book_pages()
    book_pages.cache_clear()
    with pytest.raises(ValueError, match="split"):
        book_pages("dev")
