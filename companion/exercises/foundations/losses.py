"""The checks of exercise 3.3.5: two planted bugs in the gradient penalty of a Wasserstein GAN.

A critic that is linear, or flat, has a penalty known beforehand; a critic that notes what it is shown tells where the gradient
was taken. Ids such as I12 are those of the course's list of known mistakes.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare, sizes

BATCH = 24


@dataclass(frozen=True)
class _Case:
    """Real and fake images that differ in every pixel, so that a place between two can be read off, and a slope."""

    real: Tensor
    fake: Tensor
    slope: Tensor  # of norm 1, an image's shape


def _case(g: Generator) -> _Case:
    shape = sizes(g, 3, high=6)
    real, slope = torch.randn(BATCH, *shape, generator=g), torch.randn(shape, generator=g)
    return _Case(real, real + 0.5 + torch.rand(real.shape, generator=g), slope / slope.norm())


def _penalty(answer: Answer, case: _Case, slope: Tensor, points: list[Tensor] | None = None) -> Tensor:
    """The student's penalty for a linear critic; ``points`` collects where its gradient could be taken."""

    def critic(x: Tensor) -> Tensor:
        if points is not None and x.requires_grad:
            points.append(x.detach().clone())
        return (x * slope).flatten(1).sum(1)

    return answer.tensor(critic, case.real, case.fake, torch.Generator().manual_seed(7), shape=())


def _scalar(answer: Answer, g: Generator) -> str:
    case = _case(g)
    return f"got shape {tuple(_penalty(answer, case, 2 * case.slope).shape)}, wanted ()"


def _line(answer: Answer, g: Generator) -> str:
    case, points = _case(g), []
    _penalty(answer, case, 2 * case.slope, points)
    if not points or points[-1].shape != case.real.shape:
        raise Wrong(f"the critic never saw images of shape {tuple(case.real.shape)} that require a gradient")
    place = ((points[-1] - case.fake) / (case.real - case.fake)).flatten(1)
    if (place.amax(1) - place.amin(1)).max() > 1e-3:
        raise Wrong("a point is not on the straight line between its two images", "one ε for every pixel (I12)")
    place = place.mean(1)
    if place.std() < 1e-3:
        raise Wrong(f"all {BATCH} points sit at the same place of their lines", "one ε for the whole batch")
    if place.min() < -1e-3 or place.max() > 1.001:
        raise Wrong("a point lies outside its two images", "ε drawn from a normal distribution (I14)")
    if not 0.15 < float(place.std()) < 0.45 or not 0.25 < float(place.mean()) < 0.75:
        raise Wrong("the points are not spread evenly over their lines", "ε is not uniform on [0, 1]")
    return f"{BATCH} points, each on its own line"


def _norm(answer: Answer, g: Generator) -> str:
    case, found = _case(g), ""
    for norm in (3.0, 1.0):
        slope = norm * case.slope
        mistakes = {
            "the norm over the channels only, one for each pixel (I13)": ((slope.norm(dim=0) - 1) ** 2).mean(),
            "the squared norm taken for the norm": torch.tensor((norm**2 - 1) ** 2),
            "summed over the batch, not averaged": torch.tensor(BATCH * (norm - 1) ** 2),
            "the norm of the whole batch's gradient": torch.tensor((norm * BATCH**0.5 - 1) ** 2),
            "the distance to 1 is not squared": torch.tensor(abs(norm - 1)),
            "the distance to 0, not to 1": torch.tensor(norm**2),
        }
        found = compare(_penalty(answer, case, slope), torch.tensor((norm - 1) ** 2), mistakes, atol=1e-3)
    return found


def _backward(penalty: Tensor) -> None:
    if not penalty.requires_grad:
        raise Wrong("the penalty has no gradient with respect to the critic's weights", "create_graph, or a detach")
    try:
        penalty.backward()
    except RuntimeError as error:
        raise Wrong(f"the penalty cannot be differentiated: {str(error)[:80]}") from error


def _trains(answer: Answer, g: Generator) -> str:
    case = _case(g)
    slope = (2 * case.slope).requires_grad_()
    got = _penalty(answer, case, slope)
    _backward(got)
    if slope.grad is None or not slope.grad.abs().sum() > 0:
        raise Wrong("the penalty has no gradient with respect to the critic's weights", "create_graph, or a detach")
    return "its gradient reaches the critic's weights"


def _flat(answer: Answer, g: Generator) -> str:
    case = _case(g)
    slope = torch.zeros_like(case.slope).requires_grad_()
    got = _penalty(answer, case, slope)
    _backward(got)
    if slope.grad is None or not torch.isfinite(slope.grad).all():
        raise Wrong("where the critic is flat the penalty's own gradient is not finite", "the root's slope at 0 (I14)")
    return "finite where the critic is flat"


EXERCISES = (
    Exercise(
        "3.3.5",
        "gradient_penalty(critic, real, fake, generator)",
        (
            Property("one number for the batch", 1, _scalar),
            Property("where the gradient is taken", 6, _line),
            Property("the norm of an example's gradient", 6, _norm),
            Property("the penalty can be trained on", 3, _trains),
            Property("a flat critic", 2, _flat),
        ),
    ),
)
