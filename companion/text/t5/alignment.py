r"""Where a T5 looks while it writes: cross-attention as an alignment of target and source, and a number for it.

Let each token of source and target belong to a part, such as the year of a date. For the target's tokens that belong to a part
of the source, the *share on the same part* is the attention that lands on it, on average:

    S = mean_t Σ_{n: part(n) = part(t)} attention[t, n]                                       (eq-t5-share)

Attention that is the same everywhere has the share of the source's tokens that belong to the part. Attention as alignment:
Bahdanau et al., arXiv:1409.0473; that it need not say why a model decides: Jain & Wallace, arXiv:1902.10186.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from companion.language.tokenizers import ByteLevelBPE
from companion.validate import checked


@dataclass(frozen=True)
class Alignment:
    """How much attention lands on the part that a token belongs to (eq-t5-share).

    Attributes:
        shares: of each layer and head.
        uniform: of attention that is the same everywhere.
    """

    shares: Float[Tensor, "layers heads"]
    uniform: float


def token_parts(text: str, parts: str, tokens: ByteLevelBPE) -> str:
    """To which part each token of a text belongs: that of its first letter or digit, or of its first character.

    Args:
        text: to be encoded.
        parts: a letter for each of its characters, such as ``companion.data.dates.DateSet.marks``.
        tokens: that encode it.

    Returns:
        A letter for each token.

    Raises:
        ValueError: not a letter for each character.
    """
    if len(text) != len(parts):
        raise ValueError(f"parts: got {len(parts)} letters, wanted one for each of the {len(text)} characters")
    plain = [c.isalnum() for c in text for _ in c.encode()]
    of_bytes = [part for c, part in zip(text, parts, strict=True) for _ in c.encode()]
    found, at = "", 0
    for token in tokens.encode(text):
        places = range(at, at + len(tokens.tokens[token] or b""))
        found += of_bytes[next((i for i in places if plain[i]), at)]
        at = places.stop
    return found


@checked
def alignment(
    maps: Sequence[Float[Tensor, "layers heads _ _"]], source_parts: Sequence[str], target_parts: Sequence[str]
) -> Alignment:
    """The share of attention on the same part (eq-t5-share), over all tokens of all texts.

    Args:
        maps: for each text how each place of the target looks at each of the source, as `T5.decode_with_maps` has it; without
            padding.
        source_parts: for each text a letter for each token of the source.
        target_parts: likewise for the target; a token whose part the source does not have does not count.

    Raises:
        ValueError: parts that do not fit the maps, maps that are not finite, or no token of a part that the source has.
    """
    total, uniform, count = torch.zeros(()), 0.0, 0
    for attention, source, target in zip(maps, source_parts, target_parts, strict=True):
        if attention.shape[2:] != (len(target), len(source)):
            raise ValueError(
                f"maps: got {tuple(attention.shape[2:])} places, wanted {(len(target), len(source))} as there are parts"
            )
        if not attention.isfinite().all():
            raise ValueError("maps: got numbers that are not finite, wanted attention")
        for t, part in enumerate(target):
            same = torch.tensor([part == other for other in source])
            if same.any():
                total = total + attention[:, :, t, same].sum(-1)
                uniform, count = uniform + float(same.float().mean()), count + 1
    if not count:
        raise ValueError("target_parts: got no token of a part that the source has, wanted one")
    return Alignment(total / count, uniform / count)
