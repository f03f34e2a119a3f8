"""A chat template: how a conversation becomes one text, and which of its tokens the model learns to write.

    <|user|> hello<|end|><|assistant|> hi, how are you?<|end|>                          (eq-chat-template)
                                       ‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾
The marked tokens are targets; the rest is read and not learned. Each role is a token of its own, and what a user types
is never read as one. Ouyang et al., "Training language models to follow instructions with human feedback", 2022,
arXiv:2203.02155, section 3, call the training on demonstrations supervised fine-tuning.
"""

import re
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from companion.language.tokenizers import ByteLevelBPE

USER, ASSISTANT, END = "<|user|>", "<|assistant|>", "<|end|>"
ROLES = (USER, ASSISTANT)
_LAUGH = re.compile(r"\b[ha]*(?:ha){2,}[ha]*\b")
_LONG = re.compile(r"(.)\1{3,}")


def plain(text: str) -> str:
    """A message as the small model reads it: no capitals, every laugh a haha, no sign more than three times in a row."""
    return _LONG.sub(r"\1\1\1", _LAUGH.sub("haha", text.lower()))


def templated(turns: Sequence[str], tokenizer: ByteLevelBPE, *, reply: bool = False) -> tuple[list[int], list[bool]]:
    """The tokens of a conversation that the user begins (eq-chat-template), and which are the assistant's to write.

    Args:
        turns: of user and assistant, by turns.
        tokenizer: with the three special tokens.
        reply: end with the sign that the assistant is to speak, for a model to go on.
    """
    ids, learned = [], []
    for place, turn in enumerate(turns):
        said = [*tokenizer.encode(" " + plain(turn)), tokenizer.special[END]]
        ids += [tokenizer.special[ROLES[place % 2]], *said]
        learned += [False, *[place % 2 == 1] * len(said)]
    if reply:
        ids.append(tokenizer.special[ROLES[len(turns) % 2]])
        learned.append(False)
    return ids, learned
