r"""Finite scalar quantisation: round each of a few numbers to a few levels; the grid of all combinations is the codebook.

Mentzer, Minnen, Agustsson & Tschannen, arXiv:2309.15505. A number z with L levels is squashed and rounded,

.. math:: f(z) = \tfrac{(L-1)(1+\epsilon)}{2} \tanh(z + s) - o, \qquad \hat z = \mathrm{round}(f(z)) / \lfloor L/2 \rfloor

with :math:`o = 1/2` and :math:`s = \mathrm{artanh}(1 / ((L-1)(1+\epsilon)))` for even L, both 0 for odd L (eq-vae-fsq); so L
neighbouring whole numbers can come out. Rounding lets the gradient through (eq-vae-straight-through). The code of a vector
counts its first number fastest: :math:`k = \sum_i \ell_i \prod_{j<i} L_j` (eq-vae-fsq-code). There is no codebook that could
have dead entries, and no loss to keep it.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.image.vae.codebook import Quantised, straight_through
from companion.validate import Finite, check_count, check_labels, checked

EPSILON = 1e-3  # so that the outermost levels can be reached


class FSQ(nn.Module):
    """A vector of as many numbers as there are ``levels``, each rounded to so many values."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        if not levels:
            raise ValueError("levels: got (), wanted at least one number of levels, such as (8, 6, 5)")
        for count in levels:
            check_count("levels", count, low=3)
        self.size, self.width = math.prod(levels), len(levels)
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        steps = [math.prod(levels[:i]) for i in range(len(levels))]
        self.register_buffer("steps", torch.tensor(steps), persistent=False)

    @checked
    def forward(self, z: Finite[Tensor, "n d={self.width}"]) -> Quantised:
        reach = (self.levels - 1) * (1 + EPSILON) / 2
        offset = (self.levels % 2 == 0) * 0.5
        squashed = torch.tanh(z + torch.atanh(offset / reach)) * reach - offset
        whole = straight_through(squashed, squashed.round())
        half = self.levels // 2
        codes = ((whole.detach().round().long() + half) * self.steps).sum(1)
        return Quantised(whole / half, codes, z.new_zeros(()))

    @checked
    def vectors(self, codes: Int[Tensor, "n"]) -> Float[Tensor, "n d"]:
        """The vectors of these numbers (eq-vae-fsq-code), between -1 and 1."""
        check_labels("codes", codes, self.size)
        half = self.levels // 2
        return (codes[:, None] // self.steps % self.levels - half) / half
