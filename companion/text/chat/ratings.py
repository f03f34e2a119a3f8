r"""A reward model of whole conversations, from the ratings of the people who had them.

The features f of a conversation are fixed: its length, or what a language model has made of it. The reward is linear in them
and is fitted to pairs of conversations with different ratings (eq-chat-preference):

.. math:: r(x) = w \cdot f(x),\qquad
   \min_w \; \text{mean} \big({-\log \sigma(r(x) - r(y))}\big) + \tfrac{\alpha}{2} |w|^2    (eq-chat-ratings)

where x was rated higher than y. Judged on pairs of held-out conversations: how often the higher is higher, and the Brier score,
the mean squared distance of the predicted chance from what was so, which is 1/4 for a coin.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from companion.data.chats import Chat
from companion.language.contract import device_of
from companion.language.tokenizers import ByteLevelBPE
from companion.text.chat.template import plain
from companion.training.modes import evaluating
from companion.training.random import randint
from companion.validate import Count, Positive, checked


def stars(talks: Sequence[Chat]) -> Float[Tensor, "n"]:
    """The mean of a conversation's three ratings, from 1 to 10.

    Raises:
        ValueError: a conversation that nobody has rated.
    """
    missing = sum(chat.rating is None for chat in talks)
    if missing:
        raise ValueError(
            f"talks: got {missing} without a rating, wanted rated ones; leave out those whose rating is None"
        )
    return torch.tensor([sum(chat.rating) / 3 for chat in talks])


def lengths(talks: Sequence[Chat]) -> Float[Tensor, "n 2"]:
    """The logarithms of how many words and how many turns a conversation has."""
    words = [sum(len(turn.split()) for turn in chat.turns) for chat in talks]
    return torch.tensor([[w, len(chat.turns)] for w, chat in zip(words, talks, strict=True)]).clamp(min=1).log()


@checked
def readings(
    model: nn.Module, tokenizer: ByteLevelBPE, talks: Sequence[Chat], tokens: Count
) -> Float[Tensor, "n width"]:
    """What a language model makes of the last tokens of each conversation: the mean of its normed states.

    Args:
        model: a `companion.text.llama.Llama`.
        tokenizer: its tokens.
        talks: to be read, a turn a line.
        tokens: how many, at most.
    """
    rows = [tokenizer.encode("\n".join(plain(turn) for turn in chat.turns)[-8 * tokens :])[-tokens:] for chat in talks]
    found = torch.empty(len(rows), model.config.width)
    with evaluating(model):
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for first in range(0, len(order), 32):
            part = order[first : first + 32]
            real = torch.zeros(len(part), max(len(rows[i]) for i in part), dtype=torch.bool)
            ids = real.long()
            for row, i in enumerate(part):
                ids[row, : len(rows[i])], real[row, : len(rows[i])] = torch.tensor(rows[i]), True
            x = model.tokens(ids.to(device_of(model)))
            for block in model.blocks:
                x = block(x)
            states = model.norm(x).float().cpu() * real[..., None]
            found[part] = states.sum(1) / real.sum(1, keepdim=True)
    return found


@checked
def fit_reward(
    features: Float[Tensor, "n d"],
    rating: Float[Tensor, "n"],
    generator: Generator,
    *,
    alpha: Positive,
    pairs: Count = 20_000,
) -> Float[Tensor, "d"]:
    """w of eq-chat-ratings, by Newton's method on drawn pairs.

    Args:
        features: f of each conversation.
        rating: of each.
        generator: draws the pairs; those of equal ratings are left out.
        alpha: α, what holds w small.
        pairs: drawn.

    Raises:
        ValueError: ratings or features that are not finite, or ratings that are all equal.
    """
    if not (features.isfinite().all() and rating.isfinite().all()):
        raise ValueError(
            "features, rating: got a number that is not finite, wanted finite ones; a feature with no spread?"
        )
    _differ(rating)
    x, y = randint(len(features), (2, pairs), generator)
    higher = rating[x] > rating[y]
    x, y = torch.where(higher, x, y), torch.where(higher, y, x)
    gap = (features[x] - features[y])[rating[x] > rating[y]].double()
    weights = torch.zeros(gap.shape[1], dtype=torch.float64)
    for _ in range(12):
        chance = (gap @ weights).sigmoid()
        slope = alpha * weights - gap.T @ (1 - chance) / len(gap)
        bend = (gap.T * (chance * (1 - chance))) @ gap / len(gap) + alpha * torch.eye(len(weights), dtype=torch.float64)
        step = torch.linalg.solve(bend, slope)
        weights = weights - step
        if step.abs().max() < 1e-9:
            break
    return weights.float()


def pair_scores(reward: Float[Tensor, "n"], rating: Float[Tensor, "n"]) -> Float[Tensor, "pairs 2"]:
    """Of every pair of different ratings: is the higher one's reward higher (a tie is half), and the Brier score.

    Raises:
        ValueError: ratings that are all equal.
    """
    _differ(rating)
    gap = (reward[:, None] - reward)[rating[:, None] > rating]
    return torch.stack([(gap > 0).float() + 0.5 * (gap == 0).float(), (F.sigmoid(gap) - 1).square()], 1)


def _differ(rating: Float[Tensor, "n"]) -> None:
    if (rating == rating[:1]).all():
        raise ValueError(
            f"rating: got {len(rating)} equal ratings, wanted different ones: a pair needs a higher and a lower"
        )
