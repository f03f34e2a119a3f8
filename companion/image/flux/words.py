"""What a Flux is told of a prompt: of each word, and of the text as a whole.

Flux has two text towers: of one, T5, it is told each word's state, of the other, CLIP, the pooled text, which enters with the
time. A departure: here one reader of words serves for both, and the whole is the mean of what is said of the real words. Places
after the text's end are told as well, without a mask, as in Flux.
"""

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor, nn

from companion.image.stable_diffusion.words import Words
from companion.validate import checked


class WordsAndWhole(nn.Module):
    """Prompts to what is said of their words and of the whole.

    Args:
        words: says of each word its numbers, and which are real.
    """

    def __init__(self, words: Words) -> None:
        super().__init__()
        self.words = words

    def forward(self, prompts: Sequence[str]) -> tuple[Float[Tensor, "n words width"], Float[Tensor, "n width"]]:
        """What is said of each word, and of the whole.

        Raises:
            ValueError: an unknown word, or a prompt that is too long.
        """
        told, real = self.words(prompts)
        return told, whole(told, real)


@checked
def whole(told: Float[Tensor, "n words width"], real: Bool[Tensor, "n words"]) -> Float[Tensor, "n width"]:
    """The mean over the real words of each text."""
    return (told * real[..., None]).sum(1) / real.sum(1, keepdim=True)
