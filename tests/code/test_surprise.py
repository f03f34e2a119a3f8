"""Surprise: the model's negative log-likelihood of each token, in its line; a bug costs more than no bug."""

import random

import pytest
import torch

from companion.code.codex.fim import END
from companion.code.mutations import KINDS, mutations
from companion.code.surprise import line_surprise, token_surprise, total_surprise
from companion.data import more_itertools
from companion.language.scoring import mean_nats
from companion.models.codex import load
from tests.conftest import rejects

SOURCE = "def f(xs):\n    total = 0\n\n    for x in xs:\n        total += x\n    return total\n"


def test_the_sum_is_what_the_language_model_pays() -> None:
    model, bpe = load()
    ids, nats = token_surprise(model, bpe, SOURCE)
    assert bpe.decode(ids) == SOURCE and nats.shape == (len(ids),)
    row = torch.tensor([bpe.special[END], *ids])
    assert total_surprise(model, bpe, SOURCE) == pytest.approx(mean_nats(model, row) * len(ids), rel=1e-5)


def test_a_token_is_surprised_by_what_stands_before_it_only() -> None:
    model, bpe = load()
    changed = SOURCE.replace("return total", "return xs")
    (ids, one), (_, other) = (token_surprise(model, bpe, text) for text in (SOURCE, changed))
    same = len(bpe.encode(SOURCE[: SOURCE.index(" total\n")])) - 1
    assert torch.allclose(one[:same], other[:same], atol=1e-5) and not torch.allclose(
        one[: len(ids) - 2], other[: len(ids) - 2]
    )


def test_a_change_is_paid_in_its_own_line() -> None:
    model, bpe = load()
    before, after = (line_surprise(model, bpe, text) for text in (SOURCE, SOURCE.replace("in xs", "in +")))
    assert len(before) == SOURCE.count("\n") + 1 and before[2] == 0, "an empty line has no surprise"
    assert torch.allclose(before[:3], after[:3], atol=1e-5) and after[3] > before[3] + 1


def test_a_line_is_as_surprising_as_its_most_surprising_token() -> None:
    """Neither its last nor its first: blanks apart, the largest of all."""
    model, bpe = load()
    line = "while +in: xs = 3"
    ids, surprises = token_surprise(model, bpe, line)
    shown = surprises[[bool(bpe.decode([token]).strip()) for token in ids]]
    assert len(shown) > 5 and 0 < int(shown.argmax()) < len(shown) - 1
    assert line_surprise(model, bpe, line).tolist() == [pytest.approx(float(shown.max()))]


def test_bugs_in_programs_of_others_cost_more_in_six_of_ten() -> None:
    """The baseline is a coin: five of ten, and 0.04 is its standard error here."""
    model, bpe = load()
    draw, right, pairs = random.Random(0), 0, 0
    for source in draw.sample([text for text in more_itertools().functions() if 100 < len(text) < 500], 40):
        original = total_surprise(model, bpe, source)
        for kind in KINDS:
            if options := [one for one in mutations(source) if one.kind == kind]:
                right += total_surprise(model, bpe, draw.choice(options).source) > original
                pairs += 1
    assert pairs >= 60 and right / pairs >= 0.6


def test_too_long_or_empty_is_refused() -> None:
    model, bpe = load()
    for text in ("", "x = 1\n" * 200):
        with rejects("source"):
            token_surprise(model, bpe, text)
