"""A chat template: how a conversation becomes one text, and which of its tokens the model learns to write::

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
from torch import Generator, Tensor, nn

from companion.language.contract import device_of
from companion.language.generation import generate
from companion.language.processors import Processor
from companion.language.tokenizers import ByteLevelBPE

USER, ASSISTANT, END = "<|user|>", "<|assistant|>", "<|end|>"
ROLES = (USER, ASSISTANT)
_LAUGH = re.compile(r"\b[ha]*(?:ha){2,}[ha]*\b")
_LONG = re.compile(r"(.)\1{3,}")


def plain(text: str) -> str:
    """A message as the small model reads it: no capitals, every laugh a haha, no sign more than three times in a row."""
    return _LONG.sub(r"\1\1\1", _LAUGH.sub("haha", text.lower()))


def templated(turns: Sequence[str], tokenizer: ByteLevelBPE, *, reply: bool = False) -> list[int]:
    """The tokens of a conversation that the user begins (eq-chat-template).

    Args:
        turns: of user and assistant, by turns.
        tokenizer: with the three special tokens.
        reply: end with the sign of who is to speak, for a model to go on.
    """
    ids: list[int] = []
    for place, turn in enumerate(turns):
        ids += [tokenizer.special[ROLES[place % 2]], *tokenizer.encode(" " + plain(turn)), tokenizer.special[END]]
    return [*ids, tokenizer.special[ROLES[len(turns) % 2]]] if reply else ids


def spoken(ids: Int[Tensor, "n length"], user: int, assistant: int) -> Bool[Tensor, "n length"]:
    """Where the assistant's words are, its end signs included and its role signs not.

    Args:
        ids: conversations in the template.
        user: the token that begins a user's turn.
        assistant: the one that begins the assistant's.
    """
    begins = (ids == user) | (ids == assistant)
    places = torch.arange(ids.shape[1], device=ids.device)
    turn = torch.where(begins, places, 0).cummax(1).values
    return (ids.gather(1, turn) == assistant) & ~begins


def reply_to(
    model: nn.Module,
    tokenizer: ByteLevelBPE,
    turns: Sequence[str],
    generator: Generator,
    *,
    processors: Sequence[Processor] = (),
    longest: int = 32,
) -> str:
    """What an assistant answers to a conversation whose last turn is the user's; the model forgets what no longer fits.

    Args:
        model: a `companion.language.contract.LanguageModel` that was taught the template.
        tokenizer: its tokens.
        turns: of user and assistant, by turns, beginning with the user's.
        generator: draws the answer.
        processors: of `companion.language.processors`.
        longest: tokens of an answer.

    Raises:
        ValueError: the last turn is the assistant's.
    """
    if len(turns) % 2 == 0:
        raise ValueError(f"turns: got {len(turns)}, wanted an odd number: the last one is the user's")
    said = templated(turns, tokenizer, reply=True)[-(model.config.context - longest) :]
    ids = torch.tensor([said], device=device_of(model))
    end = tokenizer.special[END]
    written = generate(model, ids, longest, processors=processors, generator=generator, stop_token=end)[0, len(said) :]
    return tokenizer.decode(i for i in written.tolist() if i != end).strip()
