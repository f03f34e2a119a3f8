r"""Direct preference optimisation: from comparisons to a policy, without a reward model and without drawing.

The best policy for a reward (eq-chat-optimum) says what the reward was, up to a constant:
r = β log π*/π_ref + β log Z. Put into the chance of a preference (eq-chat-preference), Z cancels:

.. math:: L = -\log \sigma\Big(\beta \log \frac{\pi(x)}{\pi_\text{ref}(x)}
   - \beta \log \frac{\pi(y)}{\pi_\text{ref}(y)}\Big)                                      (eq-chat-dpo)

where x was preferred to y. Rafailov et al., 2023, arXiv:2305.18290, equation 7. Its minimum, with all pairs and their exact
chances, is π*.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from companion.language.scoring import token_log_probs
from companion.text.chat.reward_model import prefer
from companion.text.chat.rollouts import Utility, World, draw
from companion.training.modes import evaluating
from companion.validate import Count, Positive, checked

Pairs = tuple[Int[Tensor, "n letters"], Bool[Tensor, "n letters"], Int[Tensor, "n letters"], Bool[Tensor, "n letters"]]


def dpo_loss(
    better: Float[Tensor, "n"],
    worse: Float[Tensor, "n"],
    better_ref: Float[Tensor, "n"],
    worse_ref: Float[Tensor, "n"],
    beta: float,
) -> Float[Tensor, "n"]:
    """The loss of each pair (eq-chat-dpo), in nats.

    Args:
        better: log π of the texts that were preferred.
        worse: of the others.
        better_ref: log π_ref of the texts that were preferred.
        worse_ref: of the others.
        beta: β.
    """
    return -F.logsigmoid(beta * ((better - better_ref) - (worse - worse_ref)))


def text_log_probs(
    model: nn.Module, ids: Int[Tensor, "n letters"], mask: Bool[Tensor, "n letters"]
) -> Float[Tensor, "n"]:
    """The log-probability of each text given its first token, in nats; the sum, not the mean, of the tokens that count."""
    return (token_log_probs(model, ids) * mask[:, 1:]).sum(1)


@checked
def compare(model: nn.Module, world: World, utility: Utility, pairs: Count, generator: Generator) -> Pairs:
    """Draw pairs of texts that begin alike and ask somebody which is better: better, mask, worse, mask.

    Texts that are equal are compared, too, as by a coin.
    """
    starts = world.starts(pairs, generator)
    both = [draw(model, world, starts, generator) for _ in range(2)]
    masks = [world.judge(ids).mask for ids in both]
    worth = [utility(ids, mask) for ids, mask in zip(both, masks, strict=True)]
    first = prefer(*worth, generator)[:, None]
    return (
        torch.where(first, both[0], both[1]),
        torch.where(first, masks[0], masks[1]),
        torch.where(first, both[1], both[0]),
        torch.where(first, masks[1], masks[0]),
    )


@checked
def dpo_objective(
    reference: nn.Module, beta: Positive
) -> Callable[[nn.Module, Pairs, Generator | None], Float[Tensor, ""]]:
    """The mean `dpo_loss` of a batch of pairs, as `companion.training.train` calls it.

    Args:
        reference: π_ref, which stays.
        beta: β.
    """

    def loss(model: nn.Module, batch: Pairs, generator: Generator | None = None) -> Tensor:
        better, better_mask, worse, worse_mask = batch
        ids, mask = torch.cat([better, worse]), torch.cat([better_mask, worse_mask])
        with evaluating(reference):
            old = text_log_probs(reference, ids, mask).chunk(2)
        return dpo_loss(*text_log_probs(model, ids, mask).chunk(2), *old, beta).mean()

    return loss
