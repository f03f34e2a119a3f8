r"""An autoregressive transformer over the patches of an image, a GPT that writes digits as a text of 49 letters.

A letter is a square of 2×2 pixels; they are read line by line.

Chen et al., "Generative Pretraining from Pixels" (image GPT), ICML 2020, trained GPT's decoder on pixels in reading order;
van den Oord et al., arXiv:1601.06759, had written images pixel by pixel with recurrent networks. With x the letters in
reading order and x_0 a letter that only says "begin":

.. math:: \log p(x) = \sum_{i=1}^{49} \log p(x_i \mid x_0, \dots, x_{i-1})

(eq-eras-chain), without approximation: four binary pixels make one of 16 letters (`companion.nn.patch_codes`), and a softmax
over 16 letters says how probable each is. Departures: today's block (`companion.nn.llama_block`) instead of GPT's of 2018;
letters of 2×2 pixels instead of clustered colours, so that 49 steps write an image.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.nn.kv_cache import KVCache
from companion.nn.llama_block import llama_block
from companion.nn.norms import RMSNorm
from companion.nn.patch_codes import from_patch_codes, to_patch_codes
from companion.nn.positions import Rotary
from companion.validate import check_count, check_labels, check_shapes

PATCH = 2
LETTERS = 2 ** (PATCH * PATCH)
BEGIN = LETTERS


@dataclass(frozen=True)
class PixelGPTConfig:
    """Sizes of a `PixelGPT`.

    Attributes:
        rows: of letters; an image has as many columns.
        width: of the stream.
        layers: blocks.
        heads: of each attention.
        hidden: of each gated MLP.
    """

    rows: int = 7
    width: int = 48
    layers: int = 3
    heads: int = 4
    hidden: int = 128

    def __post_init__(self) -> None:
        for name in ("rows", "width", "layers", "heads", "hidden"):
            check_count(name, getattr(self, name))
        if self.width % (2 * self.heads):
            raise ValueError(f"width: got {self.width}, wanted a multiple of 2 × {self.heads} heads")


class PixelGPT(nn.Module):
    """A decoder over letters; each knows which row and column it is to predict."""

    def __init__(self, config: PixelGPTConfig) -> None:
        super().__init__()
        self.config = config
        self.letter = nn.Embedding(LETTERS + 1, config.width)
        self.place = nn.Embedding(config.rows**2, config.width)
        rotary = Rotary(config.width // config.heads)
        self.blocks = nn.ModuleList(
            llama_block(config.width, config.heads, config.hidden, rotary) for _ in range(config.layers)
        )
        self.norm = RMSNorm(config.width)
        self.out = nn.Linear(config.width, LETTERS, bias=False)
        for table in (self.letter, self.place):
            nn.init.normal_(table.weight, std=0.1)

    def forward(
        self, letters: Int[Tensor, "batch n"], caches: list[KVCache] | None = None
    ) -> Float[Tensor, "batch n 16"]:
        """The logits of the next letter after each one; the first letter is always `BEGIN`.

        With caches, one a block, ``letters`` holds only the new ones.

        Raises:
            ValueError: unknown letters, more of them than an image has, or not one cache for each block.
        """
        check_shapes(letters=(letters, "batch n"))
        check_labels("letters", letters.flatten(), LETTERS + 1)
        if caches is not None and len(caches) != len(self.blocks):
            raise ValueError(f"caches: got {len(caches)}, wanted one for each of {len(self.blocks)} blocks")
        first = caches[0].length if caches is not None else 0
        end = first + letters.shape[1]
        if end > len(self.place.weight):
            raise ValueError(f"letters: got {end} with those before, wanted at most {len(self.place.weight)}")
        x = self.letter(letters) + self.place.weight[first:end]
        for i, block in enumerate(self.blocks):
            x = block(x, None if caches is None else caches[i])
        return self.out(self.norm(x))

    def log_prob(self, images: Float[Tensor, "n 1 height width"]) -> Float[Tensor, "n"]:
        """The exact log-probability of each image, in nats (eq-eras-chain)."""
        letters = to_patch_codes(images, PATCH)
        if letters.shape[1] != self.config.rows**2:
            raise ValueError(f"images: got {letters.shape[1]} letters each, wanted {self.config.rows**2}")
        logits = self(torch.cat([letters.new_full((len(letters), 1), BEGIN), letters[:, :-1]], 1))
        return logits.log_softmax(-1).gather(-1, letters[..., None])[..., 0].sum(1)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n 1 height width"]:
        """Write n images, letter by letter, each drawn from the softmax; keys and values are kept (`KVCache`)."""
        check_count("n", n)
        caches = [KVCache() for _ in self.blocks]
        last, written = torch.full((n, 1), BEGIN, device=self.out.weight.device), []
        for _ in range(self.config.rows**2):
            chances = self(last, caches)[:, -1].softmax(-1)
            last = torch.multinomial(chances, 1, generator=generator)
            written.append(last)
        return from_patch_codes(torch.cat(written, 1), self.config.rows, PATCH)


def pixel_gpt_loss(model: PixelGPT, batch: tuple[Tensor, ...], generator: torch.Generator) -> Float[Tensor, ""]:
    """The mean negative log-probability of the batch's images, in nats an image, for `companion.training.train`."""
    return -model.log_prob(batch[0]).mean()
