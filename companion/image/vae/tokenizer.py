r"""A tokenizer of pictures: encoder, quantiser, decoder. A digit becomes 16 codes in reading order, and comes back.

van den Oord et al., arXiv:1711.00937. With x a picture in [-1, 1] and :math:`\hat x` what its codes decode to,

.. math:: L = \tfrac{1}{n} |x - \hat x|^2 / v + \text{loss of the quantiser}

(eq-vae-tokenizer-loss), the square averaged over pixels and divided by the pixels' variance v = `VARIANCE`, so that 1 is the
error of the best constant. The quantiser in between is the caller's choice: `GradientCodebook`, `RunningCodebook`, `FSQ`
or `LFQ`, with the same networks before and behind it.
"""

import math
from typing import Protocol, runtime_checkable

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.image.vae.codebook import GradientCodebook, Quantised
from companion.image.vae.networks import Decoder, Encoder
from companion.image.vae.online_kmeans import RunningCodebook
from companion.image.vae.usage import usage
from companion.validate import Count, Finite, checked

VARIANCE = 0.38  # of the pixels of digits in [-1, 1]


@runtime_checkable
class Quantiser(Protocol):
    """What stands in the narrow place."""

    size: int
    width: int

    def __call__(self, z: Float[Tensor, "n d"]) -> Quantised: ...

    def vectors(self, codes: Int[Tensor, "n"]) -> Float[Tensor, "n d"]: ...


class Tokenizer(nn.Module):
    """Pictures to codes and back.

    Args:
        quantiser: any of the four.
        width: channels of encoder and decoder.
    """

    @checked
    def __init__(self, quantiser: Quantiser, width: Count = 24) -> None:
        super().__init__()
        self.quantiser = quantiser
        self.encoder, self.decoder = Encoder(quantiser.width, width), Decoder(quantiser.width, width)

    @checked
    def features(self, images: Finite[Tensor, "n 1 height width"]) -> Float[Tensor, "n rows columns d"]:
        """What the encoder says of each place, before it is quantised."""
        return rearrange(self.encoder(images), "n d h w -> n h w d")

    @checked
    def encode(self, images: Float[Tensor, "n 1 height width"]) -> Int[Tensor, "n rows columns"]:
        """The code of each place."""
        with torch.no_grad():
            z = self.features(images)
            return self.quantiser(z.flatten(0, 2)).codes.reshape(z.shape[:3])

    @checked
    def decode(self, codes: Int[Tensor, "n rows columns"]) -> Float[Tensor, "n 1 height width"]:
        """The picture of each grid of codes, in about [-1, 1]."""
        vectors = self.quantiser.vectors(codes.flatten()).reshape(*codes.shape, -1)
        return self._draw(vectors)

    def forward(self, images: Float[Tensor, "n 1 height width"]) -> Float[Tensor, "n 1 height width"]:
        """Encoded and decoded again."""
        z = self.features(images)
        return self._draw(self.quantiser(z.flatten(0, 2)).values.reshape(z.shape))

    def _draw(self, grid: Float[Tensor, "n rows columns d"]) -> Float[Tensor, "n 1 height width"]:
        return self.decoder(rearrange(grid, "n h w d -> n d h w").contiguous())


def tokenizer_loss(model: Tokenizer, batch: tuple[Tensor, ...], generator: torch.Generator) -> Float[Tensor, ""]:
    """Error and the quantiser's loss (eq-vae-tokenizer-loss), for `companion.training.train`; a running codebook follows."""
    z = model.features(batch[0])
    rows = z.flatten(0, 2)
    found = model.quantiser(rows)
    drawn = model._draw(found.values.reshape(z.shape))
    if isinstance(model.quantiser, RunningCodebook):
        model.quantiser.follow(rows.detach(), found.codes, generator)
    return (drawn - batch[0]).square().mean() / VARIANCE + found.loss


@torch.no_grad()
@checked
def begin_on(model: Tokenizer, images: Float[Tensor, "n 1 height width"], generator: torch.Generator) -> None:
    """Put the codewords where the untrained encoder puts places of these pictures; with `FSQ` and `LFQ` there are none."""
    if isinstance(model.quantiser, GradientCodebook | RunningCodebook):
        model.quantiser.begin(model.features(images).flatten(0, 2), generator)


@checked
def place_bits(codes: Int[Tensor, "n rows columns"], size: Count) -> float:
    """Bits a picture with the best code for each place by itself: the sum of log2 of the places' perplexities."""
    return sum(math.log2(usage(place, size).perplexity) for place in codes.flatten(1).T)


@torch.no_grad()
@checked
def squared_error(model: Tokenizer, images: Float[Tensor, "n 1 height width"]) -> float:
    """The mean squared error of a pixel after encoding and decoding."""
    return float((model(images) - images).square().mean())
