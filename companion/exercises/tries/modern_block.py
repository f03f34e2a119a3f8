"""The tries of the lesson on today's block: the norm without a mean, the rotation, a gated MLP, gates on attention."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from companion.exercises.tries import Try


def rms_norm(x: Float[Tensor, "*batch width"], gain: Float[Tensor, "width"]) -> Float[Tensor, "*batch width"]:
    """Each vector divided by its root mean square, each channel times its gain."""
    return x / x.square().mean(-1, keepdim=True).sqrt() * gain


def turn(
    a: Float[Tensor, "places"], b: Float[Tensor, "places"], angle: Float[Tensor, "places"]
) -> tuple[Float[Tensor, "places"], Float[Tensor, "places"]]:
    """The points (a, b) of a plane turned by an angle, counter-clockwise."""
    return a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()


def gated_mlp(n: Tensor, gate: nn.Linear, up: nn.Linear, down: nn.Linear) -> Tensor:
    """A hidden layer whose every unit has a gate."""
    return down(nn.functional.silu(gate(n)) * up(n))


def open_gates(n: Tensor, found: Tensor, gate: nn.Linear) -> Tensor:
    """What the heads found, each number times its gate between 0 and 1."""
    return torch.sigmoid(gate(n)) * found


def _vectors(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [
        (0.7 + 2 * torch.randn(2, n, width, generator=g), 0.5 + torch.rand(width, generator=g))
        for n, width in ((3, 4), (2, 7))
    ]


def _points(g: Generator) -> list[tuple[Tensor, ...]]:
    return [(*torch.randn(2, n, generator=g), 0.3 + torch.rand(n, generator=g)) for n in (3, 5)]


def _layers(g: Generator) -> list[tuple[Tensor | nn.Linear, ...]]:
    return [
        (torch.randn(2, n, 4, generator=g), nn.Linear(4, 6, False), nn.Linear(4, 6, False), nn.Linear(6, 4, False))
        for n in (2, 3)
    ]


def _found(g: Generator) -> list[tuple[Tensor | nn.Linear, ...]]:
    return [
        (torch.randn(2, n, 4, generator=g), torch.randn(2, n, 4, generator=g), nn.Linear(4, 4, False)) for n in (2, 3)
    ]


TRIES = (
    Try(
        "3.4-modern-1", "rms_norm(x, gain)", rms_norm, _vectors,
        {
            "the mean is taken off, as in a layer norm": lambda x, g: rms_norm(x - x.mean(-1, keepdim=True), g),
            "divided by the length: the sum of squares, not their mean": lambda x, g: x / x.norm(dim=-1, keepdim=True) * g,
            "the root is missing": lambda x, g: x / x.square().mean(-1, keepdim=True) * g,
            "one number for all vectors, not one for each": lambda x, g: x / x.square().mean().sqrt() * g,
            "the gain is missing": lambda x, g: rms_norm(x, torch.ones_like(g)),
        },
    ),
    Try(
        "3.4-modern-2", "turn(a, b, angle)", turn, _points,
        {
            "turned the other way": lambda a, b, angle: turn(a, b, -angle),
            "cosine and sine are swapped": lambda a, b, angle: turn(a, b, torch.pi / 2 - angle),
            "each number alone: the halves are not mixed": lambda a, b, angle: (a * angle.cos(), b * angle.sin()),
            "both signs are plus: that is no rotation": lambda a, b, angle: (
                a * angle.cos() + b * angle.sin(), a * angle.sin() + b * angle.cos()
            ),
        },
    ),
    Try(
        "3.4-modern-3", "gated_mlp(n, gate, up, down)", gated_mlp, _layers,
        {
            "the two are added, not multiplied": lambda n, g, u, d: d(nn.functional.silu(g(n)) + u(n)),
            "a sigmoid, not x times the sigmoid": lambda n, g, u, d: d(g(n).sigmoid() * u(n)),
            "the gate is straight, the other one bends": lambda n, g, u, d: gated_mlp(n, u, g, d),
            "no gate at all": lambda n, g, u, d: d(nn.functional.silu(u(n))),
        },
    ),
    Try(
        "3.4-modern-4", "open_gates(n, found, gate)", open_gates, _found,
        {
            "the gate is not between 0 and 1: the sigmoid is missing": lambda n, f, g: g(n) * f,
            "the gates of a place sum to one: a softmax": lambda n, f, g: g(n).softmax(-1) * f,
            "the gate reads what was found, not the stream": lambda n, f, g: g(f).sigmoid() * f,
            "added, not multiplied": lambda n, f, g: g(n).sigmoid() + f,
        },
    ),
)  # fmt: skip
