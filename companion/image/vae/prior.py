r"""A prior over codes: a small GPT that writes a digit as 16 tokens, and what a picture costs then.

A tokenizer makes codes of pictures and says nothing of which codes belong together. van den Oord et al., arXiv:1711.00937,
section 3.2, therefore train a second model on the codes, here a transformer, as in VQGAN (Esser, Rombach & Ommer,
arXiv:2012.09841) and DALL-E: with :math:`k_0` a token that only says "begin"

.. math:: \log P(k) = \sum_{i=1}^{16} \log P(k_i \mid k_0, \dots, k_{i-1})

(eq-vae-prior). :math:`-\log_2 P(k)` is the length in bits of the code with which an arithmetic coder would store the picture's
tokens; independent and equally likely tokens would take :math:`16 \log_2 K` (`CodeWriter.bits`). The transformer is
`companion.history.eras.pixel_gpt.PixelGPT`, which writes pictures as tokens of any kind.
"""

import math

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from companion.history.eras.pixel_gpt import PixelGPT, PixelGPTConfig
from companion.image.vae.networks import GRID
from companion.image.vae.tokenizer import Tokenizer
from companion.language.generation import generate
from companion.language.scoring import token_log_probs
from companion.training.random import randint
from companion.validate import Count, check_labels, checked

PLACES = GRID * GRID


class CodeWriter(nn.Module):
    """A tokenizer and a GPT over its codes: together a model of pictures.

    Args:
        tokenizer: of 28×28 pictures.
        config: of the GPT, with as many letters as the tokenizer has codes and a context of 16.
    """

    def __init__(self, tokenizer: Tokenizer, config: PixelGPTConfig) -> None:
        super().__init__()
        size = tokenizer.quantiser.size
        if (config.letters, config.context) != (size, PLACES):
            raise ValueError(
                f"config: got {config.letters} letters and a context of {config.context}, wanted the tokenizer's {size} "
                f"codes and {PLACES} places"
            )
        self.tokenizer, self.gpt = tokenizer, PixelGPT(config)

    @checked
    def log_prob(self, codes: Int[Tensor, "n 4 4"]) -> Float[Tensor, "n"]:
        """log P of each picture's codes, in nats (eq-vae-prior)."""
        check_labels("codes", codes, self.tokenizer.quantiser.size)
        return token_log_probs(self.gpt, self._texts(codes.flatten(1))).sum(1)

    @torch.no_grad()
    @checked
    def bits(self, images: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, "n"]:
        """What the codes of each picture cost, in bits: at most about ``16 · log2 K`` once the prior has learned something."""
        return -self.log_prob(self.tokenizer.encode(images)) / math.log(2)

    @checked
    def write(self, n: Count, generator: torch.Generator) -> Int[Tensor, "n 4 4"]:
        """The codes of n new pictures, each drawn from the softmax, in reading order."""
        device = self.gpt.out.weight.device
        begin = self._texts(torch.empty(n, 0, dtype=torch.int64, device=device))
        written = generate(self.gpt, begin, PLACES, generator=generator)[:, 1:]
        return rearrange(written, "n (row column) -> n row column", row=GRID)

    @torch.no_grad()
    @checked
    def draw(self, n: Count, generator: torch.Generator) -> Float[Tensor, "n 1 28 28"]:
        """n new pictures."""
        return self.tokenizer.decode(self.write(n, generator))

    def _texts(self, codes: Int[Tensor, "n places"]) -> Int[Tensor, "n longer"]:
        return torch.cat([codes.new_full((len(codes), 1), self.gpt.config.begin), codes], 1)


def prior_loss(model: CodeWriter, batch: tuple[Tensor, ...], generator: torch.Generator) -> Float[Tensor, ""]:
    """Nats a code (eq-vae-prior) of a batch ``(codes,)`` of shape (n, 4, 4), for `companion.training.train`."""
    # In texts this short the processor goes back faster through attention's plain form than through its fused kernel.
    with sdpa_kernel(SDPBackend.MATH):
        return -model.log_prob(batch[0]).mean() / PLACES


@torch.no_grad()
@checked
def random_codes(model: CodeWriter, n: Count, generator: torch.Generator) -> Int[Tensor, "n 4 4"]:
    """Codes that know nothing of each other, each as likely as any other."""
    like = model.gpt.out.weight
    return randint(model.tokenizer.quantiser.size, (n, GRID, GRID), generator, like)
