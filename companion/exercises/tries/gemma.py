"""The tries of the lesson on Gemma: who sees whom in a local layer, what a cache keeps, a soft cap, a teacher's loss."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from companion.exercises.tries import Try


def sees(q: Int[Tensor, "n 1"], k: Int[Tensor, "m"], window: int) -> Bool[Tensor, "n m"]:
    """Where the place q of a local layer may look: at itself and at the window - 1 places before it."""
    return (k <= q) & (q - k < window)


def kept(layers: int, every: int, window: int, n: int) -> int:
    """The places that the caches of all layers keep of a text of n tokens; of so many layers the last is global."""
    far = layers // every
    return far * n + (layers - far) * min(n, window)


def soft_cap(x: Float[Tensor, "*any"], cap: float) -> Float[Tensor, "*any"]:
    """The numbers held between -cap and cap."""
    return cap * (x / cap).tanh()


def teach(student: Float[Tensor, "*places vocab"], teacher: Float[Tensor, "*places vocab"]) -> Float[Tensor, "*places"]:
    """The loss of each place, from the logits of both: the cross-entropy under the teacher's probabilities."""
    return -(teacher.softmax(-1) * student.log_softmax(-1)).sum(-1)


def _places(g: Generator) -> list[tuple[Tensor, Tensor, int]]:
    return [(torch.arange(m - n, m)[:, None], torch.arange(m), w) for n, m, w in ((5, 5, 3), (3, 7, 2), (6, 8, 4))]


def _sizes(g: Generator) -> list[tuple[int, int, int, int]]:
    more = int(torch.randint(5, (), generator=g))
    return [(26, 6, 512, 8_000 + more), (26, 2, 40, 100 + more), (7, 3, 50, 20 + more), (23, 6, 30, 90 + more)]


def _numbers(g: Generator) -> list[tuple[Tensor, float]]:
    return [(c * torch.randn(n, generator=g), c) for n, c in ((6, 5.0), (9, 30.0))]


def _logits(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [tuple(2 * torch.randn(2, 2, n, 7, generator=g)) for n in (3, 5)]


TRIES = (
    Try(
        "3.4-gemma-1", "sees(q, k, window)", sees, _places,
        {
            "a place too many: the window counts the place itself": lambda q, k, w: sees(q, k, w + 1),
            "it looks ahead, too": lambda q, k, w: (q - k).abs() < w,
            "what comes later is not ruled out": lambda q, k, w: q - k < w,
            "the window is missing": lambda q, k, w: k <= q,
            "what is within the window is ruled out": lambda q, k, w: (k <= q) & (q - k >= w),
        },
    ),
    Try(
        "3.4-gemma-2", "kept(layers, every, window, n)", kept, _sizes,
        {
            "a short text has fewer tokens than the window": lambda layers, e, w, n: (
                layers // e * n + (layers - layers // e) * w
            ),
            "every layer is counted as a local one": lambda layers, e, w, n: layers * min(n, w),
            "every layer is counted as a global one": lambda layers, e, w, n: layers * n,
            "rounded: only a whole group has a global layer": lambda layers, e, w, n: (
                round(layers / e) * n + (layers - round(layers / e)) * min(n, w)
            ),
            "local and global are swapped": lambda layers, e, w, n: (layers - layers // e) * n + layers // e * min(n, w),
        },
    ),
    Try(
        "3.4-gemma-3", "soft_cap(x, cap)", soft_cap, _numbers,
        {
            "cut off: a hard bound, at which the gradient stops": lambda x, c: x.clamp(-c, c),
            "between -1 and 1: the factor in front is missing": lambda x, c: (x / c).tanh(),
            "not divided by the cap: small numbers change, too": lambda x, c: c * x.tanh(),
            "multiplied where it should be divided": lambda x, c: (x * c).tanh() / c,
        },
    ),
    Try(
        "3.4-gemma-4", "teach(student, teacher)", teach, _logits,
        {
            "the roles are swapped": lambda y, z: teach(z, y),
            "only the teacher's likeliest token counts": lambda y, z: -y.log_softmax(-1).gather(-1, z.argmax(-1, True))[..., 0],
            "the teacher's entropy is taken off: that is the KL divergence": lambda y, z: teach(y, z) - teach(z, z),
            "the sign": lambda y, z: -teach(y, z),
            "the mean over the tokens, not their sum": lambda y, z: teach(y, z) / y.shape[-1],
            "the probabilities, not their logarithms": lambda y, z: -(z.softmax(-1) * y.softmax(-1)).sum(-1),
        },
    ),
)  # fmt: skip
