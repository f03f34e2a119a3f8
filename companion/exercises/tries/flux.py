"""The tries of the lesson on Flux: the straight line, one attention over two streams, one step in place of two."""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from companion.exercises.tries import Try


def straight(
    noise: Float[Tensor, "n d"], data: Float[Tensor, "n d"], t: Float[Tensor, "n"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """Where the line from noise to data is at t, and its velocity."""
    t = t[:, None]
    return (1 - t) * noise + t * data, data - noise


def joint(
    q_c: Float[Tensor, "words d"],
    k_c: Float[Tensor, "words d"],
    v_c: Float[Tensor, "words e"],
    q_x: Float[Tensor, "tokens d"],
    k_x: Float[Tensor, "tokens d"],
    v_x: Float[Tensor, "tokens e"],
) -> tuple[Float[Tensor, "words e"], Float[Tensor, "tokens e"]]:
    """What words and image tokens take from all of both (eq-flux-joint), one head."""
    q, k, v = torch.cat([q_c, q_x]), torch.cat([k_c, k_x]), torch.cat([v_c, v_x])
    out = (q @ k.T / math.sqrt(q.shape[1])).softmax(1) @ v
    return out[: len(q_c)], out[len(q_c) :]


def one_for_two(
    u_1: Float[Tensor, "n d"], u_2: Float[Tensor, "n d"], t: float, m: float, s: float
) -> Float[Tensor, "n d"]:
    """The velocity that goes from t to s as u_1 goes from t to m and u_2 from m to s."""
    return ((m - t) * u_1 + (s - m) * u_2) / (s - t)


def _lines(g: Generator) -> list[tuple[Tensor, Tensor, Tensor]]:
    return [(*torch.randn(2, n, d, generator=g), torch.rand(n, generator=g)) for n, d in ((5, 2), (3, 7))]


def _streams(g: Generator) -> list[tuple[Tensor, ...]]:
    return [
        tuple(torch.randn(rows, width, generator=g) for rows in (n, m) for width in (d, d, e))
        for n, m, d, e in ((3, 5, 8, 2), (4, 2, 5, 3))
    ]


def _steps(g: Generator) -> list[tuple[Tensor, Tensor, float, float, float]]:
    return [(*torch.randn(2, 4, 3, generator=g), *times) for times in ((0.0, 0.1, 0.25), (0.4, 0.7, 1.0))]


TRIES = (
    Try(
        "3.6-flux-1", "straight(noise, data, t)", straight, _lines,
        {
            "time runs the other way, as in diffusers": lambda z, x, t: straight(x, z, t),
            "the velocity points to the noise": lambda z, x, t: (straight(z, x, t)[0], z - x),
            "the path whose variance is preserved": lambda z, x, t: (
                (1 - t[:, None] ** 2).sqrt() * z + t[:, None] * x, x - z
            ),
            "the velocity from where the line is": lambda z, x, t: (straight(z, x, t)[0], x - straight(z, x, t)[0]),
        },
    ),
    Try(
        "3.6-flux-2", "joint(q_c, k_c, v_c, q_x, k_x, v_x)", joint, _streams,
        {
            "each looks at the other alone: cross-attention": lambda qc, kc, vc, qx, kx, vx: (
                (qc @ kx.T / math.sqrt(qc.shape[1])).softmax(1) @ vx,
                (qx @ kc.T / math.sqrt(qx.shape[1])).softmax(1) @ vc,
            ),
            "a soft-max for words and one for image tokens, added": lambda qc, kc, vc, qx, kx, vx: tuple(
                sum((q @ k.T / math.sqrt(q.shape[1])).softmax(1) @ v for k, v in ((kc, vc), (kx, vx))) for q in (qc, qx)
            ),
            "not divided by the root of the width": lambda qc, kc, vc, qx, kx, vx: joint(
                qc * math.sqrt(qc.shape[1]), kc, vc, qx * math.sqrt(qx.shape[1]), kx, vx
            ),
            "image tokens first": lambda qc, kc, vc, qx, kx, vx: joint(qc, kc, vc, qx, kx, vx)[::-1],
        },
    ),
    Try(
        "3.6-flux-3", "one_for_two(u_1, u_2, t, m, s)", one_for_two, _steps,
        {
            "their mean, though the steps differ in length": lambda a, b, t, m, s: (a + b) / 2,
            "not divided by the length of the whole": lambda a, b, t, m, s: (m - t) * a + (s - m) * b,
            "lengths have changed places": lambda a, b, t, m, s: one_for_two(b, a, t, m, s),
            "the first alone": lambda a, b, t, m, s: a,
        },
    ),
)  # fmt: skip
