r"""A GPT that writes digits: an image as a text of 49 letters, each a square of 2×2 pixels, read line by line.

Chen et al., "Generative Pretraining from Pixels" (image GPT), ICML 2020, trained GPT's decoder on pixels in reading order;
van den Oord et al., arXiv:1601.06759, had written images pixel by pixel with recurrent networks. With x the letters in
reading order and x_0 a letter that only says "begin":

.. math:: \log p(x) = \sum_{i=1}^{49} \log p(x_i \mid x_0, \dots, x_{i-1})

(eq-eras-chain), without approximation: four binary pixels make one of 16 letters, and a softmax over 16 letters says how
probable each is. Departures: today's block (`companion.nn.llama_block`) instead of GPT's of 2018; letters of 2×2 pixels
instead of clustered colours, so that 49 steps write an image.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.language.contract import check_tokens, positions_of
from companion.language.generation import generate
from companion.language.scoring import token_log_probs
from companion.nn.kv_cache import KVState
from companion.nn.llama_block import LlamaBlock
from companion.nn.norms import RMSNorm
from companion.nn.positions import Rotary
from companion.validate import check_count, check_labels, check_shapes

PATCH = 2
LETTERS = 2 ** (PATCH * PATCH)
BEGIN = LETTERS


def to_letters(images: Float[Tensor, "n 1 height width"]) -> Int[Tensor, "n letters"]:
    """Images of -1 and 1 as letters from 0 to 15 in reading order; in a square, the upper left pixel counts 8.

    Raises:
        ValueError: sides that 2 does not divide, or pixels that are neither -1 nor 1.
    """
    sizes = check_shapes(images=(images, "n 1 height width"))
    if sizes["height"] % PATCH or sizes["width"] % PATCH or not ((images == -1) | (images == 1)).all():
        raise ValueError(f"images: got shape {tuple(images.shape)}, wanted even sides and only the values -1 and 1")
    squares = images.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)  # n, 1, rows, columns, 2, 2
    bits = (squares.flatten(4).flatten(1, 3) > 0).long()
    return (bits * _weights(images.device)).sum(-1)


def to_images(letters: Int[Tensor, "n letters"], rows: int) -> Float[Tensor, "n 1 height width"]:
    """The inverse of `to_letters`, for images of so many rows of letters."""
    check_count("rows", rows)
    n, count = check_shapes(letters=(letters, "n letters")).values()
    if count % rows:
        raise ValueError(f"rows: got {rows}, wanted a divisor of {count} letters")
    check_labels("letters", letters.flatten(), LETTERS)
    bits = (letters[..., None] // _weights(letters.device) % 2).reshape(n, rows, count // rows, PATCH, PATCH)
    pixels = bits.transpose(2, 3).reshape(n, 1, rows * PATCH, count // rows * PATCH)
    return pixels.float() * 2 - 1


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
            LlamaBlock(config.width, config.heads, config.hidden, rotary) for _ in range(config.layers)
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
        letters = to_letters(images)
        if letters.shape[1] != self.config.rows**2:
            raise ValueError(f"images: got {letters.shape[1]} letters each, wanted {self.config.rows**2}")
        return token_log_probs(self, torch.cat([letters.new_full((len(letters), 1), BEGIN), letters], 1)).sum(1)

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n 1 height width"]:
        """Write n images, letter by letter, each drawn from the softmax (`companion.language.generation`)."""
        check_count("n", n)
        begin = torch.full((n, 1), BEGIN, device=self.out.weight.device)
        return to_images(generate(self, begin, self.config.rows**2, generator=generator)[:, 1:], self.config.rows)


def pixel_gpt_loss(model: PixelGPT, batch: tuple[Tensor, ...], generator: torch.Generator) -> Float[Tensor, ""]:
    """The mean negative log-probability of the batch's images, in nats an image, for `companion.training.train`."""
    return -model.log_prob(batch[0]).mean()


def _weights(device: torch.device) -> Int[Tensor, "4"]:
    return 2 ** torch.arange(PATCH * PATCH - 1, -1, -1, device=device)
