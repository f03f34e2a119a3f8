r"""A tokenizer of pictures: encoder, quantiser, decoder. A digit becomes 16 codes in reading order, and comes back.

van den Oord et al., arXiv:1711.00937. With x a picture in [-1, 1] and :math:`\hat x` what its codes decode to,

.. math:: L = \tfrac{1}{n} |x - \hat x|^2 / v + \text{loss of the quantiser}

(eq-vae-tokenizer-loss), the square averaged over pixels and divided by the pixels' variance v = `VARIANCE`, so that 1 is the
error of the best constant. The quantiser in between is the caller's choice: `GradientCodebook`, `RunningCodebook`, `FSQ`
or `LFQ`, with the same networks before and behind it.
"""

from typing import Protocol, runtime_checkable

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.image.vae.codebook import GradientCodebook, Quantised
from companion.image.vae.networks import Decoder, Encoder
from companion.image.vae.online_kmeans import RunningCodebook
from companion.validate import Count, Finite, Positive, check_labels, checked

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
def place_bits(
    codes: Int[Tensor, "n rows columns"],
    size: Count,
    counted: Int[Tensor, "m rows columns"],
    extra: Positive = 0.1,
) -> float:
    """Mean bits a picture if each place by itself has lengths of its own, from how frequent each code was there.

    Args:
        codes: of the pictures that are priced.
        size: how many codes there are.
        counted: of the pictures in which the codes were counted; those that are priced would flatter.
        extra: added to each count, so that a code that was never seen has a length, too.

    Raises:
        ValueError: another grid in ``counted``, or a code that is not below ``size``.
    """
    check_labels("codes", codes, size)
    check_labels("counted", counted, size)
    bits = 0.0
    for place, seen in zip(codes.flatten(1).T, counted.flatten(1).T, strict=True):
        counts = torch.bincount(seen, minlength=size).cpu().double() + extra
        bits -= float((counts / counts.sum()).log2()[place.cpu()].mean())
    return bits


@torch.no_grad()
@checked
def squared_error(model: Tokenizer, images: Float[Tensor, "n 1 height width"]) -> float:
    """The mean squared error of a pixel after encoding and decoding."""
    return float((model(images) - images).square().mean())
