"""Numbers in words: said as they are said, and no number in two splits."""

import builtins

import pytest

from companion.data.carriers import MissingCarrier
from companion.data.number_words import NUMBER_LANGUAGES, number_words, write_number
from tests.conftest import rejects


def test_known_numbers() -> None:
    known = {
        "en": "three thousand, two hundred and seventy-one",
        "de": "dreitausendzweihunderteinundsiebzig",
        "fr": "trois mille deux cent soixante et onze",
        "es": "tres mil doscientos setenta y uno",
    }
    assert {language: write_number(3271, language) for language in NUMBER_LANGUAGES} == known


def test_every_number_is_in_exactly_one_split() -> None:
    parts = [number_words(split) for split in ("train", "valid", "test")]
    assert [len(part) for part in parts] == [8_000, 1_000, 1_000]
    assert {int(text) for part in parts for text in part.inputs} == set(range(10_000))


def test_each_target_is_its_inputs_in_its_language_and_the_languages_have_equal_shares() -> None:
    part = number_words("test")
    for digits, words, language in zip(part.inputs[:80], part.targets, part.languages, strict=False):
        assert words == write_number(int(digits), language)
    assert all(200 < part.languages.count(language) < 300 for language in NUMBER_LANGUAGES)


def test_the_same_on_every_call_and_a_limit_takes_the_first() -> None:
    few = number_words("valid", limit=20)
    assert few.inputs == number_words("valid", limit=30).inputs[:20] and few == number_words("valid", limit=20)
    assert "num2words" in few.source and "LGPL" in few.license and "20 pairs" in repr(few)


def test_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    with rejects("split"):
        number_words("tests")
    with rejects("language"):
        write_number(3, "it")
    with rejects("number"):
        write_number(-3, "en")

    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "num2words":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingCarrier, match=r"pip install .*num2words"):
        write_number(3, "en")
