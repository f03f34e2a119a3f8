"""Deterministic jumps: DDIM's own numbers, the exact path of Gaussian data, steps of their own for every example."""

import math

import pytest
import torch

from companion.diffusion.ddim import ddim_sample, ddim_step
from companion.diffusion.ddpm import cosine_schedule, linear_schedule
from companion.diffusion.guidance import guided
from companion.diffusion.jumps import as_guess, gaussian_factor, gaussian_guess, jump, jump_sample, walk
from companion.diffusion.parameterisation import as_denoiser
from tests.conftest import rejects


def v_net(x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """A made-up network whose answer depends on everything."""
    shape = (-1, *[1] * (x.ndim - 1))
    return torch.sin(x + t.to(x).reshape(shape) / 300) * 0.5 + labels.to(x).reshape(shape) / 20


def test_printed_equation_I60() -> None:
    s = cosine_schedule(50)
    x, x0 = torch.randn(2, 3).double(), torch.randn(2, 3).double()
    got = jump(s, x, x0, torch.tensor([40, 7]), torch.tensor([11, -1]))
    for i, (t, to) in enumerate([(40, 11), (7, -1)]):
        bar_t, bar_s = float(s.alpha_bar[t]), float(s.alpha_bar[to]) if to >= 0 else 1.0
        a_t, o_t, a_s, o_s = math.sqrt(bar_t), math.sqrt(1 - bar_t), math.sqrt(bar_s), math.sqrt(1 - bar_s)
        want = a_s * x0[i] + o_s / o_t * (x[i] - a_t * x0[i])
        torch.testing.assert_close(got[i], want, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(got[1], x0[1])  # a jump to the data ends at the guess


def test_a_jump_is_a_ddim_step() -> None:
    s, x, eps = linear_schedule(60), torch.randn(3, 2, 5).double(), torch.randn(3, 2, 5).double()
    for t, to in [(59, 30), (30, 2), (2, -1)]:
        steps = torch.full((3,), t)
        bar = float(s.alpha_bar[t])
        x0 = (x - (1 - bar) ** 0.5 * eps) / bar**0.5
        torch.testing.assert_close(jump(s, x, x0, steps, torch.full((3,), to)), ddim_step(s, x, t, to, eps))


@pytest.mark.parametrize("steps", [1, 3, 7])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_the_sampler_is_ddim_for_a_network_that_predicts_v(steps: int, scale: float) -> None:
    s, labels, x = cosine_schedule(80), torch.tensor([3, 0, 9]), torch.randn(3, 1, 4, 2).double()
    for clip in (None, 1.0):
        want = ddim_sample(as_denoiser(guided(v_net, labels, scale), s, "v"), s, x, steps, clip=clip)
        got = jump_sample(as_guess(v_net, labels, s, scale=scale, clip=clip), s, x, steps)
        torch.testing.assert_close(got, want, rtol=0, atol=1e-7)


@pytest.mark.parametrize("std", [0.3, 1.0, 4.0])
def test_gaussian_data_end_with_their_own_spread(std: float) -> None:
    """Truth: the path multiplies by a known factor, whose error halves when the steps double (first order)."""
    s, x = cosine_schedule(1000), torch.ones(1, 1).double()
    want = gaussian_factor(s, std, 999)
    assert want == pytest.approx(std, rel=1e-5)  # noise of variance one becomes data of theirs
    errors = [abs(float(jump_sample(gaussian_guess(s, std), s, x, n)) - want) for n in (20, 40, 80)]
    if std == 1.0:
        assert max(errors) < 0.06
    assert errors[0] > 1.6 * errors[1] > 1.6**2 * errors[2]


def test_each_example_walks_its_own_way() -> None:
    s, x, labels = cosine_schedule(40), torch.randn(2, 3).double(), torch.tensor([1, 4])
    route = torch.tensor([[39, 20, 5], [10, 3, -1]])
    both = walk(as_guess(v_net, labels, s), s, x, route)
    for i in range(2):
        alone = walk(as_guess(v_net, labels[i : i + 1], s), s, x[i : i + 1], route[i : i + 1])
        torch.testing.assert_close(both[i : i + 1], alone)


def test_bad_steps() -> None:
    s, x = cosine_schedule(10), torch.zeros(2, 3)
    for t, to in [([9, 2], [3, 2]), ([9, 2], [3, -2]), ([10, 2], [3, 1])]:
        with rejects("t, s"):
            jump(s, x, x, torch.tensor(t), torch.tensor(to))
    with rejects("t"):
        jump(s, x, x, torch.tensor([9]), torch.tensor([3]))
    with rejects("std"):
        gaussian_guess(s, 0.0)
    with rejects("std"):
        gaussian_factor(s, -1.0, 3)
    with rejects("x"):
        jump_sample(gaussian_guess(s, 1.0), s, torch.full((1, 2), math.nan), 2)
