"""Data augmentation by random affine maps: pictures turned, scaled, slanted and shifted a little.

Affine distortions, as Simard, Steinkraus & Platt, "Best Practices for Convolutional Neural Networks Applied to Visual Document
Analysis", 2003, used on the same digits: without them a network learns a few thousand by heart.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from companion.training.random import rand
from companion.validate import checked

PAPER = -1.0


@checked
def distort(
    images: Float[Tensor, "n 1 h w"], generator: torch.Generator, *, turn: float = 0.2, scale: float = 0.12,
    slant: float = 0.15, shift: float = 2 / 28,
) -> Float[Tensor, "n 1 h w"]:  # fmt: skip
    """Each image turned (radians), scaled (in the logarithm), slanted and shifted (shares of its width) at random.

    Every amount is uniform from minus to plus the given one; what comes in from outside is paper.
    """

    def uniform(most: float) -> Tensor:
        return most * (2 * rand((len(images),), generator, device=images.device) - 1)

    angle, size, lean = uniform(turn), uniform(scale).exp(), uniform(slant)
    c, s = size * angle.cos(), size * angle.sin()
    rows = [
        torch.stack([c, lean * c - s, 2 * uniform(shift)], 1),
        torch.stack([s, lean * s + c, 2 * uniform(shift)], 1),
    ]
    where = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images - PAPER, where, align_corners=False) + PAPER
