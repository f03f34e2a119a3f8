r"""The baseline of the bounds: a table that predicts each grey from its four neighbours that were read before.

.. math:: \log P(x) = \sum_i \log P(x_i \mid x_{left}, x_{above}, x_{above\,left}, x_{above\,right})

(eq-eras-table), with one table for all places: 256 contexts of four greys, counted. Context tables of this kind compress
faxes and scans (JBIG, ITU-T T.82, 1993). It knows no digits; whoever models digits should do better.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from companion.history.eras.grey import GREYS, PIXELS, SIDE, Pictures, grey_index
from companion.training.random import multinomial
from companion.validate import Count, checked

SMOOTHING = 0.1


class NeighbourTable:
    """Counted once; the same calls as the eras' models."""

    @checked
    def __init__(self, images: Pictures) -> None:
        greys = grey_index(images)[:, 0]
        cells = _context(greys) * GREYS + greys
        counts = torch.bincount(cells.flatten(), minlength=GREYS**5).reshape(-1, GREYS)
        self.log_shares = (counts + SMOOTHING).log().log_softmax(-1)

    @checked
    def log_prob(self, images: Pictures) -> Float[Tensor, "n"]:
        """The exact log-probability, in nats (eq-eras-table)."""
        greys = grey_index(images)[:, 0]
        return self.log_shares[_context(greys), greys].flatten(1).sum(1)

    @checked
    def draw(self, n: Count, generator: torch.Generator) -> Pictures:
        """n pictures, pixel by pixel."""
        greys = torch.zeros(n, SIDE, SIDE, dtype=torch.long, device=self.log_shares.device)
        for place in range(PIXELS):
            row, column = divmod(place, SIDE)
            shares = self.log_shares[_context(greys[:, : row + 1])[:, row, column]].exp()
            greys[:, row, column] = multinomial(shares, 1, generator)[:, 0]
        return (greys[:, None] * 2 / (GREYS - 1) - 1).float()


def _context(greys: Int[Tensor, "n rows columns"]) -> Int[Tensor, "n rows columns"]:
    """A number from 0 to 255 for each pixel: its four neighbours, paper beyond the edge."""
    rows, columns = greys.shape[1:]
    padded = F.pad(greys, (1, 1, 1, 0))
    neighbours = [padded[:, 1:, :columns], padded[:, :-1, 1:-1], padded[:, :-1, :columns], padded[:, :-1, 2:]]
    return sum(near[:, :rows] * GREYS**i for i, near in enumerate(neighbours))
