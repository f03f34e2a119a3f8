r"""A codebook that follows running means: k-means on a stream, and what to do with codewords that nothing chooses.

van den Oord et al., arXiv:1711.00937, appendix A.1. In each batch let :math:`n_j` be how many vectors chose codeword j and
:math:`s_j` their sum. With a decay :math:`\gamma`

.. math:: N_j \leftarrow \gamma N_j + (1-\gamma) n_j, \quad m_j \leftarrow \gamma m_j + (1-\gamma) s_j, \quad e_j = m_j / N_j

(eq-vae-ema). With :math:`\gamma = 0` and one batch of all data this is Lloyd's step of k-means. Counts are smoothed before the
division, :math:`(N_j + \epsilon) \sum N / (\sum N + K \epsilon)`, as `vector-quantize-pytorch` does. A codeword that nothing
chooses keeps its direction for ever: it is *dead*. `revive` gives codewords whose running count is below a threshold the place
of a vector of the batch (Dhariwal et al., "Jukebox", arXiv:2005.00341, section 3.2).

Departure: a revived codeword gets the threshold as its count, as the library's default does.
"""

from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.image.vae.codebook import Quantised, first_codewords, nearest, some_of, straight_through
from companion.training.random import randint
from companion.validate import Count, Finite, NonNegative, Range, check_labels, checked

EPSILON = 1e-5


class RunningCodebook(nn.Module):
    """K codewords that are running means of what chose them (eq-vae-ema); no gradient reaches them.

    Args:
        size: K.
        width: numbers of a codeword.
        beta: the weight of the commitment.
        decay: gamma.
        threshold: revive codewords with a smaller running count a batch; 0 revives none.
    """

    @checked
    def __init__(
        self,
        size: Count,
        width: Count,
        beta: NonNegative = 0.25,
        decay: Annotated[float, Range(0, 1)] = 0.95,
        threshold: NonNegative = 0.0,
    ) -> None:
        super().__init__()
        self.size, self.width, self.beta, self.decay, self.threshold = size, width, beta, decay, threshold
        first = first_codewords(size, width)
        self.register_buffer("codewords", first)
        self.register_buffer("counts", torch.ones(size))
        self.register_buffer("sums", first.clone())

    @checked
    def forward(self, z: Finite[Tensor, "n d={self.width}"]) -> Quantised:
        """The nearest codewords; nothing is learned by it (`follow`)."""
        codes = nearest(z.detach(), self.codewords)
        codeword = self.codewords[codes]
        return Quantised(straight_through(z, codeword), codes, self.beta * (z - codeword).square().mean())

    @torch.no_grad()
    @checked
    def begin(self, z: Finite[Tensor, "n d={self.width}"], generator: torch.Generator) -> None:
        """Put the codewords on vectors of a batch (`some_of`), each as if chosen once a batch."""
        self.codewords.copy_(some_of(z, self.size, generator))
        self.sums.copy_(self.codewords)
        self.counts.fill_(1)

    @torch.no_grad()
    @checked
    def follow(
        self, z: Finite[Tensor, "n d={self.width}"], codes: Int[Tensor, "n"], generator: torch.Generator
    ) -> None:
        """Let the codewords follow a batch (eq-vae-ema), and revive the dead ones (`revive`)."""
        check_labels("codes", codes, self.size)
        chosen = torch.bincount(codes, minlength=self.size).to(z)
        self.counts.lerp_(chosen, 1 - self.decay)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, codes, z), 1 - self.decay)
        total = self.counts.sum()
        smooth = (self.counts + EPSILON) * total / (total + self.size * EPSILON)
        self.codewords.copy_(self.sums / smooth[:, None])
        self.revive(z, generator)

    @torch.no_grad()
    def revive(self, z: Float[Tensor, "n d"], generator: torch.Generator) -> None:
        """Give codewords that are hardly chosen the place of vectors of this batch, drawn at random."""
        dead = self.counts < self.threshold
        found = z[randint(len(z), (int(dead.sum()),), generator, z)]
        self.codewords[dead] = found
        self.counts[dead] = self.threshold
        self.sums[dead] = found * self.threshold

    @checked
    def vectors(self, codes: Int[Tensor, "n"]) -> Float[Tensor, "n d"]:
        """The codewords of these numbers."""
        check_labels("codes", codes, self.size)
        return self.codewords[codes]
