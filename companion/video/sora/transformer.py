"""A diffusion transformer for films of any length and shape: the network.

After the report "Video generation models as world simulators" (OpenAI, February 2024). It says: a network compresses
films in time and space, the compressed film becomes *spacetime patches*, a diffusion transformer (Peebles & Xie,
arXiv:2212.09748, our `DiTBlock`) cleans noisy patches, texts condition it, and durations, resolutions and aspect ratios vary.
It also says that model and implementation details are not included, so the rest is ours: tokens stand at positions on three
axes, as sines and cosines of each (after NaViT, arXiv:2307.06304), padding is masked, and some tokens may be *known*: given
clean, marked by a learned vector, for films that are to be continued.

    h = E p + P·PE(i_t, i_h, i_w) + known · k,   c = MLP(time) + MLP(words),   v = Head(Blocks(h, c), c)   (eq-sora-network)
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.nn.dit_block import DiTBlock, DiTHead
from companion.nn.positions import frequencies, sin_cos
from companion.nn.timestep import timestep_embedding
from companion.validate import Count, checked
from companion.video.sora.captions import LENGTH, WORDS


@checked
@dataclass(frozen=True)
class SoraConfig:
    """Sizes.

    Attributes:
        channels: numbers in each latent cell; a patch is one cell.
        width: of a token inside the network, a multiple of 6 and of ``heads``.
        layers: blocks.
        heads: of each block's attention.
    """

    channels: Count = 8
    width: Count = 108
    layers: Count = 5
    heads: Count = 4

    def __post_init__(self) -> None:
        if self.width % 6:
            raise ValueError(f"width: got {self.width}, wanted a multiple of 6: sine and cosine for three axes")


class Sora(nn.Module):
    """From noisy patches to the velocity that leads to clean ones (eq-sora-network)."""

    def __init__(self, config: SoraConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.embed = nn.Linear(config.channels, width)
        self.place = nn.Linear(width, width, bias=False)
        self.known = nn.Parameter(torch.zeros(width))
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.words = nn.Embedding(len(WORDS), width)
        self.caption = nn.Sequential(nn.Linear(LENGTH * width, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(DiTBlock(width, config.heads) for _ in range(config.layers))
        self.head = DiTHead(width, config.channels)

    @checked
    def forward(
        self,
        patches: Float[Tensor, "batch tokens {self.config.channels}"],
        positions: Int[Tensor, "batch tokens 3"],
        t: Float[Tensor, "batch"],
        captions: Int[Tensor, f"batch {LENGTH}"],
        real: Bool[Tensor, "batch tokens"] | None = None,
        known: Bool[Tensor, "batch tokens"] | None = None,
    ) -> Float[Tensor, "batch tokens channels"]:
        """The expected velocity, from noise to film.

        Args:
            patches: noisy, but clean where ``known``.
            positions: of each token along time, height and width.
            t: from 0, pure noise, to 1, clean.
            captions: word numbers (`companion.video.sora.captions.encode_captions`).
            real: True at tokens, False at padding; all real if not given.
            known: True at tokens that are given clean; none if not given.
        """
        x = self.embed(patches) + self.place(axis_waves(positions, self.config.width))
        if known is not None:
            x = x + known[..., None] * self.known
        condition = self.time(timestep_embedding(1000 * t, self.config.width))
        condition = condition + self.caption(self.words(captions).flatten(1))
        for block in self.blocks:
            x = block(x, condition, real)
        return self.head(x, condition)


def axis_waves(
    positions: Int[Tensor, "batch tokens axes"], width: int, *, base: float = 100.0
) -> Float[Tensor, "batch tokens width"]:
    """Sines and cosines of each coordinate, side by side: equal shares of the width for each axis.

    The wavelengths go from 2π to almost 2π · base, so that positions that no training film had still differ.
    """
    half = width // positions.shape[-1] // 2
    row = frequencies(half, base, dtype=torch.float32, device=positions.device)
    return torch.cat(sin_cos(positions, row), dim=-1).flatten(-2)
