"""Cut films into space-time patches, and put them together again.

Dosovitskiy et al., "An Image is Worth 16x16 Words", arXiv:2010.11929, for images; Arnab et al., "ViViT", arXiv:2103.15691
("tubelets"), and the report on Sora (OpenAI, February 2024, "spacetime patches") for films. A film of shape
(channels, T, H, W) and a patch of (a, b, c) frames, rows and columns give

    n = T/a · H/b · W/c tokens of  channels · a · b · c  numbers each                          (eq-sora-patches)

The tokens are in reading order: frame by frame, row by row, column by column. Within a token the order is channel, frame,
row, column, so that a linear layer on the tokens is a `torch.nn.Conv3d` whose kernel and stride are the patch. An image is
a film of ``a`` equal frames; a film of any length and shape is a longer or shorter list of tokens.
"""

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from companion.validate import check_count, checked

Size3 = tuple[int, int, int]
_TOKENS = "n (t h w) (channel a b c)"  # eq-sora-patches, as einops writes axes


def grid_of(size: Size3, patch: Size3) -> Size3:
    """How many patches fit along time, height and width.

    Raises:
        ValueError: a size that its patch does not divide.
    """
    for name, length, step in zip(("frames", "height", "width"), size, patch, strict=True):
        check_count("patch", step)
        check_count(name, length)
        if length % step:
            raise ValueError(f"{name}: got {length}, wanted a multiple of the patch's {step}")
    return tuple(length // step for length, step in zip(size, patch, strict=True))


@checked
def patchify(
    films: Float[Tensor, "batch channels frames height width"], patch: Size3
) -> Float[Tensor, "batch tokens features"]:
    """Films as lists of patches (eq-sora-patches)."""
    grid_of(tuple(films.shape[2:]), patch)
    a, b, c = patch
    return rearrange(films, f"n channel (t a) (h b) (w c) -> {_TOKENS}", a=a, b=b, c=c)


@checked
def unpatchify(
    tokens: Float[Tensor, "batch tokens features"], patch: Size3, grid: Size3
) -> Float[Tensor, "batch channels frames height width"]:
    """The films again: the inverse of `patchify`.

    Raises:
        ValueError: tokens that do not fill the grid, or features that are not whole patches.
    """
    (_, n, features), (t, h, w), (a, b, c) = tokens.shape, grid, patch
    if n != t * h * w or features % (a * b * c):
        raise ValueError(
            f"tokens: got shape {tuple(tokens.shape)}, wanted (batch, {t * h * w}, a multiple of {a * b * c})"
        )
    return rearrange(tokens, f"{_TOKENS} -> n channel (t a) (h b) (w c)", t=t, h=h, w=w, a=a, b=b, c=c)


def grid_positions(grid: Size3) -> Int[Tensor, "tokens 3"]:
    """Where each token of `patchify` stands: its index along time, height and width."""
    return torch.cartesian_prod(*[torch.arange(length) for length in grid]).reshape(-1, 3)


def pad_tokens(
    lists: list[Shaped[Tensor, "_ features"]],
) -> tuple[Shaped[Tensor, "batch tokens features"], Bool[Tensor, "batch tokens"]]:
    """Lists of unequal length in one tensor, filled up with zeros, and a mask that is True at what is real."""
    if not lists:
        raise ValueError("lists: got none, wanted at least one list of tokens")
    for tokens in lists:
        if tokens.shape[1:] != lists[0].shape[1:]:
            raise ValueError(f"tokens: got shape {tuple(tokens.shape)}, wanted (any, {lists[0].shape[-1]})")
    table = torch.nn.utils.rnn.pad_sequence(lists, batch_first=True)
    real = torch.arange(table.shape[1]) < torch.tensor([[len(tokens)] for tokens in lists])
    return table, real.to(table.device)
