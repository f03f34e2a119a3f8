r"""Change of variables: a density in other coordinates; with it grey levels become real numbers, and likelihoods bits.

Taught in the lesson `distributions`; the equations are

* ``eq-dist-change``: $p_x(x) = p_y(f(x)) \, |\det \partial f / \partial x|$, for an invertible f;
* ``eq-dist-logit``: $y = \mathrm{logit}(\lambda + (1 - 2\lambda) x / 256)$, as in Dinh et al., arXiv:1605.08803;
* ``eq-dist-dequantise``: $\log P(g) = \log \int_{[0,1)^d} p(g + u) du \ge E_u \log p(g + u)$, for whole grey levels g
  (Uria et al., arXiv:1306.0186; discussed in arXiv:1511.01844);
* ``eq-dist-bits``: $-\log_2 P(g) / d$.

Departing from those papers, densities are always stated per unit of grey level, on [0, 256), so that
``eq-dist-dequantise`` needs no further constant.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from companion.foundations.distributions.monte_carlo import Distribution
from companion.training.random import rand
from companion.validate import (
    Count,
    Finite,
    Positive,
    Range,
    check_float,
    checked,
)


@runtime_checkable
class Map(Protocol):
    """An invertible map of (n, d) to (n, d), with the logarithm of its Jacobian's determinant."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]: ...
    def inverse(self, y: Tensor) -> Tensor: ...


@checked
@dataclass(frozen=True)
class Affine:
    """y = (x - shift) / scale in each dimension.

    Attributes:
        shift: a number.
        scale: a number above 0.
    """

    shift: Annotated[float, Range()]
    scale: Positive

    @checked
    def forward(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n"]]:
        return (x - self.shift) / self.scale, x.new_full((len(x),), -x.shape[1] * math.log(self.scale))

    @checked
    def inverse(self, y: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return y * self.scale + self.shift


@checked
@dataclass(frozen=True)
class Logit:
    """Grey values in [0, 256] onto the real line, by the inverse of the sigmoid.

    Attributes:
        lam: how far 0 and 256 are kept from the ends of (0, 1), where the logit is infinite.
    """

    lam: Annotated[float, Range(0, 0.49, open_low=True)] = 1e-6

    @checked
    def forward(self, x: Finite[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n"]]:
        if x.min() < 0 or x.max() > 256:
            raise ValueError(f"x: got values from {x.min():g} to {x.max():g}, wanted grey values from 0 to 256")
        p = self.lam + (1 - 2 * self.lam) * x / 256
        slope = math.log((1 - 2 * self.lam) / 256) - p.log() - torch.log1p(-p)
        return p.log() - torch.log1p(-p), slope.sum(1)

    @checked
    def inverse(self, y: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return 256 * (y.sigmoid() - self.lam) / (1 - 2 * self.lam)


@dataclass(frozen=True)
class Transformed:
    """The distribution of x where f(x) follows ``base``.

    Attributes:
        base: the distribution in the new coordinates y.
        f: the map from x to y.
    """

    base: Distribution
    f: Map

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
        y, log_det = self.f.forward(x)
        return self.base.log_prob(y) + log_det

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
        return self.f.inverse(self.base.sample(n, generator))


@checked
def dequantise(grey: Shaped[Tensor, "n d"], generator: torch.Generator) -> Float[Tensor, "n d"]:
    """Spread whole grey levels 0, ..., 255 evenly over [0, 256): each gets its own u in [0, 1) added.

    Raises:
        ValueError: values that are not whole numbers from 0 to 255 (for images in [-1, 1] use `to_display` first).
    """
    levels = _levels(grey)
    u = rand(levels.shape, generator, like=levels)
    # In float32 a u close to 1 would round 255 + u up to 256; keep x inside the cell of its grey level.
    return torch.minimum(levels + u, torch.nextafter(levels + 1, levels))


@checked
def bits_per_dim(log_prob: Finite[Tensor, "n"], dims: Count) -> Float[Tensor, "n"]:
    """Bits for one dimension of each example, from log-probabilities in nats.

    They must be probabilities of whole grey levels, or densities per unit of grey level: a density of pixels scaled to
    [0, 1] would come out 8 bits too low.
    """
    return -log_prob / (dims * math.log(2))


def _levels(grey: Shaped[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    levels = grey.float()
    check_float(grey=levels)
    if levels.min() < 0 or levels.max() > 255 or (levels != levels.round()).any():
        raise ValueError(
            f"grey: got values from {levels.min():g} to {levels.max():g}, wanted whole numbers from 0 to 255; "
            "convert images in [-1, 1] with to_display"
        )
    return levels
