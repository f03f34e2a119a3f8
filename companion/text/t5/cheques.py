"""Cheques: plain text that says a number twice, in digits and in words; and a copy of it in which it does not.

    3271 (trois mille deux cent soixante et onze)        or        trois mille deux cent soixante et onze (3271)

On such lines T5 is pre-trained by span corruption. In the *matched* text digits and words are one number. In the other the
digits are dealt out anew among the lines: the same words, the same digits, and nothing in a line says the same twice. What a
model gains from the one and not from the other it can only have from that.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from companion.data.number_words import number_words, write_number
from companion.language.tokenizers import ByteLevelBPE
from companion.text.t5.span_corruption import corrupt
from companion.text.t5.text_to_text import padded
from companion.validate import Count, check_count, checked


@checked
def cheque_texts(
    split: str, language: str = "fr", *, matched: bool, generator: Generator | None = None, limit: Count | None = None
) -> list[str]:
    """A line for each number of a split, digits first in every second one.

    Args:
        split: of `companion.data.number_words`.
        language: of the words.
        matched: whether digits and words are one number.
        generator: deals the digits out where they are not.
        limit: at most so many lines.

    Raises:
        ValueError: an unknown split or language, or lines that are not matched without a generator.
    """
    digits = number_words(split, limit=limit).inputs
    words = [write_number(int(number), language) for number in digits]
    if not matched:
        if generator is None:
            raise ValueError("generator: got None, wanted one that deals the digits out")
        digits = [digits[i] for i in torch.randperm(len(digits), generator=generator).tolist()]
    both = zip(digits, words, strict=True)
    return [f"{d} ({w})" if i % 2 else f"{w} ({d})" for i, (d, w) in enumerate(both)]


class SpanBatches:
    """Batches of texts with gaps, cut anew each time: ``draw(n, generator)`` for `companion.training.train`.

    Args:
        texts: those of fewer than three tokens, which have no room for a gap, are left out.
        tokens: with sentinels as the last numbers, as `companion.text.t5.tasks.vocabulary` makes them.
        share: of the tokens that are cut.

    Raises:
        ValueError: no text of three tokens.
    """

    @checked
    def __init__(self, texts: Sequence[str], tokens: ByteLevelBPE, *, share: float = 0.15) -> None:
        self.rows = [torch.tensor(ids) for ids in map(tokens.encode, texts) if len(ids) >= 3]
        check_count("the number of texts with three tokens", len(self.rows))
        self.pad, self.first = tokens.special["<pad>"], tokens.special["<0>"]
        self.share = share

    def __call__(self, n: int, generator: Generator) -> list[Int[Tensor, "n longest"]]:
        """Inputs and targets of ``n`` texts, drawn with replacement."""
        chosen = torch.randint(len(self.rows), (n,), generator=generator).tolist()
        cut = [corrupt(self.rows[i], self.first, generator, share=self.share) for i in chosen]
        return [padded([c.input for c in cut], pad=self.pad), padded([c.target for c in cut], pad=self.pad)]
