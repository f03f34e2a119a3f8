r"""Digits of 28×28 pixels in four greys, which all eras of the lesson see: a likelihood is a number about one kind of data.

Each pixel is paper, light, dark or ink: -1, -1/3, 1/3 or 1. A picture is one of :math:`4^{784}`, so a model gives it a
*probability*, and the probabilities of all models stand on one scale, where densities of grey values would not. The judge of
digits (`companion.metrics.digit_judge`) reads them as it reads the originals.

`log_mass` makes a probability of a density (eq-eras-mass): a logistic distribution with mean :math:`\mu` and width s, with
:math:`\sigma` its distribution function and h = 1/3 half the distance of two greys, gives a grey x the mass of its interval,

.. math:: P(x) = \sigma\Big(\frac{x + h - \mu}{s}\Big) - \sigma\Big(\frac{x - h - \mu}{s}\Big)

and paper and ink all that lies beyond them, so that the four masses add up to 1: Salimans et al., PixelCNN++,
arXiv:1701.05517, section 2.1, without their mixture. The last step of the diffusion model uses it.

`Drawing` gives every era the same training pictures: half of a batch as they are, half turned, scaled, slanted and
shifted a little (`companion.data.distortions`), because 4,000 pictures are learned by heart before the budget is spent.
A short training takes the distorted ones from a pool that was made before, which spares their time.
"""

from dataclasses import dataclass, replace
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from companion.data.distortions import distort
from companion.training.random import randint
from companion.validate import Count, Range, checked

SIDE = 28
PIXELS = SIDE * SIDE
GREYS = 4
HALF = 1 / (GREYS - 1)  # half the distance of two greys

Pictures = Float[Tensor, "_ 1 28 28"]  # n pictures, in [-1, 1]


@checked
def to_greys(images: Float[Tensor, "n 1 28 28"]) -> Pictures:
    """Each pixel to the nearest of the four greys: of the data, and of what a model drew."""
    return _values((images.clamp(-1, 1) + 1) / (2 * HALF))


@checked
def grey_index(images: Annotated[Float[Tensor, "n *size"], Range(-1, 1)]) -> Int[Tensor, "n *size"]:
    """Which grey each pixel has, from 0 (paper) to 3 (ink).

    Raises:
        ValueError: a pixel between two greys.
    """
    index = ((images + 1) / (2 * HALF)).round()
    if not torch.allclose(_values(index), images, atol=1e-4, rtol=0):
        raise ValueError("images: got pixels between two greys, wanted only -1, -1/3, 1/3 and 1: to_greys(images)")
    return index.long()


@checked
def log_mass(
    x: Float[Tensor, "n *size"], mean: Float[Tensor, "n *size"], log_width: Float[Tensor, "n *size"] | Float[Tensor, ""]
) -> Float[Tensor, "n"]:
    """log P of each picture whose pixels are independent around ``mean`` (eq-eras-mass), in nats, summed over the pixels."""
    width = log_width.exp()
    upper, lower = (x + HALF - mean) / width, (x - HALF - mean) / width
    # σ(a) - σ(b) = σ(a) σ(-b) (1 - e^(b-a)), without cancellation; the outer greys' intervals have no outer end.
    below = torch.where(x > 1 - HALF, torch.zeros_like(x), F.logsigmoid(upper))
    above = torch.where(x < -1 + HALF, torch.zeros_like(x), F.logsigmoid(-lower))
    inner = (x.abs() < 1 - HALF / 2).to(x)
    gap = torch.log(-torch.expm1((lower - upper).clamp(max=-1e-6)))
    return (below + above + inner * gap).flatten(1).sum(1)


@dataclass(frozen=True)
class Drawing:
    """Training pictures for `companion.training.train`: ``draw(n, generator)``.

    Attributes:
        images: in [-1, 1], from which to choose.
        distorted: the share of a batch that is distorted.
        pool: distorted pictures, of which those of a batch are taken; without one they are distorted when they are drawn.
    """

    images: Float[Tensor, "m 1 28 28"]
    distorted: float = 0.5
    pool: Float[Tensor, "p 1 28 28"] | None = None

    def __call__(self, n: int, generator: torch.Generator) -> tuple[Pictures]:
        images = _some(self.images, n, generator)
        count = round(self.distorted * n)
        if count:
            changed = _distorted(images[:count], generator) if self.pool is None else _some(self.pool, count, generator)
            images = torch.cat([changed, images[count:]])
        return (to_greys(images),)

    def pooled(self, times: Count, generator: torch.Generator) -> "Drawing":
        """The same with a pool: each picture distorted ``times`` times."""
        return replace(self, pool=torch.cat([_distorted(self.images, generator) for _ in range(times)]))


def _some(images: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return images[randint(len(images), (n,), generator, images)]


def _distorted(images: Tensor, generator: torch.Generator) -> Tensor:
    return distort(images, generator, turn=0.1, scale=0.08, slant=0.1, shift=1 / SIDE)


def _values(index: Tensor) -> Tensor:
    return index.round() * (2 * HALF) - 1
