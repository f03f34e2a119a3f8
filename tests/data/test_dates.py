"""The written dates: they mean what they say, and no day is in two splits."""

import builtins
import datetime

import pytest
from babel.dates import format_date
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.data.carriers import MissingCarrier
from companion.data.dates import _WAYS, LANGUAGES, DateSet, dates, write_date
from tests.conftest import rejects


@pytest.fixture(scope="module")
def everything() -> dict[str, DateSet]:
    return {split: dates(split) for split in ("train", "valid", "test")}


def test_every_day_is_in_exactly_one_split(everything: dict[str, DateSet]) -> None:
    days = [day for part in everything.values() for day in part.targets]
    assert len(days) == len(set(days)) == 36_525
    assert min(days) == "1950-01-01"
    assert max(days) == "2049-12-31"
    assert [len(part) for part in everything.values()] == [29_220, 3_653, 3_652]


def test_no_text_means_two_days(everything: dict[str, DateSet]) -> None:
    texts = [text for part in everything.values() for text in part.inputs]
    assert len(set(texts)) == len(texts)


def test_the_marks_find_year_and_day_in_every_text(everything: dict[str, DateSet]) -> None:
    part = everything["test"]
    for text, marks, target in zip(part.inputs, part.marks, part.targets, strict=True):
        assert len(text) == len(marks)
        found = {f: "".join(c for c, m in zip(text, marks, strict=True) if m == f) for f in "ymd"}
        assert found["y"] == target[:4]
        assert int(found["d"]) == int(target[8:])
        if found["m"].isdigit():
            assert int(found["m"]) == int(target[5:7])
    assert set(part.languages) == set(LANGUAGES)


@settings(max_examples=40, deadline=None)
@given(st.dates(datetime.date(1950, 1, 1), datetime.date(2049, 12, 31)), st.sampled_from(LANGUAGES))
def test_a_date_is_written_as_babel_writes_it(day: datetime.date, language: str) -> None:
    for pattern in _WAYS[language]:
        assert write_date(day, language, pattern)[0] == format_date(day, pattern, locale=language)


def test_the_same_on_every_call_and_a_limit_takes_the_first(everything: dict[str, DateSet]) -> None:
    few = dates("train", limit=50)
    assert few == dates("train", limit=50)
    assert few.inputs == everything["train"].inputs[:50]
    assert few.marks == everything["train"].marks[:50]


def test_licence_source_and_a_short_repr() -> None:
    part = dates("valid", limit=3)
    assert "CLDR" in part.license
    assert "Babel" in part.source
    assert len(repr(part)) < 200
    assert [pair[1] for pair in part] == list(part.targets)


def test_bad_input() -> None:
    with rejects("split"):
        dates("training")
    with rejects("limit"):
        dates("test", limit=0)
    with rejects("language"):
        write_date(datetime.date(2000, 1, 1), "xx")
    with rejects("field"):
        write_date(datetime.date(2000, 1, 1), "en", "w y")
    with rejects("day"):
        write_date("2000-01-01", "en")


def test_a_missing_babel_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_babel(name: str, *args: object) -> object:
        if name.startswith("babel"):
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_babel)
    with rejects("pip install", MissingCarrier):
        dates("test", limit=1)
