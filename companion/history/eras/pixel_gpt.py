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
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.language.contract import check_tokens, positions_of
from companion.language.generation import generate
from companion.language.scoring import token_log_probs
from companion.nn.kv_cache import KVState
from companion.nn.llama_block import llama_block
from companion.nn.norms import RMSNorm
from companion.nn.patch_codes import from_patch_codes, to_patch_codes
from companion.nn.positions import Rotary
from companion.validate import Count, checked

PATCH = 2
LETTERS = 2 ** (PATCH * PATCH)
BEGIN = LETTERS


@checked
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

    rows: Count = 7
    width: Count = 48
    layers: Count = 3
    heads: Count = 4
    hidden: Count = 128

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"width: got {self.width}, wanted a multiple of 2 × {self.heads} heads")

    @property
    def vocab_size(self) -> int:
        """The letters and `BEGIN`, which is read but never written."""
        return LETTERS + 1

    @property
    def context(self) -> int:
        """As many letters as are read to write an image: `BEGIN` and all but the last."""
        return self.rows**2


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
        self,
        input_ids: Int[Tensor, "batch n"],
        past_key_values: KVState | None = None,
        attention_mask: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch n 16"]:
        """The logits of the next letter after each one; the first letter is always `BEGIN`.

        Args:
            input_ids: letters, shape (batch, n).
            past_key_values: of `new_state`; then ``input_ids`` holds only the new letters.
            attention_mask: True at letters and False at padding, shape (batch, keys), the state's included.

        Raises:
            ValueError: unknown letters, or more of them than an image has.
        """
        start, n = check_tokens(input_ids, past_key_values, self.config.vocab_size), input_ids.shape[1]
        if start + n > self.config.context:
            raise ValueError(
                f"input_ids: got {start + n} letters with those before, wanted at most {self.config.context}"
            )
        places = slice(start, start + n) if attention_mask is None else positions_of(attention_mask, n)
        x = self.letter(input_ids) + self.place.weight[places]
        for i, block in enumerate(self.blocks):
            x = block(x, None if past_key_values is None else past_key_values[i], key_mask=attention_mask)
        return self.out(self.norm(x))

    def new_state(self, batch: int) -> KVState:
        """The caches of images of which nothing was read yet; they take the batch that comes."""
        return KVState(self.config.layers)

    def log_prob(self, images: Float[Tensor, "n 1 height width"]) -> Float[Tensor, "n"]:
        """The exact log-probability of each image, in nats (eq-eras-chain)."""
        letters = to_patch_codes(images, PATCH)
        if letters.shape[1] != self.config.rows**2:
            raise ValueError(f"images: got {letters.shape[1]} letters each, wanted {self.config.rows**2}")
        return token_log_probs(self, torch.cat([letters.new_full((len(letters), 1), BEGIN), letters], 1)).sum(1)

    @checked
    def sample(self, n: Count, generator: torch.Generator) -> Float[Tensor, "n 1 height width"]:
        """Write n images, letter by letter, each drawn from the softmax (`companion.language.generation`)."""
        begin = torch.full((n, 1), BEGIN, device=self.out.weight.device)
        written = generate(self, begin, self.config.rows**2, generator=generator)[:, 1:]
        return from_patch_codes(written, self.config.rows, PATCH)


def pixel_gpt_loss(model: PixelGPT, batch: tuple[Tensor, ...], generator: torch.Generator) -> Float[Tensor, ""]:
    """The mean negative log-probability of the batch's images, in nats an image, for `companion.training.train`."""
    return -model.log_prob(batch[0]).mean()
