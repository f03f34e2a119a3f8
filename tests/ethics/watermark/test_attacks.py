"""Attacks on a marked text: what they leave, what they change, and that the model-based one reads its own changes."""

import math

import pytest
import torch
from torch import nn

from companion.ethics.watermark.attacks import crop, redraw, splice, substitute, surviving
from companion.ethics.watermark.green_lists import GreenLists, Watermark, detect
from tests.conftest import gen, rejects


class Sizes:
    vocab_size, context = 1000, 400


class Successor(nn.Module):
    """A language model that is sure of one thing: after k comes k + 1."""

    config = Sizes()

    def new_state(self, batch):
        return None

    def forward(self, input_ids, past_key_values=None):
        return 50.0 * nn.functional.one_hot((input_ids + 1) % 1000, 1000).float()


TEXT = torch.randint(1000, (8, 400), generator=gen(5))
EVEN = torch.ones(1000)


def kept_pairs(before: torch.Tensor, after: torch.Tensor) -> float:
    same = before == after
    return float((same[:, 1:] & same[:, :-1]).double().mean())


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_substitution_leaves_the_square_of_what_it_keeps(share):
    after = substitute(TEXT, share, EVEN, gen())
    assert kept_pairs(TEXT, after) == pytest.approx(surviving(share), abs=0.04)
    assert float((after == TEXT).double().mean()) == pytest.approx(1 - share, abs=0.03)


def test_z_falls_as_the_surviving_pairs_say():
    """Kept pairs stay green, disturbed ones are green by chance: z shrinks by the surviving share."""
    lists, g = GreenLists(1000), gen(1)
    mark, ids = Watermark(lists, 2.0), torch.randint(1000, (8, 1), generator=g)
    for _ in range(399):
        ids = torch.cat([ids, torch.multinomial(mark(ids, torch.zeros(8, 1000)).softmax(-1), 1, generator=g)], 1)
    before = sum(detect(text, lists).z for text in ids) / 8
    after = sum(detect(text, lists).z for text in substitute(ids, 0.3, EVEN, g)) / 8
    assert after / before == pytest.approx(surviving(0.3), abs=0.06)


def test_substitutes_follow_the_weights():
    weights = torch.zeros(1000)
    weights[[3, 4]] = torch.tensor([1.0, 3.0])
    after = substitute(TEXT, 1.0, weights, gen())
    assert float((after == 4).double().mean()) == pytest.approx(0.75, abs=4 * math.sqrt(0.1875 / TEXT.numel()))
    assert torch.equal(substitute(TEXT, 0.0, weights, gen()), TEXT)


def test_crop_is_a_passage():
    ids = torch.arange(60).repeat(500, 1)
    got = crop(ids, 20, gen())
    assert got.shape == (500, 20) and (got.diff(dim=1) == 1).all()
    assert got[:, 0].min() == 0 and got[:, 0].max() == 40
    assert torch.equal(crop(ids, 60, gen()), ids)


def test_mix_puts_passages_where_they_stood():
    other = TEXT + 1000
    got = splice(TEXT, other, 0.4, 30, gen())
    foreign = got >= 1000
    assert torch.equal(torch.where(foreign, got - 1000, got), TEXT)
    assert all(len(set(block.tolist())) == 1 for text in foreign for block in text[:390].view(13, 30))
    assert float(foreign.double().mean()) == pytest.approx(0.4, abs=0.15)


def test_redraw_fits_what_now_stands_before():
    """With all tokens drawn anew the text is the model's from the first token on: each draw reads the one before it."""
    got = redraw(TEXT, 1.0, Successor(), gen())
    assert torch.equal(got[:, 0], TEXT[:, 0]) and (got.diff(dim=1) % 1000 == 1).all()
    assert torch.equal(redraw(TEXT, 0.0, Successor(), gen()), TEXT)
    some = redraw(TEXT, 0.3, Successor(), gen())
    changed = some != TEXT
    assert torch.equal(some[:, 1:][changed[:, 1:]], (some[:, :-1] + 1)[changed[:, 1:]] % 1000)


def test_redraw_uses_the_caches_as_a_whole_pass_would():
    """The same draws as one full forward pass for each token, without a cache."""
    from companion.text.gpt import GPT, GPTConfig

    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=31, context=24, width=16, layers=2, heads=2)).eval()
    ids = torch.randint(31, (3, 24), generator=gen())
    got, want, g = redraw(ids, 0.5, model, gen(7)), ids.clone(), gen(7)
    chosen = torch.rand(ids.shape, generator=g) < 0.5
    with torch.no_grad():
        for place in range(1, 24):
            drawn = torch.multinomial(model(want[:, :place])[:, -1].softmax(-1), 1, generator=g)[:, 0]
            want[:, place] = torch.where(chosen[:, place], drawn, want[:, place])
    assert torch.equal(got, want)


def test_bad_input():
    with rejects("share"):
        surviving(1.5)
    with rejects("share"):
        substitute(TEXT, 1.5, EVEN, gen())
    with rejects("length"):
        crop(TEXT, 401, gen())
    with rejects("passage"):
        splice(TEXT, TEXT, 0.5, 0, gen())
    with rejects("other"):
        splice(TEXT, TEXT[:, :5], 0.5, 2, gen())
    with rejects("context"):
        redraw(TEXT.repeat(1, 2), 0.5, Successor(), gen())
