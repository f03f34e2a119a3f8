"""Fill in the middle: a left-to-right model that completes at the cursor, with code on both sides.

A text is cut at two random places into prefix, middle and suffix, and the middle is moved to the end. Four special tokens
say what is what, in one of two orders (eq-codex-fim)::

    PSM:  prefix middle suffix  →  <|prefix|> prefix <|suffix|> suffix <|middle|> middle <|end|>
    SPM:  prefix middle suffix  →  <|suffix|> suffix <|prefix|> prefix <|middle|> middle <|end|>

The network stays as it is; only the data change. At the cursor one gives the model everything up to ``<|middle|>`` and lets it
write until ``<|end|>``. In SPM the middle follows directly on the prefix, which is easier for a small model: it need not look
back over the suffix for the place where the prefix broke off.

Bavarian et al., "Efficient Training of Language Models to Fill in the Middle", 2022, arXiv:2207.14255: both orders, cuts
between any two characters (section 3; cuts between tokens only would fail inside a word), the transformation of a share of
the pieces that fit a context ("context-level"). Departures: ``<|middle|>`` stands between prefix and middle in SPM too, so that
it can be undone; pieces are cut at empty lines, so that most of them are whole statements.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from companion.language.tokenizers import ByteLevelBPE
from companion.validate import Count, Share, checked

Order = Literal["PSM", "SPM"]
PREFIX, SUFFIX, MIDDLE, END = SPECIAL = ("<|prefix|>", "<|suffix|>", "<|middle|>", "<|end|>")


@dataclass(frozen=True)
class Cut:
    """A text in three parts; joined in this order they are the text again."""

    prefix: str
    middle: str
    suffix: str

    @property
    def text(self) -> str:
        """The text before it was cut."""
        return self.prefix + self.middle + self.suffix


def cut(text: str, generator: torch.Generator) -> Cut:
    """Cut a text at two places drawn uniformly among all places between characters, its ends included."""
    first, last = sorted(torch.randint(len(text) + 1, (2,), generator=generator).tolist())
    return Cut(text[:first], text[first:last], text[last:])


@checked
def question(bpe: ByteLevelBPE, prefix: str, suffix: str, *, order: Order = "SPM") -> list[int]:
    """What the model is given at the cursor: everything of (eq-codex-fim) before the middle."""
    before = [bpe.special[PREFIX], *bpe.encode(prefix)]
    after = [bpe.special[SUFFIX], *bpe.encode(suffix)]
    return [*(before + after if order == "PSM" else after + before), bpe.special[MIDDLE]]


def rearranged(bpe: ByteLevelBPE, parts: Cut, *, order: Order = "SPM") -> list[int]:
    """The tokens of a cut text with the middle at the end (eq-codex-fim)."""
    return [*question(bpe, parts.prefix, parts.suffix, order=order), *bpe.encode(parts.middle), bpe.special[END]]


def restored(bpe: ByteLevelBPE, ids: Sequence[int]) -> Cut:
    """The inverse of `rearranged`, for both orders.

    Raises:
        ValueError: the four special tokens are not all there, once each and in order.
    """
    order = (SUFFIX, PREFIX, MIDDLE, END) if len(ids) and ids[0] == bpe.special[SUFFIX] else SPECIAL
    places = [[i for i, token in enumerate(ids) if token == bpe.special[name]] for name in order]
    flat = [i for found in places for i in found]
    if [len(found) for found in places] != [1, 1, 1, 1] or flat != sorted(flat) or flat[0] != 0:
        raise ValueError(f"ids: got the special tokens at {places}, wanted {', '.join(SPECIAL)} once each, in order")
    first, second, middle = (bpe.decode(list(ids[a + 1 : b])) for a, b in pairwise(flat))
    return Cut(first, middle, second) if ids[0] == bpe.special[PREFIX] else Cut(second, middle, first)


@checked
def pieces(source: str, size: Count) -> Iterator[str]:
    """Cut a file into pieces of about ``size`` characters, at empty lines where there are any; joined, they are the file."""
    held = ""
    for paragraph in source.split("\n\n"):
        paragraph += "\n\n"
        if held and len(held) + len(paragraph) > size:
            yield held
            held = ""
        held += paragraph
        while len(held) > 2 * size:
            at = held.rfind("\n", 0, size) + 1 or size
            yield held[:at]
            held = held[at:]
    if held[:-2]:
        yield held[:-2]  # the last paragraph had no empty line after it


@checked
def training_ids(
    sources: Sequence[str],
    bpe: ByteLevelBPE,
    generator: torch.Generator,
    *,
    rate: Share = 0.5,
    size: int = 560,
    order: Order = "PSM",
) -> Int[Tensor, "tokens"]:
    """One long row of tokens to train on: of each file every piece, rearranged with probability ``rate``, else as it is.

    ``<|end|>`` follows each rearranged piece and each file, so no text runs into another without a token between them.

    Args:
        sources: files.
        bpe: a tokenizer with the four special tokens.
        generator: draws which pieces are rearranged, and where they are cut.
        rate: the share of rearranged pieces; at 0 the row is plain text.
        size: characters a piece; with its four special tokens it should fit the model's context.
        order: of the rearranged pieces.

    Raises:
        ValueError: a rate outside [0, 1], or a tokenizer without the special tokens.
    """
    if any(name not in bpe.special for name in SPECIAL):
        raise ValueError(f"bpe: got the special tokens {sorted(bpe.special)}, wanted {', '.join(SPECIAL)}")
    row: list[int] = []
    for source in sources:
        for piece in pieces(source, size):
            if float(torch.rand((), generator=generator)) < rate:
                row += rearranged(bpe, cut(piece, generator), order=order)
            else:
                row += bpe.encode(piece)
        row.append(bpe.special[END])
    return torch.tensor(row)
