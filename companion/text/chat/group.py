r"""Group-relative policy optimisation with a price on leaving the reference.

No value model: a text is compared with others that begin alike, and the price stands in the loss:

.. math::
   A_i &= \frac{u_i - \text{mean } u}{\text{std } u} \\
   L &= -\tfrac1N \sum_{i,t} \min(\rho_{i,t} A_i, \text{clip}(\rho_{i,t}, 1-\epsilon, 1+\epsilon) A_i)
        - \beta\, k_3(i, t)                                                              (eq-chat-grpo)

with k_3 of eq-chat-kl. Shao et al., "DeepSeekMath", 2024, arXiv:2402.03300, equations 3 and 4. Departure: N is the number of
tokens of the whole batch, as in `companion.text.reasoning.grpo`, whose advantages and clipped objective are used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Generator, nn
from tqdm import tqdm

from companion.language.scoring import token_log_probs
from companion.text.chat.divergence import k3
from companion.text.chat.ppo import Seen
from companion.text.chat.rollouts import Utility, World, roll_out
from companion.text.reasoning.grpo import advantages, clipped_objective
from companion.training.optimization import TrainConfig, Updater
from companion.validate import Count, NonNegative, Positive, Range, checked


@checked
@dataclass(frozen=True)
class GroupConfig:
    """How to learn.

    Attributes:
        beta: β, the price in the loss; the utilities are divided by their spread, so its unit is not PPO's.
        updates: how often texts are drawn.
        starts: how many beginnings, each time.
        samples: texts from each beginning.
        lr: constant after a short warm-up.
        passes: updates of the weights for one draw.
        clip: ε.
    """

    beta: NonNegative
    updates: Count
    starts: Count = 16
    samples: Annotated[int, Range(2)] = 8
    lr: Positive = 1e-3
    passes: Count = 4
    clip: Annotated[float, Range(0, 0.99, open_low=True)] = 0.2


@checked
def group_policy(
    model: nn.Module,
    reference: nn.Module,
    world: World,
    utility: Utility,
    config: GroupConfig,
    generator: Generator,
    watch: Callable[[nn.Module], Seen],
    every: Count = 1,
) -> list[Seen]:
    """Train a model in place on a utility of its own texts (eq-chat-grpo); arguments as of `companion.text.chat.ppo.ppo`."""
    steps = config.updates * config.passes
    updater = Updater(model, TrainConfig(steps=steps, lr=config.lr, warmup=0.05, final_lr=1.0, weight_decay=0.0))
    seen = [watch(model)]
    for update in tqdm(range(config.updates), delay=2, leave=False):
        starts = world.starts(config.starts, generator).repeat_interleave(config.samples, 0)
        drawn = roll_out(model, reference, world, utility, starts, generator)
        advantage = advantages(drawn.utility.view(-1, config.samples)).view(-1, 1)
        for _ in range(config.passes):
            log_p = token_log_probs(model, drawn.ids)
            gains = clipped_objective(log_p, drawn.log_p, advantage, config.clip)
            price = config.beta * k3(log_p - drawn.log_ref)
            (((price - gains) * drawn.mask).sum() / drawn.mask.sum()).backward()
            updater.step()
        if (update + 1) % every == 0:
            seen.append(watch(model))
    return seen
