"""The shipped T5 of four tasks: right on what it has not seen, obedient to the prefix, better than a copy."""

import pytest
import torch

from companion.data.number_words import write_number
from companion.metrics.text_overlap import chrf
from companion.models.t5_tasks import SHARES, VOCAB_SIZE, Mixture, Pairs, build, load, tokenizer, write
from companion.text.t5.tasks import NAMES, SENTINELS, TASKS, Example, examples
from companion.weights import card
from tests.conftest import gen


@pytest.fixture(scope="module")
def model():
    return load()[0]


def test_its_sizes_are_its_tokens_and_its_cards() -> None:
    model, tokens = build(), tokenizer()
    assert tokens.vocab_size == model.config.vocab_size == VOCAB_SIZE
    assert model.config.pad_token == tokens.special["<pad>"] and tokens.special["<0>"] == VOCAB_SIZE - 1
    assert sum(p.numel() for p in model.parameters()) == card("t5_tasks").parameters < 1_200_000
    assert len([name for name in tokens.special if name[1:-1].isdigit()]) == SENTINELS


def test_no_two_digits_are_one_token() -> None:
    assert all(sum(byte in b"0123456789" for byte in token) <= 1 for token in tokenizer().vocab)


@pytest.mark.parametrize("task", ["numbers", "dates"])
def test_numbers_and_dates_are_right_letter_by_letter(model, task: str) -> None:
    some = examples(task, "test", limit=60)
    written = write(model, [e.source for e in some])
    assert sum(text == e.target for text, e in zip(written, some, strict=True)) >= 56


def test_the_prefix_chooses_the_language(model) -> None:
    """Of numbers of four digits; of two it has seen few, and it is often wrong."""
    wanted = {language: write_number(4096, language) for language in NAMES}
    assert write(model, [f"number to {NAMES[language]}: 4096" for language in wanted]) == [*wanted.values()]


def test_its_french_is_better_than_the_english(model) -> None:
    """Though not by much: the lesson tells that a dictionary is far better."""
    some = examples("catalogue", "test")
    wanted = [e.target for e in some]
    assert chrf(write(model, [e.source for e in some]), wanted) > 2 + chrf([e.text for e in some], wanted)


def test_a_row_is_answered_alike_alone_and_beside_longer_ones(model) -> None:
    short, long = "number to French: 7", "English to French: " + "Close the file and the menu of the kernel. " * 2
    assert write(model, [short, long])[0] == write(model, [short])[0]
    assert not model.training


def test_a_mixture_draws_each_kind_as_often_as_it_should() -> None:
    kinds = {name: lambda n, _, i=i: [torch.full((n,), i)] for i, name in enumerate(reversed(SHARES))}
    drawn = [Mixture(kinds, SHARES)(3, gen(i))[0].tolist() for i in range(1_000)]
    assert all(len(batch) == 3 and len(set(batch)) == 1 for batch in drawn)
    assert {*SHARES} == {*TASKS, "spans"} and sum(SHARES.values()) == pytest.approx(1)
    for i, share in enumerate(reversed(SHARES.values())):
        assert sum(batch[0] == i for batch in drawn) / 1_000 == pytest.approx(share, abs=0.06)


def test_pairs_are_sources_with_their_own_targets() -> None:
    some = [Example("p: ", str(i), f"t{i}") for i in range(5)]
    tokens = tokenizer()
    source, target = Pairs(some)(40, gen(1))
    both = [(tokens.decode(a), tokens.decode(b)) for a, b in zip(source, target, strict=True)]
    assert {(a.split("<")[0], b.split("<")[0]) for a, b in both} == {(e.source, e.target) for e in some}
