"""Soft caps and windows: the formulas as printed, and what they do to attention; parity is in `test_attention_doors`."""

import math

import pytest
import torch

from companion.nn.attention import MultiHeadAttention
from companion.nn.attention_mods import SoftCap, Window
from tests.conftest import rejects


def test_eq_soft_cap_as_printed_I60() -> None:
    for x in (-40.0, -3.0, 0.0, 0.7, 12.0):
        got = SoftCap(5.0)(torch.tensor([[x]], dtype=torch.float64)).item()
        assert got == pytest.approx(5 * math.tanh(x / 5), abs=1e-12)


def test_a_soft_cap_is_bounded_monotone_and_near_zero_the_identity() -> None:
    x = torch.linspace(-30, 30, 201, dtype=torch.float64, requires_grad=True)
    y = SoftCap(7.0)(x)
    y.sum().backward()
    assert y.abs().max() < 7 and (y.diff() > 0).all() and (x.grad > 0).all()
    torch.testing.assert_close(
        SoftCap(7.0)(torch.tensor([0.01, -0.02])), torch.tensor([0.01, -0.02]), rtol=1e-4, atol=0
    )
    assert torch.equal(SoftCap(7.0)(x, torch.arange(3)[:, None], torch.arange(3)), y), "places do not matter"


def test_a_window_is_a_band_that_counts_the_place_itself() -> None:
    places = torch.arange(5)
    got = Window(2)(places[3:, None], places).int().tolist()
    assert got == [[0, 0, 1, 1, 1], [0, 0, 0, 1, 1]]  # what comes after is the causal mask's affair


@pytest.mark.parametrize("size", [1, 3, 9])
def test_attention_within_a_window_sees_so_many_places(size: int) -> None:
    layer = MultiHeadAttention(12, 3, mask_mod=Window(size)).eval()
    _, weights = layer(torch.randn(2, 7, 12), causal=True, return_weights=True)
    assert (weights > 0).sum(-1).tolist() == [[[min(i + 1, size) for i in range(7)]] * 3] * 2


def test_capped_scores_are_nearer_to_each_other() -> None:
    """With all scores in [-c, c] no weight is more than exp(2c) times another."""
    torch.manual_seed(0)
    layer = MultiHeadAttention(12, 3, score_mod=SoftCap(0.5)).eval()
    _, weights = layer(30 * torch.randn(2, 7, 12), return_weights=True)
    assert 2.0 < (weights.amax(-1) / weights.amin(-1)).max() <= math.e * (1 + 1e-5)


def test_bad_input() -> None:
    for bad in (0.0, -1.0):
        with rejects("cap"):
            SoftCap(bad)
    with rejects("size"):
        Window(0)
