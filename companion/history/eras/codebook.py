r"""Grey pictures as tokens: a codebook of small patches, and what a token leaves open.

`Codebook.fit` clusters patches of 2×4 pixels by k-means (Lloyd, 1982), as Chen et al. clustered colours for image GPT (ICML
2020). A picture is then 98 tokens in reading order, and a token draws its cluster's mean. The tokens are a function of the
picture, so with k(x) the tokens of x

.. math:: P(x) = \sum_k P(k)\, P(x \mid k) \ge P(k(x))\, P(x \mid k(x))

(eq-eras-tokens): the sum has other terms as well, because :math:`P(x \mid k)`, independent pixels with one histogram for
each pixel of each token, gives some probability to pictures whose own tokens are others. `Codebook.log_prob` is the last
factor.
"""

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.foundations.distributions.mixtures import k_means_centres
from companion.history.eras.grey import GREYS, SIDE, Pictures, grey_index, to_greys
from companion.validate import Count, check_labels, checked

HEIGHT, WIDTH = 2, 4
TOKENS = (SIDE // HEIGHT) * (SIDE // WIDTH)
PATCH = HEIGHT * WIDTH
SMOOTHING = 0.1  # added to each count, so that no grey is impossible


class Codebook(nn.Module):
    """Patches, and for each of their pixels how often it has each grey. Untrained until `fit`."""

    @checked
    def __init__(self, size: Count = 256) -> None:
        super().__init__()
        self.register_buffer("patches", torch.zeros(size, PATCH))
        self.register_buffer("shares", torch.zeros(size, PATCH, GREYS))  # logarithms, up to a constant

    @property
    def size(self) -> int:
        return len(self.patches)

    @torch.no_grad()
    @checked
    def fit(self, images: Pictures, generator: torch.Generator, rounds: Count = 15) -> "Codebook":
        """Cluster the patches of these pictures, and count their greys; the same object comes back.

        Each distinct patch counts with the square root of its number: most patches are blank paper. The tokens are numbered
        from light to dark, so 0 is the lightest.

        Raises:
            ValueError: fewer distinct patches than the codebook has.
        """
        points, number = torch.unique(_patches(images).flatten(0, 1), dim=0, return_counts=True)
        if len(points) < self.size:
            raise ValueError(f"images: got {len(points)} distinct patches, wanted at least {self.size}")
        weights = number.to(points).sqrt()
        centres = k_means_centres(points, self.size, generator, weights=weights, steps=rounds)
        self.patches.copy_(centres[centres.sum(1).argsort()])
        places = (self.encode(images)[..., None] * PATCH + torch.arange(PATCH, device=images.device)) * GREYS
        counts = torch.bincount((places + grey_index(_patches(images))).flatten(), minlength=self.shares.numel())
        self.shares.copy_((counts.to(self.shares).reshape(self.shares.shape) + SMOOTHING).log().log_softmax(-1))
        return self

    @checked
    def encode(self, images: Pictures) -> Int[Tensor, "n 98"]:
        """The token of each patch: the nearest one of the codebook."""
        return torch.cdist(_patches(images), self.patches).argmin(-1)

    @checked
    def decode(self, tokens: Int[Tensor, "n 98"]) -> Pictures:
        """The clusters' means, as a picture between the greys."""
        check_labels("tokens", tokens, self.size)
        sizes = {"row": SIDE // HEIGHT, "a": HEIGHT}
        return rearrange(self.patches[tokens], "n (row column) (a b) -> n 1 (row a) (column b)", **sizes)

    @checked
    def log_prob(self, images: Pictures) -> Float[Tensor, "n"]:
        """log P(x | k(x)), in nats (eq-eras-tokens)."""
        shares = self.shares.log_softmax(-1)[self.encode(images)]
        return shares.gather(-1, grey_index(_patches(images))[..., None]).flatten(1).sum(1)


def _patches(images: Pictures) -> Float[Tensor, "n 98 8"]:
    return rearrange(to_greys(images), "n 1 (row a) (column b) -> n (row column) (a b)", a=HEIGHT, b=WIDTH)
