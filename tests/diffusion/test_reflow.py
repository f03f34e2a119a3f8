"""Reflow: Gaussian data are gone to in one step after it; without it they are not."""

import torch
from torch import Tensor, nn

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.gaussian import gaussian_denoiser
from companion.diffusion.paths import RectifiedFlow
from companion.diffusion.prediction import as_denoiser
from companion.diffusion.reflow import ReflowLoss
from companion.diffusion.straightness import straightness, ways
from companion.diffusion.times import Uniform
from companion.training import TrainConfig, train
from tests.conftest import gen

PATH, STD, MEAN = RectifiedFlow(), 0.4, 1.5
NOISE = torch.randn(400, 2, generator=gen())


def straight(x: Tensor, t: Tensor) -> Tensor:
    """The velocity on the line from z to MEAN + STD z, which runs through x at t."""
    t = t[:, None]
    return MEAN + (STD - 1) * (x - t * MEAN) / (1 + t * (STD - 1))


def test_the_straight_flow_of_gaussian_pairs_has_no_loss_and_the_first_flow_has() -> None:
    batch = NOISE, MEAN + STD * NOISE
    assert float(ReflowLoss()(straight, batch, gen(1))) < 1e-10
    first = gaussian_denoiser(PATH, STD, MEAN)
    assert float(ReflowLoss()(lambda x, t: first(x, t).velocity, batch, gen(1))) > 1e-2


def test_after_it_one_step_arrives() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            return self.inner(torch.cat([x, t[:, None]], dim=1))

    first = gaussian_denoiser(PATH, STD, MEAN)

    noise = torch.randn(2000, 2, generator=gen(2))
    pairs = noise, ddim_sample(first, PATH, noise, 50)
    again = train(Net(), ReflowLoss(), pairs, TrainConfig(steps=400, batch_size=64, lr=3e-3, seed=0)).model.eval()
    second = as_denoiser(again, PATH, "velocity")
    assert straightness(*ways(second, NOISE)) < 0.1 * straightness(*ways(first, NOISE))
    want = MEAN + STD * NOISE
    one = {
        name: (ddim_sample(flow, PATH, NOISE, 1) - want).square().mean() for name, flow in (("a", first), ("b", second))
    }
    assert one["b"] < 0.05 * one["a"]


def test_times_are_of_the_law_given() -> None:
    seen = []
    late = ReflowLoss(Uniform(0.8, 0.9))
    late(lambda x, t: seen.append(t) or x, (NOISE, NOISE + 1), gen())
    assert 0.8 <= seen[0].min() and seen[0].max() <= 0.9
