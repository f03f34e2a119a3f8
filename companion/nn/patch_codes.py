"""Black-and-white pictures as tokens and back: each patch's pixels, read as the bits of one number.

A patch of P×P pixels x_0, …, x_{P²-1} in reading order, each -1 or 1, has the code

    c = Σ_k 2^k [x_k > 0]                                                                     (eq-patch-code)

so the upper left pixel counts 1, and there are 2^(P²) codes. The codes of a picture stand in reading order. Nothing is
trained and nothing lost, where published systems learn a codebook (van den Oord et al. 2017, arXiv:1711.00937).
"""

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from companion.validate import Count, check_labels, checked


@checked
def to_patch_codes(images: Float[Tensor, "n 1 height width"], patch: Count = 2) -> Int[Tensor, "n codes"]:
    """Pictures of -1 and 1 as codes in reading order (eq-patch-code).

    Raises:
        ValueError: sides that the patch does not divide, or pixels that are neither -1 nor 1.
    """
    if images.shape[2] % patch or images.shape[3] % patch or not (images.abs() == 1).all():
        raise ValueError(
            f"images: got shape {tuple(images.shape)}, wanted sides that {patch} divides and only the values -1 and 1"
        )
    bits = rearrange(images > 0, "n 1 (row a) (column b) -> n (row column) (a b)", a=patch, b=patch)
    return (bits * _powers(patch, images.device)).sum(-1)


@checked
def from_patch_codes(codes: Int[Tensor, "n codes"], rows: Count, patch: Count = 2) -> Float[Tensor, "n 1 height width"]:
    """The inverse of `to_patch_codes`, for pictures of so many rows of patches.

    Raises:
        ValueError: rows that do not divide the codes, or numbers that are no codes.
    """
    if codes.shape[1] % rows:
        raise ValueError(f"rows: got {rows}, wanted a divisor of {codes.shape[1]} codes")
    check_labels("codes", codes, 2 ** (patch * patch))
    bits = codes[..., None] // _powers(patch, codes.device) % 2
    pixels = rearrange(bits, "n (row column) (a b) -> n 1 (row a) (column b)", row=rows, a=patch, b=patch)
    return pixels.float() * 2 - 1


def _powers(patch: int, device: torch.device) -> Int[Tensor, "pixels"]:
    return 2 ** torch.arange(patch * patch, device=device)
