"""What training by reward has in common: texts that the model draws, and how much each is worth.

A world gives beginnings and says which tokens of a text count; a utility says what the text is worth, in the same unit in
which a nat of divergence costs β. It may be the world's true reward, or a reward model that has never seen the truth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from companion.language.contract import device_of
from companion.language.generation import generate
from companion.language.scoring import token_log_probs
from companion.training.modes import evaluating

Utility = Callable[[Int[Tensor, "n letters"], Bool[Tensor, "n letters"]], Float[Tensor, "n"]]


@runtime_checkable
class Verdict(Protocol):
    """Which tokens of some texts count."""

    mask: Bool[Tensor, "n letters"]


@runtime_checkable
class World(Protocol):
    """Where texts begin and end.

    Attributes:
        letters: tokens of a text.
    """

    letters: int

    def starts(self, n: int, generator: Generator) -> Int[Tensor, "n 1"]:
        """n beginnings."""
        ...

    def judge(self, ids: Int[Tensor, "n letters"]) -> Verdict:
        """Read texts."""
        ...


@dataclass(frozen=True)
class Rollouts:
    """Texts that a model has drawn.

    Attributes:
        ids: their tokens.
        mask: True at the tokens that count, each but the first.
        log_p: log-probability of each token when it was drawn, in nats.
        log_ref: the same under the reference.
        utility: of each text.
    """

    ids: Int[Tensor, "n letters"]
    mask: Bool[Tensor, "n steps"]
    log_p: Float[Tensor, "n steps"]
    log_ref: Float[Tensor, "n steps"]
    utility: Float[Tensor, "n"]


def draw(model: nn.Module, world: World, starts: Int[Tensor, "n 1"], generator: Generator) -> Int[Tensor, "n letters"]:
    """Go on from beginnings, a token at a time."""
    return generate(model, starts.to(device_of(model)), world.letters - 1, generator=generator)


def roll_out(
    model: nn.Module,
    reference: nn.Module,
    world: World,
    utility: Utility,
    starts: Int[Tensor, "n 1"],
    generator: Generator,
) -> Rollouts:
    """Draw texts and find out their worth.

    Raises:
        ValueError: a utility that is not one finite floating-point number for each text.
    """
    ids = draw(model, world, starts, generator)
    mask = world.judge(ids).mask
    worth = utility(ids, mask)
    if worth.shape != (len(ids),) or not worth.is_floating_point() or not worth.isfinite().all():
        got = f"{worth.dtype} of shape {tuple(worth.shape)}" + ("" if worth.isfinite().all() else ", not all finite")
        raise ValueError(f"utility: got {got}, wanted a finite floating-point number for each of {len(ids)} texts")
    with evaluating(model), evaluating(reference):
        log_p, log_ref = token_log_probs(model, ids), token_log_probs(reference, ids)
    return Rollouts(ids, mask[:, 1:], log_p, log_ref, worth)
