r"""A reward that is learned from comparisons.

A scalar head takes the place of a language model's output matrix; the reward r(x) of a text is what it says at the last
token. Somebody prefers x to y with the chance (Bradley & Terry, 1952)

.. math:: P(x \succ y) = \sigma(r(x) - r(y))                                              (eq-chat-preference)

and the loss is -log of the chance of what was preferred. A constant that is added to all rewards changes nothing. Christiano
et al., "Deep reinforcement learning from human preferences", 2017, arXiv:1706.03741; as here: Ouyang et al., 2022,
arXiv:2203.02155, equation 1.
"""

import copy

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from companion.training.random import bernoulli


class ScalarModel(nn.Module):
    """A language model that gives one number at each token, where it gave a distribution.

    Args:
        model: with an output matrix ``out`` of the width's columns, such as `companion.text.llama.Llama`; it is copied.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.body = copy.deepcopy(model)
        self.body.out = nn.Linear(model.out.in_features, 1)
        nn.init.zeros_(self.body.out.weight)
        nn.init.zeros_(self.body.out.bias)
        self.body.to(next(model.parameters()).device)

    def forward(self, ids: Int[Tensor, "n letters"]) -> Float[Tensor, "n letters"]:
        """The number at each token, computed from it and those before."""
        return self.body(ids)[..., 0].float()

    def at_end(self, ids: Int[Tensor, "n letters"], mask: Bool[Tensor, "n letters"]) -> Float[Tensor, "n"]:
        """The number at the last token that counts."""
        places = torch.arange(ids.shape[1], device=ids.device)
        return self(ids)[torch.arange(len(ids), device=ids.device), (places * mask).amax(1)]


def preference_loss(better: Float[Tensor, "n"], worse: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """Mean -log P that the better of two is preferred (eq-chat-preference), in nats."""
    return -F.logsigmoid(better - worse).mean()


def reward_loss(
    model: ScalarModel, batch: tuple[Tensor, Tensor, Tensor, Tensor], generator: Generator | None = None
) -> Float[Tensor, ""]:
    """`preference_loss` of pairs, as `companion.training.train` calls it.

    Args:
        model: the reward model.
        batch: the better texts, which of their tokens count, the worse ones, and theirs.
        generator: not needed: the objective draws nothing.
    """
    better, better_mask, worse, worse_mask = batch
    values = model.at_end(torch.cat([better, worse]), torch.cat([better_mask, worse_mask]))
    return preference_loss(*values.chunk(2))


def prefer(first: Float[Tensor, "n"], second: Float[Tensor, "n"], generator: Generator) -> Bool[Tensor, "n"]:
    """Ask somebody which of two they like: True for the first, with the chance of eq-chat-preference."""
    return bernoulli((first - second).sigmoid(), generator).bool()
