"""Span corruption: the task on which T5 was pre-trained.

Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", 2019, arXiv:1910.10683,
section 3.1.4 and figure 2. Short spans are cut out of a text. The encoder reads what is left, with a numbered *sentinel* in
each gap; the decoder writes the sentinels, each followed by what was cut out there, and one more sentinel as the end:

    x = "Thank you for inviting me to your party last week"
    input  = "Thank you <0> me to your party <1> week"
    target = "<0> for inviting <1> last <2>"                                                  (eq-span-corruption)

In expectation 15 % of the tokens are cut, in spans of 3. Sentinels are the vocabulary's last numbers and count *down*.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Int
from torch import Tensor

from companion.validate import Range, check_count, checked


@dataclass(frozen=True)
class Corrupted:
    """A text with gaps and what belongs into them (eq-span-corruption).

    Attributes:
        input: the text, each gap a sentinel.
        target: each sentinel with the tokens that it stands for, and a last sentinel.
    """

    input: Int[Tensor, "_"]
    target: Int[Tensor, "_"]


@checked
def corrupt(
    ids: Int[Tensor, "n"],
    first_sentinel: int,
    generator: torch.Generator,
    *,
    share: Annotated[float, Range(0, 1, open_low=True)] = 0.15,
    mean_length: Annotated[float, Range(1)] = 3.0,
) -> Corrupted:
    """Cut spans out of a text (eq-span-corruption).

    The tokens that are cut are divided into pieces, and those that stay into one piece more, every division being equally
    likely; the pieces alternate, so a text begins and ends with one that stays (the published code always cuts the end).

    Args:
        ids: token numbers below all sentinels.
        first_sentinel: the number of sentinel 0, the vocabulary's last; sentinel i is ``first_sentinel`` - i.
        generator: draws the spans.
        share: of the tokens that are cut.
        mean_length: of a span.

    Raises:
        ValueError: fewer than three tokens, a negative one or one that could be a sentinel, or a share or length out of range.
    """
    n = len(ids)
    check_count("the number of tokens", n, low=3)
    cut = min(max(round(n * share), 1), n - 2)
    spans = min(max(round(cut / mean_length), 1), n - cut - 1)
    if int(ids.min()) < 0:
        raise ValueError(f"ids: got token {int(ids.min())}, wanted none below 0")
    if int(ids.max()) >= first_sentinel - spans:
        raise ValueError(
            f"ids: got token {int(ids.max())}, wanted numbers below the sentinels, {first_sentinel - spans}"
        )
    kept_pieces, cut_pieces = _pieces(n - cut, spans + 1, generator), _pieces(cut, spans, generator)
    source, target, at = [], [], 0
    for i, (kept, length) in enumerate(zip(kept_pieces, cut_pieces, strict=False)):
        sentinel = ids.new_tensor([first_sentinel - i])
        source += [ids[at : at + kept], sentinel]
        target += [sentinel, ids[at + kept : at + kept + length]]
        at += kept + length
    return Corrupted(torch.cat([*source, ids[at:]]), torch.cat([*target, ids.new_tensor([first_sentinel - spans])]))


def restore(corrupted: Corrupted, first_sentinel: int) -> Int[Tensor, "n"]:
    """Put the spans back where they were cut out: the inverse of `corrupt`.

    Raises:
        ValueError: a target without its last sentinel, or without one that the input has.
    """
    gaps: dict[int, list[int]] = {}
    target = corrupted.target.tolist()
    sentinels = [i for i, token in enumerate(target) if token > first_sentinel - len(target)]
    if not sentinels or sentinels[0] != 0 or sentinels[-1] != len(target) - 1:
        raise ValueError(f"target: got {target}, wanted one that begins and ends with a sentinel")
    for start, end in zip(sentinels, sentinels[1:], strict=False):
        gaps[target[start]] = target[start + 1 : end]
    whole: list[int] = []
    for token in corrupted.input.tolist():
        if token > first_sentinel - len(target) and token not in gaps:
            raise ValueError(f"target: got nothing for sentinel {first_sentinel - token}, wanted what belongs there")
        whole += gaps.get(token, [token])
    return corrupted.input.new_tensor(whole)


def _pieces(total: int, parts: int, generator: torch.Generator) -> list[int]:
    """Positive lengths that add up to ``total``, every such list being equally likely."""
    ends = 1 + torch.randperm(total - 1, generator=generator)[: parts - 1].sort().values
    return torch.diff(ends, prepend=ends.new_tensor([0]), append=ends.new_tensor([total])).tolist()
