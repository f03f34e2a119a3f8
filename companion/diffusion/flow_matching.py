r"""Conditional flow matching with straight paths (rectified flow), and two solvers of its ordinary differential equation.

Lipman et al., "Flow Matching for Generative Modeling", arXiv:2210.02747; Liu, Gong & Liu, "Flow Straight and Fast",
arXiv:2209.03003. Time runs from noise, t = 0, to data, t = 1 (many image models count the other way).

- path (eq-fm-path): :math:`x_t = (1 - t)\, z + t\, x`, with :math:`z \sim N(0, I)`
- loss (eq-fm-loss): :math:`L = E_{x, z, t} \| v_\theta(x_t, t) - (x - z) \|^2`; its optimum is :math:`E[x - z \mid x_t]`
- sampling (eq-fm-ode): :math:`dx / dt = v_\theta(x, t)` from t = 0 to 1
- velocity and score (eq-velocity-score): :math:`v(x, t) = (x + (1 - t)\, \nabla \log p_t(x)) / t`

Departure: Lipman et al. keep a small :math:`\sigma_{min}` of noise at t = 1; here it is 0, as in rectified flow.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from companion.validate import check_count, check_float, check_number, check_shapes

# velocity(x, t): points (n, d) and one time each (n) to (n, d).
Velocity = Callable[[Tensor, Tensor], Tensor]


def on_path(z: Float[Tensor, "n ..."], x: Float[Tensor, "n ..."], t: Float[Tensor, "n"]) -> Float[Tensor, "n ..."]:
    """The point at time ``t`` on the straight line from noise ``z`` to data ``x`` (eq-fm-path)."""
    check_shapes(t=(t, "n"))
    if z.shape != x.shape or len(t) != len(x):
        raise ValueError(
            f"z, x, t: got shapes {tuple(z.shape)}, {tuple(x.shape)}, {tuple(t.shape)}, wanted (n, ...) twice and (n,)"
        )
    t = t.view(-1, *[1] * (x.ndim - 1))
    return (1 - t) * z + t * x


def flow_matching_loss(velocity: Velocity, x: Float[Tensor, "n ..."], generator: torch.Generator) -> Float[Tensor, ""]:
    """Draw noise and a time for each example; ask for the direction from the noise to the example (eq-fm-loss).

    Args:
        velocity: ``velocity(x_t, t)``.
        x: data, shape (n, ...).
        generator: of noise and times.

    Returns:
        The mean over the examples, summed over dimensions.
    """
    if x.ndim < 2 or not x.numel():
        raise ValueError(f"x: got shape {tuple(x.shape)}, wanted (n, ...) with n >= 1 and no empty axis")
    z = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    t = torch.rand(len(x), generator=generator, dtype=x.dtype, device=x.device)
    predicted = velocity(on_path(z, x, t), t)
    if predicted.shape != x.shape:
        raise ValueError(f"velocity: got an output of shape {tuple(predicted.shape)}, wanted {tuple(x.shape)}")
    return (predicted - (x - z)).flatten(1).square().sum(1).mean()


@torch.no_grad()
def euler(velocity: Velocity, z: Float[Tensor, "n ..."], steps: int) -> Float[Tensor, "n ..."]:
    """Carry noise to data in ``steps`` equal straight steps (eq-fm-ode); one call of the network a step."""
    check_float(z=z)
    check_count("steps", steps)
    x, h = z, 1 / steps
    for i in range(steps):
        x = x + h * velocity(x, x.new_full((len(x),), i * h))
    return x


@torch.no_grad()
def heun(velocity: Velocity, z: Float[Tensor, "n ..."], steps: int) -> Float[Tensor, "n ..."]:
    """As `euler`, but each step uses the mean of the velocities at its two ends: two calls, an error of order 1/steps²."""
    check_float(z=z)
    check_count("steps", steps)
    x, h = z, 1 / steps
    for i in range(steps):
        start = velocity(x, x.new_full((len(x),), i * h))
        end = velocity(x + h * start, x.new_full((len(x),), (i + 1) * h))
        x = x + h / 2 * (start + end)
    return x


def velocity_from_score(
    x: Float[Tensor, "n d"], t: Float[Tensor, "n"], score: Float[Tensor, "n d"]
) -> Float[Tensor, "n d"]:
    """The marginal velocity from the score of p_t at the same points, for t above 0 (eq-velocity-score)."""
    check_shapes(x=(x, "n d"), t=(t, "n"), score=(score, "n d"))
    if not (t > 0).all():
        raise ValueError(f"t: got {float(t.min()):g} as the least time, wanted all above 0")
    return (x + (1 - t[:, None]) * score) / t[:, None]


def gaussian_velocity(
    x: Float[Tensor, "n d"], t: Float[Tensor, "n"], mean: Float[Tensor, "d"], sd: float
) -> Float[Tensor, "n d"]:
    r"""The exact marginal velocity where the data follow N(mean, sd² I).

    :math:`v(x, t) = m + \frac{t s^2 - (1 - t)}{(1 - t)^2 + t^2 s^2} (x - t m)` (eq-gaussian-velocity); its flow carries z to
    :math:`m + s z`.
    """
    check_shapes(x=(x, "n d"), t=(t, "n"), mean=(mean, "d"))
    check_number("sd", sd, low=0, open_low=True)
    t = t[:, None]
    slope = (t * sd**2 - (1 - t)) / ((1 - t).square() + (t * sd).square())
    return mean + slope * (x - t * mean)
