"""Every task as text: prefixes, targets in the wanted language, sentinels as the last numbers, digits apart."""

import datetime

import pytest

from companion.data.dates import dates, write_date
from companion.data.number_words import NUMBER_LANGUAGES, write_number
from companion.text.t5.tasks import NAMES, SENTINELS, TASKS, Example, encoded, examples, plain_texts, vocabulary
from tests.conftest import rejects


@pytest.fixture(scope="module")
def tokens():
    return vocabulary(["the menu of the menus 1111 1111 1111", "le menu des menus"], 256 + 2 + SENTINELS + 12)


def test_a_source_is_prefix_and_text() -> None:
    assert Example("number to French: ", "71", "soixante et onze").source == "number to French: 71"
    assert examples("catalogue", "test", limit=3)[0].source.startswith("English to French: ")


def test_numbers_and_dates_are_written_in_the_language_of_the_prefix() -> None:
    code = {name: language for language, name in NAMES.items()}
    for e in examples("numbers", "test", limit=30):
        assert e.target == write_number(int(e.text), code[e.prefix.split()[-1].rstrip(":")])
    iso = dict(dates("test", limit=30))
    for e in examples("dates", "test", limit=30):
        day = datetime.date.fromisoformat(iso[e.text])
        assert e.target == write_date(day, code[e.prefix.split()[-1].rstrip(":")])[0]


@pytest.mark.parametrize("task", ["numbers", "dates"])
def test_into_all_languages_each_input_stands_four_times(task: str) -> None:
    found, one = examples(task, "valid", limit=6, all_languages=True), examples(task, "valid", limit=6)
    assert len(found) == 4 * len(one) == 24 and set(one) < set(found)
    assert [e.prefix for e in found[:4]] == [e.prefix for e in found[4:8]]
    assert len({e.target for e in found[:4]}) >= 3, "one day may be written alike in two languages"


@pytest.mark.slow
def test_summaries_of_the_test_have_a_description() -> None:
    assert all(". " in e.text for e in examples("summaries", "test", limit=30))
    assert not all(". " in e.text for e in examples("summaries", "train", limit=200))


def test_plain_texts_hold_each_side_of_a_pair_by_itself() -> None:
    """Words without their digits, dates and messages of both sides each as a line, and no prefix."""
    lines = plain_texts(limit=12)
    assert tuple(lines) == TASKS and len(lines["numbers"]) == 48 and len(lines["summaries"]) == 12
    pairs = {task: examples(task, limit=12, all_languages=True) for task in TASKS}
    assert not any(c.isdigit() for line in lines["numbers"] for c in line)
    for task in ("dates", "catalogue"):
        assert set(lines[task]) == {side for e in pairs[task] for side in (e.text, e.target)}
    every = [line for some in lines.values() for line in some]
    assert not any(e.prefix in line or e.text + e.target in line for line in every for e in pairs["dates"])


def test_sentinels_are_the_last_numbers_and_count_down(tokens) -> None:
    """As `corrupt` wants them: sentinel i is the last number less i."""
    last = tokens.vocab_size - 1
    assert [tokens.special[f"<{i}>"] for i in range(SENTINELS)] == [last - i for i in range(SENTINELS)]
    assert tokens.special["</s>"] == tokens.special["<pad>"] + 1 == last - SENTINELS


def test_digits_are_never_joined(tokens) -> None:
    assert [tokens.decode([i]) for i in tokens.encode("1111")] == ["1"] * 4
    assert len(tokens.encode(" menu")) == 1


def test_encoded_rows_end_with_the_end_token_and_are_padded_behind(tokens) -> None:
    rows, pad, end = encoded(["a", "the menus 12"], tokens), tokens.special["<pad>"], tokens.special["</s>"]
    assert rows[0].tolist() == [*tokens.encode("a"), end] + [pad] * (rows.shape[1] - 2)
    assert rows[1, -1] == end and tokens.decode(rows[1, :-1]) == "the menus 12"
    assert tokens.decode(encoded(["a </s> <0>"], tokens)[0, :-1]) == "a </s> <0>", "typed names are text"
    assert end not in encoded(["a </s>"], tokens)[0, :-1]


def test_bad_input() -> None:
    with rejects("task"):
        examples("poems")
    with rejects("split"):
        examples("numbers", "tests")
    assert set(TASKS) == {"numbers", "dates", "catalogue", "summaries"} and tuple(NAMES) == NUMBER_LANGUAGES
