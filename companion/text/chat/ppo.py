r"""Proximal policy optimisation with a price on leaving the reference.

The utility u comes with the last token, the price of every token at once, and a value model V says what is to be expected:

.. math::
   r_t &= -\beta \log \frac{\pi(v_t)}{\pi_\text{ref}(v_t)} + [t \text{ is last}]\, u      (eq-chat-token-reward) \\
   \delta_t &= r_t + V_{t+1} - V_t,\qquad
   A_t = \sum_{k \ge 0} \lambda^k \delta_{t+k}                                            (eq-chat-gae) \\
   L &= -\tfrac1N \sum_t \min(\rho_t A_t, \text{clip}(\rho_t, 1-\epsilon, 1+\epsilon) A_t)  (eq-chat-ppo)

with ρ_t the ratio of the token's probabilities now and when it was drawn. λ = 1 gives what came minus V, λ = 0 the
surprise of one step. PPO: Schulman et al., 2017, arXiv:1707.06347; GAE: Schulman et al., 2016, arXiv:1506.02438, equation 16;
the price: Ziegler et al., 2019, arXiv:1909.08593, and Ouyang et al., 2022, arXiv:2203.02155, equation 2, without its
pre-training term. Departures: no discount, as there; the value model is its own transformer; its loss is not clipped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn
from tqdm import tqdm

from companion.language.scoring import token_log_probs
from companion.text.chat.reward_model import ScalarModel
from companion.text.chat.rollouts import Rollouts, Utility, World, roll_out
from companion.text.reasoning.grpo import clipped_objective
from companion.training.modes import evaluating
from companion.training.optimization import TrainConfig, Updater
from companion.validate import Count, NonNegative, Positive, Range, Share, checked

Seen = TypeVar("Seen")


@checked
@dataclass(frozen=True)
class PPOConfig:
    """How to learn.

    Attributes:
        beta: β, the price of a nat.
        updates: how often texts are drawn.
        rollouts: how many, each time.
        lr: of the policy; constant after a short warm-up.
        value_lr: of the value model.
        passes: updates of the weights for one draw.
        clip: ε.
        decay: λ of the advantages.
    """

    beta: NonNegative
    updates: Count
    rollouts: Count = 128
    lr: Positive = 1e-3
    value_lr: Positive = 3e-3
    passes: Count = 4
    clip: Annotated[float, Range(0, 0.99, open_low=True)] = 0.2
    decay: Share = 0.95


def token_rewards(drawn: Rollouts, beta: float) -> Float[Tensor, "n steps"]:
    """What each token earns (eq-chat-token-reward): the utility at the last, minus the price at every one; 0 outside."""
    last = drawn.mask & ~nn.functional.pad(drawn.mask[:, 1:], (0, 1))
    return torch.where(drawn.mask, drawn.utility[:, None] * last - beta * (drawn.log_p - drawn.log_ref), 0.0)


def gae(
    rewards: Float[Tensor, "n steps"], values: Float[Tensor, "n steps"], mask: Bool[Tensor, "n steps"], decay: float
) -> Float[Tensor, "n steps"]:
    """Advantages (eq-chat-gae); after the last token that counts nothing is to be expected, and there they are 0."""
    advantage, after, found = torch.zeros_like(rewards[:, 0]), torch.zeros_like(rewards[:, 0]), []
    for reward, value, here in zip(*(x.unbind(1)[::-1] for x in (rewards, values, mask)), strict=True):
        advantage = torch.where(here, reward + after - value + decay * advantage, 0.0)
        after = torch.where(here, value, 0.0)
        found.append(advantage)
    return torch.stack(found[::-1], 1)


def clipped_loss(
    log_p: Float[Tensor, "n steps"],
    drawn_log_p: Float[Tensor, "n steps"],
    advantage: Float[Tensor, "n steps"],
    mask: Bool[Tensor, "n steps"],
    clip: float,
) -> Float[Tensor, ""]:
    """Minus what the tokens contribute, in a mean over those that count (eq-chat-ppo)."""
    gains = clipped_objective(log_p, drawn_log_p, advantage, clip)
    return -(gains * mask).sum() / mask.sum()


@checked
def ppo(
    model: nn.Module,
    reference: nn.Module,
    world: World,
    utility: Utility,
    config: PPOConfig,
    generator: Generator,
    watch: Callable[[nn.Module], Seen],
    every: Count = 1,
) -> list[Seen]:
    """Train a model in place on a utility of its own texts.

    Args:
        model: a `companion.language.contract.LanguageModel`; the start of the value model, too.
        reference: π_ref, which stays.
        world: where texts begin and end.
        utility: what a text is worth.
        config: how to learn.
        generator: draws beginnings and texts.
        watch: is shown the model before the first update and after every so many.
        every: how many.

    Returns:
        What ``watch`` has returned.
    """
    value = ScalarModel(model)
    steps = config.updates * config.passes
    policy_step, value_step = (
        Updater(m, TrainConfig(steps=steps, lr=lr, warmup=0.05, final_lr=1.0, weight_decay=0.0))
        for m, lr in ((model, config.lr), (value, config.value_lr))
    )
    seen = [watch(model)]
    for update in tqdm(range(config.updates), delay=2, leave=False):
        drawn = roll_out(model, reference, world, utility, world.starts(config.rollouts, generator), generator)
        with evaluating(value):
            values = value(drawn.ids[:, :-1])
        advantage = gae(token_rewards(drawn, config.beta), values, drawn.mask, config.decay)
        target = advantage + values
        spread = advantage[drawn.mask].std(correction=0).clamp(min=1e-6)
        scaled = (advantage - advantage[drawn.mask].mean()) / spread
        for _ in range(config.passes):
            log_p = token_log_probs(model, drawn.ids)
            clipped_loss(log_p, drawn.log_p, scaled, drawn.mask, config.clip).backward()
            policy_step.step()
            error = (value(drawn.ids[:, :-1]) - target).square()
            ((error * drawn.mask).sum() / drawn.mask.sum()).backward()
            value_step.step()
        if (update + 1) % every == 0:
            seen.append(watch(model))
    return seen
