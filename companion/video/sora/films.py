"""Films from captions: the compression network and the diffusion transformer on its latents, as one model.

The shipped one, of moving digits, is `companion.models.sora_digits`.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.data.moving_digits import FilmMaker
from companion.nn.patches import Size3
from companion.video.sora.compression import FRAMES, SCALE, FilmCompressor
from companion.video.sora.flow import Batch, make_latents, pack
from companion.video.sora.transformer import Sora

SIZES: tuple[Size3, ...] = (*[(8, 16, 16)] * 4, (8, 16, 20), (8, 20, 16), (12, 16, 16))


class FilmModel(nn.Module):
    """The two networks.

    Attributes:
        compressor: films to latents and back.
        transformer: from noise to latents.
    """

    def __init__(self, compressor: FilmCompressor, transformer: Sora) -> None:
        super().__init__()
        if compressor.channels != transformer.config.channels:
            raise ValueError(
                f"compressor: got {compressor.channels} channels, wanted the transformer's {transformer.config.channels}"
            )
        self.compressor, self.transformer = compressor, transformer


class DrawLatents:
    """Draws training batches: films of one of several sizes, compressed, with their captions.

    One size a batch wastes nothing on padding.

    Args:
        maker: draws the films.
        compressor: trained, in evaluation mode.
        sizes: frames, height and width, drawn equally often.
    """

    def __init__(self, maker: FilmMaker, compressor: FilmCompressor, *, sizes: Sequence[Size3] = SIZES) -> None:
        if compressor.training:
            raise ValueError("compressor: got one in training mode, wanted one after .eval()")
        self.maker, self.compressor, self.sizes = maker, compressor, sizes

    @torch.no_grad()
    def __call__(self, n: int, generator: torch.Generator) -> Batch:
        frames, height, width = self.sizes[int(torch.randint(len(self.sizes), (1,), generator=generator))]
        films = self.maker.draw(n, generator, frames=frames, height=height, width=width)
        latents = self.compressor.encode(films.films.to(next(self.compressor.parameters()).device))
        return pack([latents], [films.captions])


@torch.no_grad()
def draw_films(
    model: FilmModel,
    captions: Sequence[str],
    generator: torch.Generator,
    *,
    size: Size3 = (8, 16, 16),
    guidance: float = 2.0,
    steps: int = 16,
    known: Float[Tensor, "n 1 some height width"] | None = None,
    at_end: bool = False,
) -> Float[Tensor, "n 1 frames height width"]:
    """A film for each caption; with ``known`` frames, one that continues them, or with ``at_end`` leads to them.

    The arguments are those of `make_latents`, with sizes in frames and pixels. Known frames come out as they went in.
    """
    frames, height, width = size
    if frames % FRAMES or height % SCALE or width % SCALE:
        raise ValueError(f"size: got {size}, wanted multiples of {FRAMES}, {SCALE} and {SCALE}")
    latents = make_latents(
        model.transformer,
        captions,
        (frames // FRAMES, height // SCALE, width // SCALE),
        generator,
        steps=steps,
        guidance=guidance,
        known=None if known is None else model.compressor.encode(known),
        at_end=at_end,
    )
    films = model.compressor.decode(latents).clamp(-1, 1)
    if known is not None:
        films[:, :, slice(-known.shape[2], None) if at_end else slice(known.shape[2])] = known
    return films
