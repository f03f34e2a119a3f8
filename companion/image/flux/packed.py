"""A Flux for grids of latents: squares of 2×2 places become image tokens, and the answer becomes a grid again.

The order of a token's numbers is that of diffusers' ``FluxPipeline``: channel, row, column. A `PackedFlux` stands wherever the
denoiser of `companion.image.stable_diffusion` does, told the words' states and the pooled text.
"""

from jaxtyping import Float
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
    ) -> Float[Tensor, "n channels rows columns"]:
        """The prediction for each grid; arguments as for `Flux`."""
        rows, columns = (side // SQUARE for side in z_t.shape[2:])
        image, text = (ids.to(z_t.device) for ids in places(rows, columns, words.shape[1]))
        return unpack(self.inner(pack(z_t), words, pooled, t, image, text), rows, columns)


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
