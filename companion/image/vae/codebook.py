r"""Vector quantisation: a vector becomes the nearest of K, and a gradient goes on as if nothing had happened.

van den Oord, Vinyals & Kavukcuoglu, "Neural Discrete Representation Learning", arXiv:1711.00937. With codewords
:math:`e_1, \dots, e_K` and an encoder's vector :math:`z`, :math:`\mathrm{sg}` for "no gradient through here":

- :math:`k(z) = \arg\min_j |z - e_j|^2` (eq-vae-nearest). `nearest`.
- :math:`\hat z = z + \mathrm{sg}(e_{k} - z)`: the value of the codeword, the gradient of z (eq-vae-straight-through).
  `straight_through`.
- :math:`L = |\mathrm{sg}(z) - e_k|^2 + \beta |z - \mathrm{sg}(e_k)|^2`: the first moves the codebook, the commitment
  the encoder (eq-vae-vq-loss). `vq_loss`. Squares are averaged over all numbers, as `diffusers.VQModel` does with
  ``legacy=False``; its default puts beta on the other term.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.validate import Count, Finite, NonNegative, check_labels, checked


@dataclass(frozen=True)
class Quantised:
    """What a quantiser made of n vectors.

    Attributes:
        values: the codewords' values, with the gradient of what was quantised.
        codes: the number of each codeword.
        loss: what is to be added to the loss of the reconstruction; 0 if nothing is.
    """

    values: Float[Tensor, "n d"]
    codes: Int[Tensor, "n"]
    loss: Float[Tensor, ""]


def nearest(z: Float[Tensor, "n d"], codebook: Float[Tensor, "k d"]) -> Int[Tensor, "n"]:
    """The number of the nearest codeword (eq-vae-nearest); ``|z|^2`` is the same for all of them, so it is left out."""
    return (codebook.square().sum(1) - 2 * z @ codebook.T).argmin(1)


@checked
def straight_through(z: Float[Tensor, "n d"], codeword: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """The codeword going forward, z going backward (eq-vae-straight-through)."""
    return z + (codeword - z).detach()


@checked
def vq_loss(z: Float[Tensor, "n d"], codeword: Float[Tensor, "n d"], beta: NonNegative) -> Float[Tensor, ""]:
    """Codewords to what they stand for, and beta times the encoder to its codewords (eq-vae-vq-loss)."""
    pull = (codeword - z.detach()).square().mean()
    commitment = (z - codeword.detach()).square().mean()
    return pull + beta * commitment


class GradientCodebook(nn.Module):
    """K codewords that gradients move.

    Args:
        size: K.
        width: numbers of a codeword.
        beta: the weight of the commitment.
    """

    @checked
    def __init__(self, size: Count, width: Count, beta: NonNegative = 0.25) -> None:
        super().__init__()
        self.size, self.width, self.beta = size, width, beta
        self.codewords = nn.Parameter(first_codewords(size, width))

    @checked
    def forward(self, z: Finite[Tensor, "n d={self.width}"]) -> Quantised:
        codes = nearest(z.detach(), self.codewords.detach())
        codeword = self.codewords[codes]
        return Quantised(straight_through(z, codeword), codes, vq_loss(z, codeword, self.beta))

    @torch.no_grad()
    @checked
    def begin(self, z: Finite[Tensor, "n d={self.width}"], generator: torch.Generator) -> None:
        """Put the codewords on vectors of a batch (`some_of`)."""
        self.codewords.copy_(some_of(z, self.size, generator))

    @checked
    def vectors(self, codes: Int[Tensor, "n"]) -> Float[Tensor, "n d"]:
        """The codewords of these numbers."""
        check_labels("codes", codes, self.size)
        return self.codewords[codes]


def first_codewords(size: int, width: int) -> Float[Tensor, "size width"]:
    """Uniform in a small cube around 0, as published implementations begin."""
    return (2 * torch.rand(size, width) - 1) / size


def some_of(z: Float[Tensor, "n d"], size: int, generator: torch.Generator) -> Float[Tensor, "size d"]:
    """``size`` of the vectors, no one twice; with fewer vectors than that a ValueError."""
    if len(z) < size:
        raise ValueError(f"z: got {len(z)} vectors, wanted at least one for each of the {size} codewords")
    return z[torch.randperm(len(z), generator=generator)[:size].to(z.device)]
