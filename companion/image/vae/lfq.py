r"""Lookup-free quantisation: a code is the signs of d numbers.

Yu et al., "Language Model Beats Diffusion: Tokenizer is Key to Visual Generation" (MAGVIT-v2), arXiv:2310.05737. The vector is
:math:`\hat z_i = \mathrm{sign}(z_i)`, 0 counting as negative, its code :math:`k = \sum_i 2^i [z_i > 0]` (eq-vae-lfq). With
:math:`q(k | z) \propto \exp(\tau \cdot 2 z^\top c_k)` over all :math:`2^d` vectors of signs, the loss

.. math:: L = E_z H(q(\cdot | z)) - H(E_z q(\cdot | z))

(eq-vae-lfq-entropy) asks each vector to be sure and all of them together to use every code. Both entropies are sums over the
:math:`2^d` probabilities, so d is at most 16.
"""

from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.image.vae.codebook import Quantised, straight_through
from companion.validate import Finite, NonNegative, Positive, Range, check_labels, checked


class LFQ(nn.Module):
    """A vector of ``width`` numbers becomes their signs.

    Args:
        width: d; there are 2^d codes.
        entropy: the weight of eq-vae-lfq-entropy.
        beta: the weight of the commitment, which keeps the numbers near their signs.
        sharpness: tau.
    """

    @checked
    def __init__(
        self,
        width: Annotated[int, Range(1, 16)],
        entropy: NonNegative = 0.1,
        beta: NonNegative = 0.25,
        sharpness: Positive = 1.0,
    ) -> None:
        super().__init__()
        self.size, self.width = 2**width, width
        self.entropy, self.beta, self.sharpness = entropy, beta, sharpness
        bits = torch.arange(self.size)[:, None] // 2 ** torch.arange(width) % 2
        self.register_buffer("signs", bits * 2.0 - 1, persistent=False)

    @checked
    def forward(self, z: Finite[Tensor, "n d={self.width}"]) -> Quantised:
        sign = torch.where(z > 0, 1.0, -1.0)
        codes = ((z > 0) * 2 ** torch.arange(self.width, device=z.device)).sum(1)
        loss = self.beta * (z - sign).square().mean() + self.entropy * self.entropy_loss(z)
        return Quantised(straight_through(z, sign), codes, loss)

    def entropy_loss(self, z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
        """The mean entropy of a vector's code less the entropy of all, in nats (eq-vae-lfq-entropy)."""
        log_q = F.log_softmax(2 * self.sharpness * z @ self.signs.T, 1)
        each = -(log_q.exp() * log_q).sum(1).mean()
        return each - torch.special.entr(log_q.exp().mean(0)).sum()

    @checked
    def vectors(self, codes: Int[Tensor, "n"]) -> Float[Tensor, "n d"]:
        """The signs of these numbers."""
        check_labels("codes", codes, self.size)
        return self.signs[codes]
