"""The step's embedding: parity with diffusers, a float64 re-derivation, dependence, the smallest width, bad input."""

import math

import pytest
import torch

from companion.nn.timestep import timestep_embedding
from tests.conftest import rejects

STEPS = torch.tensor([0, 1, 17, 500, 999])


class TestParity:
    @pytest.mark.parametrize("width", [4, 6, 7, 32, 129])
    @pytest.mark.parametrize("cosine_first", [True, False])
    @pytest.mark.parametrize("shift", [0, 1, 0.5])
    def test_equals_diffusers(self, width, cosine_first, shift):
        from diffusers.models.embeddings import get_timestep_embedding

        got = timestep_embedding(STEPS, width, cosine_first=cosine_first, freq_shift=shift)
        want = get_timestep_embedding(STEPS, width, flip_sin_to_cos=cosine_first, downscale_freq_shift=shift)
        torch.testing.assert_close(got, want, rtol=0, atol=1e-6)

    def test_fractional_steps_and_another_period(self):
        from diffusers.models.embeddings import get_timestep_embedding

        t = torch.tensor([0.25, 3.5])
        want = get_timestep_embedding(t, 10, flip_sin_to_cos=True, downscale_freq_shift=0, max_period=500)
        torch.testing.assert_close(timestep_embedding(t, 10, max_period=500), want, rtol=0, atol=1e-6)


def test_printed_equation_I60():
    """``eq-timestep`` number by number in double precision; cosines come first, halves side by side."""
    got = timestep_embedding(STEPS, 6)
    for row, t in zip(got.tolist(), STEPS.tolist(), strict=True):
        angles = [t * 10_000 ** (-i / 3) for i in range(3)]
        assert row == pytest.approx([*map(math.cos, angles), *map(math.sin, angles)], abs=1e-4)


def test_smallest_width_is_finite_I48():
    """half - 1 in the denominator made 0/0 of width 2; here width 2 is (cos t, sin t), and the shift is refused."""
    got = timestep_embedding(STEPS, 2)
    t = STEPS.double()
    torch.testing.assert_close(got.double(), torch.stack([t.cos(), t.sin()], 1), rtol=0, atol=1e-5)
    assert timestep_embedding(STEPS, 3).isfinite().all()
    with rejects("freq_shift"):
        timestep_embedding(STEPS, 2, freq_shift=1)


def test_rows_depend_on_their_own_step_I47():
    """Equal steps get equal rows wherever they stand in the batch, different steps different rows."""
    got = timestep_embedding(torch.tensor([3, 900, 3]), 8)
    torch.testing.assert_close(got[0], got[2], rtol=0, atol=0)
    assert (got[0] - got[1]).abs().max() > 0.5
    every = timestep_embedding(torch.arange(1000), 16)
    assert torch.pdist(every).min() > 0.01


@pytest.mark.parametrize("bad", [torch.tensor(3), torch.zeros(2, 2), torch.zeros(0)])
def test_steps_are_a_row(bad):
    with rejects("timesteps"):
        timestep_embedding(bad, 8)


@pytest.mark.parametrize("width", [0, 1, 2.5])
def test_width_is_at_least_two(width):
    with rejects("width"):
        timestep_embedding(STEPS, width)


def test_period_is_above_one():
    with rejects("max_period"):
        timestep_embedding(STEPS, 8, max_period=1)
