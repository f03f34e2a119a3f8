r"""2018: a GPT that writes a picture as a text of 98 tokens, line by line.

Radford et al. (2018) trained a transformer's decoder to predict the next token of a text; Chen et al., "Generative Pretraining
from Pixels" (image GPT, ICML 2020), the same one on pictures in reading order. With k the tokens of a picture
(`companion.history.eras.codebook`) and :math:`k_0` one that only says "begin"

.. math:: \log P(k) = \sum_{i=1}^{98} \log P(k_i \mid k_0, \dots, k_{i-1})

(eq-eras-chain), exactly; and the probability of the picture is at least that of its tokens times what they leave open
(eq-eras-tokens). Departures: today's block (`companion.nn.llama_block`); patches instead of single pixels.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from companion.history.eras.codebook import TOKENS, Codebook
from companion.history.eras.grey import Pictures
from companion.language.contract import check_tokens, positions_of
from companion.language.generation import generate
from companion.language.scoring import token_log_probs
from companion.nn.kv_cache import KVState
from companion.nn.llama_block import llama_block
from companion.nn.norms import RMSNorm
from companion.nn.positions import Rotary
from companion.validate import Count, checked

BATCH = 8  # on the live budget; the shipped weights' was 16 (`companion.models.eras_gpt`)


@checked
@dataclass(frozen=True)
class PixelGPTConfig:
    """Sizes of a `PixelGPT`.

    Attributes:
        letters: different tokens; one more, `begin`, is read and never written.
        context: tokens that are read to write a picture: ``begin`` and all but the last.
        width: of the stream.
        layers: blocks.
        heads: of each attention.
        hidden: of each gated MLP.
    """

    letters: Count = 256
    context: Count = TOKENS
    width: Count = 48
    layers: Count = 3
    heads: Count = 4
    hidden: Count = 128

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"width: got {self.width}, wanted a multiple of 2 × {self.heads} heads")

    @property
    def vocab_size(self) -> int:
        """The letters and `begin`."""
        return self.letters + 1

    @property
    def begin(self) -> int:
        """The token that every picture begins with."""
        return self.letters


class PixelGPT(nn.Module):
    """A decoder over tokens of a picture; each knows which place it is to predict."""

    def __init__(self, config: PixelGPTConfig) -> None:
        super().__init__()
        self.config = config
        self.letter = nn.Embedding(config.vocab_size, config.width)
        self.place = nn.Embedding(config.context, config.width)
        rotary = Rotary(config.width // config.heads)
        self.blocks = nn.ModuleList(
            llama_block(config.width, config.heads, config.hidden, rotary) for _ in range(config.layers)
        )
        self.norm = RMSNorm(config.width)
        self.out = nn.Linear(config.width, config.letters, bias=False)
        for table in (self.letter, self.place):
            nn.init.normal_(table.weight, std=0.1)

    def forward(
        self,
        input_ids: Int[Tensor, "batch n"],
        past_key_values: KVState | None = None,
        attention_mask: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch n letters"]:
        """The logits of the next token after each one; the first token is always ``begin``.

        Args:
            input_ids: tokens, shape (batch, n).
            past_key_values: of `new_state`; then ``input_ids`` holds only the new tokens.
            attention_mask: True at tokens and False at padding, shape (batch, keys), the state's included.

        Raises:
            ValueError: unknown tokens, or more of them than a picture has.
        """
        start, n = check_tokens(input_ids, past_key_values, self.config.vocab_size), input_ids.shape[1]
        if start + n > self.config.context:
            raise ValueError(
                f"input_ids: got {start + n} tokens with those before, wanted at most {self.config.context}"
            )
        places = slice(start, start + n) if attention_mask is None else positions_of(attention_mask, n)
        x = self.letter(input_ids) + self.place.weight[places]
        for i, block in enumerate(self.blocks):
            x = block(x, None if past_key_values is None else past_key_values[i], key_mask=attention_mask)
        return self.out(self.norm(x))

    def new_state(self, batch: int) -> KVState:
        """The caches of pictures of which nothing was read yet; they take the batch that comes."""
        return KVState(self.config.layers)


class PictureWriter(nn.Module):
    """A codebook and a GPT over its tokens: a model of pictures."""

    def __init__(self, codebook: Codebook, config: PixelGPTConfig | None = None) -> None:
        super().__init__()
        self.codebook, self.gpt = codebook, PixelGPT(config or PixelGPTConfig(letters=codebook.size))
        if self.gpt.config.letters != codebook.size:
            raise ValueError(f"letters: got {self.gpt.config.letters}, wanted the codebook's {codebook.size}")

    @checked
    def token_log_prob(self, tokens: Int[Tensor, "n 98"]) -> Float[Tensor, "n"]:
        """The exact log-probability of each picture's tokens, in nats (eq-eras-chain)."""
        begin = tokens.new_full((len(tokens), 1), self.gpt.config.begin)
        return token_log_probs(self.gpt, torch.cat([begin, tokens], 1)).sum(1)

    @torch.no_grad()
    def bound(self, images: Pictures, generator: torch.Generator) -> Float[Tensor, "n"]:
        """An upper bound on -log P of each picture in nats (eq-eras-tokens); nothing is drawn."""
        return -self.token_log_prob(self.codebook.encode(images)) - self.codebook.log_prob(images)

    @checked
    def draw(self, n: Count, generator: torch.Generator) -> Pictures:
        """Write n pictures, token by token, each drawn from the softmax; a token becomes its cluster's mean."""
        begin = torch.full((n, 1), self.gpt.config.begin, device=self.gpt.out.weight.device)
        return self.codebook.decode(generate(self.gpt, begin, TOKENS, generator=generator)[:, 1:])


def gpt_loss(model: PictureWriter, batch: tuple[Tensor, ...], generator: torch.Generator) -> Float[Tensor, ""]:
    """The mean negative log-probability of a token, for `companion.training.train`."""
    # In texts this short the processor goes back faster through attention's plain form than through its fused kernel.
    with sdpa_kernel(SDPBackend.MATH):
        return -model.token_log_prob(model.codebook.encode(batch[0])).mean() / TOKENS
