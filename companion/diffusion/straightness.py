r"""How straight the ways are that a sampler goes, from noise to data.

Liu, Gong & Liu, "Flow Straight and Fast", 2022, arXiv:2209.03003, section 2.2: with :math:`x_0` noise, :math:`x_1` where it
arrives, and u the velocity on the way,

- :math:`S = \int_0^1 E\, \| (x_1 - x_0) - u(x_t, t) \|^2\, dt` (eq-straightness)

0 if and only if every way is a straight line, gone at an even pace; one Euler step then arrives where many do. Departure: S is
divided by :math:`E \| x_1 - x_0 \|^2`, so that it has no unit. The lines from noise to data on which a model is *trained* are
straight by construction; where they cross, the velocity is the mean of them, and the ways bend.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.diffusion.ddim import ddim_step
from companion.diffusion.paths import RectifiedFlow
from companion.diffusion.prediction import Denoiser
from companion.validate import Count, Finite, checked


@torch.no_grad()
@checked
def ways(
    denoiser: Denoiser, noise: Finite[Tensor, "n *axes"], steps: Count = 100
) -> tuple[Float[Tensor, "times n *axes"], Float[Tensor, "steps n *axes"]]:
    """Where samples are at each time of Euler's method on a straight path, and their velocity at each but the last."""
    path = RectifiedFlow()
    places, velocities, times = [noise], [], path.times(steps)
    for t, s in zip(times, times[1:], strict=False):
        found = denoiser(places[-1], torch.full((len(noise),), t, dtype=noise.dtype, device=noise.device))
        velocities.append(found.velocity)
        places.append(ddim_step(path, found, t, s))
    return torch.stack(places), torch.stack(velocities)


@checked
def straightness(places: Float[Tensor, "times n *axes"], velocities: Float[Tensor, "steps n *axes"]) -> float:
    """S of `ways`, in equal steps (eq-straightness); 0 is straight."""
    whole = places[-1] - places[0]
    return float((whole - velocities).square().mean() / whole.square().mean())
