"""Learning from rewards: group-relative policy optimisation.

A model answers each question G times; r_i is the reward of an answer o_i, and ρ the ratio of its tokens'
probabilities now to those when they were drawn:

    A_i = (r_i - mean r) / std r                                                              (eq-grpo-advantage)
    L = - 1/N Σ_i Σ_t min(ρ_{i,t} A_i, clip(ρ_{i,t}, 1 - ε, 1 + ε) A_i)                       (eq-grpo)

Shao et al., "DeepSeekMath", 2024, arXiv:2402.03300, section 4.1; clipping: Schulman et al., arXiv:1707.06347.
Departures: N is the number of tokens of the whole batch. The paper divides each answer's sum by the answer's own
length, so that a token of a long answer counts less (Liu et al., "Understanding R1-Zero-Like Training", 2025,
arXiv:2503.20783). And there is no term that holds the model near its start, as in Yu et al., "DAPO", 2025,
arXiv:2503.14476.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn
from tqdm import tqdm

from companion.language.contract import device_of
from companion.language.scoring import token_log_probs
from companion.text.reasoning.tasks import Answers, Task, sampled
from companion.training.modes import evaluating
from companion.training.optimization import TrainConfig, Updater
from companion.validate import Count, Positive, Range, checked


def advantages(rewards: Float[Tensor, "questions samples"]) -> Float[Tensor, "questions samples"]:
    """How much better than the other answers to its question each was (eq-grpo-advantage); 0 where all are alike."""
    spread = rewards.std(1, correction=0, keepdim=True)
    return torch.where(spread > 0, (rewards - rewards.mean(1, keepdim=True)) / spread.clamp(min=1e-12), 0.0)


def clipped_objective(
    log_p: Float[Tensor, "rows tokens"],
    drawn_log_p: Float[Tensor, "rows tokens"],
    advantage: Float[Tensor, "rows #tokens"],
    clip: float,
) -> Float[Tensor, "rows tokens"]:
    """What each token contributes to the objective that is made large (eq-grpo)."""
    ratio = (log_p - drawn_log_p).exp()
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


@checked
@dataclass(frozen=True)
class GRPOConfig:
    """How to learn from rewards.

    Attributes:
        updates: how often answers are drawn.
        questions: how many, each time.
        samples: G, answers to each question; a single one has no other to be compared with.
        lr: of AdamW, after a short warm-up.
        passes: updates of the weights for the answers of one draw; from the second on, ρ is not 1.
        clip: ε, how far ρ may pull.
        own_length: divide each answer's sum by its own length, as the paper does.
    """

    updates: Count
    questions: Count = 16
    samples: Annotated[int, Range(2)] = 8
    lr: Positive = 1e-3
    passes: Count = 1
    clip: Annotated[float, Range(0, 0.99, open_low=True)] = 0.2
    own_length: bool = False


@dataclass(frozen=True)
class Update:
    """What the answers of one draw were like, before the model learned from them.

    Attributes:
        reward: its mean.
        right: the share of right answers.
        length: tokens of an answer, in the mean.
        thinking: the share of answers that think.
    """

    reward: float
    right: float
    length: float
    thinking: float


Reward = Callable[[Answers, Generator], Float[Tensor, "rows"]]


def right(answers: Answers, generator: Generator) -> Float[Tensor, "rows"]:
    """1 for a right answer, else 0: the reward that needs nothing but a key."""
    return answers.right.float()


@checked
def grpo(
    model: nn.Module, task: Task, config: GRPOConfig, generator: Generator, reward: Reward = right
) -> list[Update]:
    """Train a model in place on the rewards of its own answers (eq-grpo).

    Args:
        model: a `companion.language.contract.LanguageModel` that answers.
        task: whose questions are asked.
        config: how to learn.
        generator: draws questions and answers.
        reward: of each answer; 1 for a right one and 0 for others unless given.

    Raises:
        ValueError: a reward that is not one finite floating-point number for each answer.
    """
    steps = config.updates * config.passes
    updater = Updater(model, TrainConfig(steps=steps, lr=config.lr, warmup=0.1, final_lr=1.0, weight_decay=0.0))
    found = []
    for _ in tqdm(range(config.updates), delay=2, leave=False):
        asked = task.questions(config.questions, generator).to(device_of(model))
        ids = sampled(model, task, asked, generator, config.samples)
        answers = task.judge(ids)
        rewards = _proper(reward(answers, generator), len(ids))
        advantage = advantages(rewards.view(-1, config.samples)).view(-1, 1)
        weights = _weights(answers.mask[:, 1:], config.own_length)
        with evaluating(model):
            drawn_log_p = token_log_probs(model, ids)
        for _ in range(config.passes):
            gains = clipped_objective(token_log_probs(model, ids), drawn_log_p, advantage, config.clip)
            (-(gains * weights).sum()).backward()
            updater.step()
        found.append(
            Update(*(float(x.float().mean()) for x in (rewards, answers.right, answers.length, answers.thinks)))
        )
    return found


def _proper(rewards: Tensor, rows: int) -> Float[Tensor, "rows"]:
    if rewards.shape != (rows,) or not rewards.is_floating_point() or not rewards.isfinite().all():
        got = f"{rewards.dtype} of shape {tuple(rewards.shape)}" + (", not all finite" if rewards.isnan().any() else "")
        raise ValueError(f"reward: got {got}, wanted a finite floating-point number for each of {rows} answers")
    return rewards


def _weights(mask: Bool[Tensor, "rows tokens"], own_length: bool) -> Float[Tensor, "rows tokens"]:
    """What each token's gain counts; they sum to 1."""
    mask = mask.float()
    return mask / mask.sum(1, keepdim=True) / len(mask) if own_length else mask / mask.sum()
