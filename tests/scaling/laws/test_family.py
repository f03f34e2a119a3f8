"""The family of small models: comparable, counted exactly, and trained to the end of its own schedule."""

import math
from dataclasses import replace

import pytest
import torch

from companion.language.scoring import mean_nats
from companion.scaling.flops import training_flops
from companion.scaling.laws import family
from companion.scaling.laws.family import (
    build_member,
    family_config,
    learning_rate,
    sizes_along,
    start_evenly,
    tokens_for,
    train_to_end,
)
from companion.text.llama import Llama
from tests.conftest import rejects

CODES = torch.randint(5, (4000,), generator=torch.Generator().manual_seed(0))
TEXT = torch.stack([CODES, (CODES + 1) % 5], 1).reshape(-1)  # every second token follows from the one before


class TestTruth:
    @pytest.mark.parametrize("width", [4, 8, 12, 24, 40, 56, 64])
    def test_compute_is_spent_to_within_half_a_batch(self, width: int) -> None:
        config, compute = family_config(width, 79), 3e10
        tokens = tokens_for(compute, config)
        batch = family.BATCH * family.CONTEXT
        assert tokens % batch == 0
        assert abs(training_flops(config, tokens) - compute) <= training_flops(config, batch) / 2

    @pytest.mark.parametrize("gated", [False, True])
    def test_parameters_are_counted_as_built(self, gated: bool) -> None:
        config = replace(family_config(24, 31), gated_attention=gated)
        assert family.count_parameters(config) == sum(p.numel() for p in Llama(config).parameters())

    @pytest.mark.parametrize("width", [24, 48, 96])  # whose hidden width is 8/3 of it exactly
    def test_a_curve_of_any_width_meets_the_family(self, width: int) -> None:
        config, compute = family_config(width, 79), 1e12
        n, d = sizes_along(compute, 79, points=20_001)
        nearest = (n - family.count_parameters(config)).abs().argmin()
        assert n[nearest].item() == pytest.approx(family.count_parameters(config), rel=1e-3)
        assert d[nearest].item() == pytest.approx(tokens_for(compute, config), rel=2e-3)

    def test_even_start_keeps_the_variance(self) -> None:
        """A linear map of w inputs with variance one gives outputs with variance one; those into the stream, a quarter."""
        torch.manual_seed(0)
        model = Llama(family_config(96, 300))
        start_evenly(model)
        x = torch.randn(4000, 96)
        assert model.blocks[0].attention.q(x).var().item() == pytest.approx(1, abs=0.05)
        assert model.blocks[1].attention.out(x).var().item() == pytest.approx(0.25, abs=0.02)
        assert model.tokens.weight.square().sum(1).mean().item() == pytest.approx(1, abs=0.05)

    def test_token_table_stays_tied(self) -> None:
        model = build_member(16, 31, 0)
        assert model.out.weight is model.tokens.weight

    def test_learning_rate_falls_with_width_and_length(self) -> None:
        """(eq-laws-lr): a power of the width, and beyond D₀ tokens one over the root of the length."""
        assert learning_rate(32, 1) == learning_rate(32, family.SHORT) == family.RATE
        assert math.log(learning_rate(64, 9) / learning_rate(16, 9), 4) == pytest.approx(-family.POWER)
        assert learning_rate(16, 4 * family.SHORT) == pytest.approx(learning_rate(16, 1) / 2)


class TestDependence:
    def test_widths_differ_in_nothing_else(self) -> None:
        small, large = family_config(16, 79), family_config(64, 79)
        assert (small.context, small.layers, small.vocab_size) == (large.context, large.layers, large.vocab_size)
        assert small.width // small.heads == large.width // large.heads == family.HEAD_WIDTH

    @pytest.mark.parametrize(("weights", "passages"), [(0, 1), (1, 0)])
    def test_seed_decides_weights_and_passages(self, weights: int, passages: int) -> None:
        first, again, other = (
            mean_nats(train_to_end(build_member(8, 5, a), TEXT, 1024, lr=0.05, seed=b), TEXT[:200])
            for a, b in ((0, 0), (0, 0), (weights, passages))
        )
        assert first == again != other


def test_schedule_ends_with_the_run() -> None:
    """A rate that never falls leaves the weights trembling; the same tokens under a schedule that ends give a lower loss."""
    planned, cut = (
        mean_nats(train_to_end(build_member(8, 5, 3), TEXT, 150 * 512, lr=0.15, seed=4, final=final), TEXT[:3000])
        for final in (family.FINAL, 1.0)
    )
    assert planned < cut - 0.004


def test_learns_more_than_the_frequencies_of_tokens() -> None:
    """Half of the tokens are certain given the one before; a model that only counts tokens pays ln 5 for each."""
    model = train_to_end(build_member(16, 5, 0), TEXT, 80 * 512, lr=learning_rate(16, 80 * 512), seed=16)
    assert 0.5 * math.log(5) - 0.02 < mean_nats(model, TEXT[:2000]) < 0.75 * math.log(5)


def test_rejects() -> None:
    with rejects("width"):
        family_config(2, 79)
    with rejects("compute"):
        tokens_for(0.0, family_config(8, 79))
    with rejects("tokens"):
        train_to_end(build_member(8, 5, 0), TEXT, 100, lr=0.01, seed=0)
