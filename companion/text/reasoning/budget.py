"""A budget of thought: how long an answer must be, whatever the model would like.

The end sign is forbidden until an answer has so many tokens. No weight changes; "budget forcing" in Muennighoff et
al., "s1: Simple Test-Time Scaling", 2025, arXiv:2501.19393, which puts the word "Wait" in place of the end.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.validate import Count, Range, checked


@checked
@dataclass(frozen=True)
class MinLength:
    """A processor (`companion.language.processors`) that forbids the end of answers that are too short.

    Attributes:
        tokens: an answer has at least so many before its end sign.
        asked: tokens of a question.
        end: the end sign.
    """

    tokens: Annotated[int, Range(0)]
    asked: Count
    end: Annotated[int, Range(0)]

    def __call__(
        self, ids: Int[Tensor, "batch n"], logits: Float[Tensor, "batch vocab"]
    ) -> Float[Tensor, "batch vocab"]:
        if ids.shape[1] - self.asked >= self.tokens:
            return logits
        return logits.index_fill(1, torch.tensor([self.end], device=logits.device), -torch.inf)
