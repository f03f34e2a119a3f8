"""What a denoiser is told of each word of a prompt: the word by itself, and the word in its place.

The state of a word in a text tower has taken in the words before it; on such states Rombach et al., 2021, arXiv:2112.10752,
section 3.3, condition their denoiser. A departure: beside its state stands the word's embedding, which has taken in none. A
state of a pair that was never shown is new to the denoiser; the two embeddings are not.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion.image.clip.towers import ClipText
from companion.language.words import WordTokenizer


class Words(nn.Module):
    """Prompts to what is said of their words.

    Args:
        tokens: the words that are known, with a start and an end.
        tower: trained; it is used without gradients.

    Attributes:
        width: of what is said of a word: twice the tower's.
    """

    def __init__(self, tokens: WordTokenizer, tower: ClipText) -> None:
        super().__init__()
        self.tokens, self.tower, self.width = tokens, tower, 2 * tower.config.width

    @torch.no_grad()
    def forward(self, prompts: Sequence[str]) -> tuple[Float[Tensor, "n words width"], Bool[Tensor, "n words"]]:
        """Embeddings, normed, beside states; and which words are real, start and end included.

        Raises:
            ValueError: an unknown word, or a prompt that is too long.
        """
        ids = self.tokens.encode(prompts).to(self.tower.tokens.weight.device)
        alone = F.layer_norm(self.tower.tokens(ids), (self.tower.config.width,))
        return torch.cat([alone, self.tower(ids)], dim=2), self.tokens.real(ids)
