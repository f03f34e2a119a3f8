"""The tries of the lesson on chat: what counts in a template, the loss of a comparison, advantages, DPO."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor
from torch.nn import functional as F

from companion.exercises.tries import Try
from companion.text.chat.dpo import dpo_loss
from companion.text.chat.ppo import gae
from companion.text.chat.reward_model import preference_loss
from companion.text.chat.template import spoken


def one_text(rewards: Float[Tensor, "n"], values: Float[Tensor, "n"], decay: float) -> Float[Tensor, "n"]:
    """The advantages of the tokens of one text."""
    return gae(rewards[None], values[None], torch.ones_like(rewards[None], dtype=torch.bool), decay)[0]


def _conversations(g: Generator) -> list[tuple[Int[Tensor, "n length"], int, int]]:
    rows = []
    for _ in range(3):
        row: list[int] = []
        for turn in range(3):
            words = torch.randint(6, (2 + turn,), generator=g).tolist()
            row += [7 + turn % 2, *words, 6]
        rows.append(row)
    return [(torch.tensor(rows), 7, 8)]


def _rewards(g: Generator) -> list[tuple[Float[Tensor, "n"], Float[Tensor, "n"]]]:
    return [(torch.randn(n, generator=g), torch.randn(n, generator=g)) for n in (3, 6)]


def _texts(g: Generator) -> list[tuple[Float[Tensor, "n"], Float[Tensor, "n"], float]]:
    return [
        (torch.randn(n, generator=g), torch.randn(n, generator=g), decay) for n, decay in ((4, 0.0), (6, 0.9), (5, 1.0))
    ]


def _pairs(g: Generator) -> list[tuple[Tensor, Tensor, Tensor, Tensor, float]]:
    return [(*(-4 * torch.rand(4, n, generator=g)), beta) for n, beta in ((3, 0.5), (5, 2.0))]


def _with_signs(ids: Int[Tensor, "n length"], user: int, assistant: int) -> Bool[Tensor, "n length"]:
    return spoken(ids, user, assistant) | (ids == assistant)


TRIES = (
    Try(
        "3.4-chat-1", "counts(ids, user, assistant)", spoken, _conversations,
        {
            "the assistant's role sign is written for it": _with_signs,
            "the user's words, not the assistant's": lambda i, u, a: spoken(i, a, u),
            "everything after the first word of the assistant": lambda i, u, a: ((i == a).cumsum(1) > 0) & (i != a),
            "the end sign is one of the assistant's tokens": lambda i, u, a: spoken(i, u, a) & (i != 6),
        },
    ),
    Try(
        "3.4-chat-2", "surprise(better, worse)", preference_loss, _rewards,
        {
            "the chance, not minus its logarithm": lambda b, w: (b - w).sigmoid().mean(),
            "the wrong way round": lambda b, w: -F.logsigmoid(w - b).mean(),
            "the sum, not the mean": lambda b, w: -F.logsigmoid(b - w).sum(),
            "the difference itself: the logistic function is missing": lambda b, w: (w - b).mean(),
        },
    ),
    Try(
        "3.4-chat-3", "advantages(rewards, values, decay)", one_text, _texts,
        {
            "one surprise only, as λ = 0 has it": lambda r, v, d: one_text(r, v, 0.0),
            "what came minus the value, as λ = 1 has it": lambda r, v, d: one_text(r, v, 1.0),
            "the next token's value is missing": lambda r, v, d: one_text(r, v, d) - one_text(0 * r, v, d) - v,
            "summed from the first token on": lambda r, v, d: one_text(r.flip(0), v.flip(0), d).flip(0),
        },
    ),
    Try(
        "3.4-chat-4", "dpo(better, worse, better_ref, worse_ref, beta)", dpo_loss, _pairs,
        {
            "the reference is missing": lambda b, w, br, wr, k: -F.logsigmoid(k * (b - w)),
            "β is missing": lambda b, w, br, wr, k: dpo_loss(b, w, br, wr, 1.0),
            "the wrong way round": lambda b, w, br, wr, k: dpo_loss(w, b, wr, br, k),
            "the sign of the reference": lambda b, w, br, wr, k: -F.logsigmoid(k * ((b + br) - (w + wr))),
        },
    ),
)  # fmt: skip
