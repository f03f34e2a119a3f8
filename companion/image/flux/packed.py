"""A Flux for grids of latents: squares of 2×2 places become image tokens, and the answer becomes a grid again.

The order of a token's numbers is that of diffusers' ``FluxPipeline``: channel, row, column. A `PackedFlux` stands wherever the
denoiser of `companion.image.stable_diffusion` does, told the words' states and the pooled text. A *student* (`student_of`) is
the same network with one more input, the strength of guidance or the number of steps; `Told` always tells it the same one.
"""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.image.flux.model import Flux, places
from companion.validate import checked

SQUARE = 2


class PackedFlux(nn.Module):
    """Predict the latents in noisy ones, told a time, words and the text as a whole."""

    def __init__(self, inner: Flux) -> None:
        super().__init__()
        self.inner = inner

    @checked
    def forward(
        self,
        z_t: Float[Tensor, "n channels rows columns"],
        t: Float[Tensor, "n"],
        words: Float[Tensor, "n words text_width"],
        pooled: Float[Tensor, "n pooled_width"],
        guidance: Float[Tensor, "n"] | None = None,
        steps: Int[Tensor, "n"] | None = None,
    ) -> Float[Tensor, "n channels rows columns"]:
        """The prediction for each grid; arguments as for `Flux`."""
        rows, columns = (side // SQUARE for side in z_t.shape[2:])
        image, text = (ids.to(z_t.device) for ids in places(rows, columns, words.shape[1]))
        return unpack(self.inner(pack(z_t), words, pooled, t, image, text, guidance, steps), rows, columns)


class Told(nn.Module):
    """A student that is always told the same strength or number of steps, as a denoiser that is told words alone.

    Args:
        inner: the student.
        told: ``guidance`` or ``steps``, a number.
    """

    def __init__(self, inner: PackedFlux, **told: float) -> None:
        super().__init__()
        self.inner, self.told = inner, told

    def forward(
        self,
        z_t: Float[Tensor, "n channels rows columns"],
        t: Float[Tensor, "n"],
        words: Float[Tensor, "n words text_width"],
        pooled: Float[Tensor, "n pooled_width"],
    ) -> Float[Tensor, "n channels rows columns"]:
        """The prediction for each grid; arguments as for `PackedFlux`."""
        told = {name: torch.full((len(z_t),), value, device=z_t.device) for name, value in self.told.items()}
        return self.inner(z_t, t, words, pooled, **told)


def student_of(teacher: PackedFlux, *, guidance: bool = False, steps: bool = False) -> PackedFlux:
    """A copy with one more input or two, which it disregards at first: it answers as the teacher does.

    Raises:
        ValueError: a teacher that takes one of them already.
    """
    config, wanted = teacher.inner.config, {"guidance": guidance, "steps": steps}
    for name, asked in wanted.items():
        if asked and getattr(config, name):
            raise ValueError(f"{name}: got a teacher that takes it already, wanted one that does not")
    student = PackedFlux(
        Flux(replace(config, **{name: asked or getattr(config, name) for name, asked in wanted.items()}))
    )
    student.load_state_dict(teacher.state_dict(), strict=False)
    for name, asked in wanted.items():
        if asked:
            for parameter in getattr(student.inner, name)[-1].parameters():
                nn.init.zeros_(parameter)
    return student


@checked
def pack(z: Float[Tensor, "n channels rows columns"]) -> Float[Tensor, "n tokens features"]:
    """Grids as image tokens in reading order.

    Raises:
        ValueError: an odd number of rows or columns.
    """
    if any(side % SQUARE for side in z.shape[2:]):
        raise ValueError(f"z: got {tuple(z.shape[2:])} rows and columns, wanted multiples of {SQUARE}")
    return F.pixel_unshuffle(z, SQUARE).flatten(2).transpose(1, 2)


@checked
def unpack(
    tokens: Float[Tensor, "n tokens features"], rows: int, columns: int
) -> Float[Tensor, "n channels height width"]:
    """The grids again, ``rows`` and ``columns`` counted in squares.

    Raises:
        ValueError: tokens that do not fill them.
    """
    if tokens.shape[1] != rows * columns:
        raise ValueError(f"tokens: got {tokens.shape[1]}, wanted {rows} × {columns}")
    return F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, (rows, columns)), SQUARE)
