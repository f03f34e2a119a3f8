r"""What a network predicts, and the one currency into which it is changed: the data and the noise in x_t.

On a path :math:`x_t = \alpha_t x_0 + \sigma_t \epsilon` a network may be asked for one of four things (`KINDS`):

- ``"epsilon"``, the noise (Ho, Jain & Abbeel, arXiv:2006.11239):
  :math:`\hat x_0 = (x_t - \sigma_t\, \hat\epsilon) / \alpha_t` (eq-ddpm-x0)
- ``"x0"``, the data: :math:`\hat\epsilon = (x_t - \alpha_t\, \hat x_0) / \sigma_t` (eq-from-x0)
- ``"v"``, :math:`v = \alpha_t \epsilon - \sigma_t x_0` (eq-ddpm-v; Salimans & Ho, arXiv:2202.00512):
  :math:`\hat x_0 = (\alpha_t x_t - \sigma_t \hat v) / n_t, \; \hat\epsilon = (\sigma_t x_t + \alpha_t \hat v) / n_t`
  with :math:`n_t = \alpha_t^2 + \sigma_t^2`, 1 where the variance is preserved (eq-ddpm-from-v)
- ``"velocity"``, :math:`u = x_0 - \epsilon`, the dx/dt of a straight path (Lipman et al., arXiv:2210.02747):
  :math:`\hat x_0 = (x_t + \sigma_t \hat u) / m_t, \; \hat\epsilon = (x_t - \alpha_t \hat u) / m_t`
  with :math:`m_t = \alpha_t + \sigma_t`, 1 on a straight path (eq-from-velocity)

They differ in what an error of the network does: in the noise it grows by :math:`\sigma_t / \alpha_t` on its way to the data,
in the data by the inverse on its way to the noise, in the other two not at all. Each member is computed from the output at
once: a network's x0 by way of its noise would lose all its digits where almost no data are left.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from jaxtyping import Float, Shaped
from torch import Tensor

from companion.diffusion.paths import Path
from companion.training.precision import widened
from companion.validate import Positive, checked

Kind = Literal["epsilon", "x0", "v", "velocity"]
KINDS = get_args(Kind)
# net(x_t, t) to an output of x_t's shape; with a condition: net(x_t, t, condition).
Net = Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is thought to be in x_t.

    Attributes:
        x0: the data.
        eps: the noise.
    """

    x0: Float[Tensor, "n ..."]
    eps: Float[Tensor, "n ..."]

    @property
    def velocity(self) -> Float[Tensor, "n ..."]:
        """From the noise to the data: dx/dt on a straight path."""
        return self.x0 - self.eps


# denoiser(x_t, t): noisy data (n, ...) and one time each (n) to what is in them.
Denoiser = Callable[[Tensor, Tensor], Prediction]


@checked
def target(
    path: Path, kind: Kind, x0: Float[Tensor, "n *axes"], noise: Float[Tensor, "n *axes"], t: Shaped[Tensor, "n"]
) -> Float[Tensor, "n *axes"]:
    """What a network of this kind is asked for."""
    if kind == "epsilon":
        return noise
    if kind == "x0":
        return x0
    if kind == "velocity":
        return x0 - noise
    alpha, sigma = path.alpha_sigma(t, x0)
    return alpha * noise - sigma * x0


@checked
def to_prediction(
    path: Path, kind: Kind, x_t: Float[Tensor, "n *axes"], t: Shaped[Tensor, "n"], output: Float[Tensor, "n *axes"]
) -> Prediction:
    """The data and the noise that a network's output implies; together they make x_t."""
    alpha, sigma = path.alpha_sigma(t, x_t)
    if kind == "epsilon":
        return Prediction((x_t - sigma * output) / alpha, output)
    if kind == "x0":
        return Prediction(output, (x_t - alpha * output) / sigma)
    if kind == "v":
        norm = alpha.square() + sigma.square()
        return Prediction((alpha * x_t - sigma * output) / norm, (sigma * x_t + alpha * output) / norm)
    norm = alpha + sigma
    return Prediction((x_t + sigma * output) / norm, (x_t - alpha * output) / norm)


@checked
def as_denoiser(net: Net, path: Path, kind: Kind, clip: Positive | None = None) -> Denoiser:
    """A network of any kind as a `Denoiser`, which every sampler of the course takes.

    Args:
        net: ``net(x_t, t)``; `companion.diffusion.guidance.guided` makes one of a network with a condition.
        kind: what it predicts, one of `KINDS`.
        clip: the data's largest absolute value, to which the predicted data are clipped: an error at high noise is
            divided by a small number and would throw a sampler out of the data's range. The noise is then computed anew, so
            that both fit x_t. None does not clip.
    """

    def denoiser(x_t: Tensor, t: Tensor) -> Prediction:
        prediction = to_prediction(path, kind, x_t, t, net(x_t, t))
        if clip is None:
            return prediction
        return to_prediction(path, "x0", x_t, t, prediction.x0.clamp(-clip, clip))

    return denoiser


def widened_state(denoiser: Denoiser, path: Path, x: Tensor) -> tuple[Denoiser, Tensor]:
    """A sampler's state in float32 at least, and the denoiser for it: many small steps would be rounded away in half precision.

    The denoiser itself is still asked in x's type. The noise is what its data leave of the state, so that both fit that.
    """
    state = widened(x)
    if state.dtype == x.dtype:
        return denoiser, x

    def wide(x_t: Tensor, t: Tensor) -> Prediction:
        return to_prediction(path, "x0", x_t, t, widened(denoiser(x_t.to(x.dtype), t).x0))

    return wide, state
