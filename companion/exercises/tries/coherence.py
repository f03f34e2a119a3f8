"""The tries of the lesson on coherence: jerk, the memory of an LSTM, a causal convolution, the best forecast."""

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try


def jerk_of(path: Tensor) -> Tensor:
    """The mean size of the second differences of a path (eq-coherence-jerk)."""
    return (path[2:] - 2 * path[1:-1] + path[:-2]).norm(dim=-1).mean()


def remember(i: Tensor, f: Tensor, g: Tensor, o: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The new h and c of an LSTM, from its four sums and the old c (eq-coherence-convlstm)."""
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def causal(signal: Tensor, kernel: Tensor) -> Tensor:
    """A convolution along time that looks back and never ahead (eq-coherence-conv3d, along time alone)."""
    padded = torch.cat([signal.new_zeros(len(kernel) - 1), signal])
    return padded.unfold(0, len(kernel), 1) @ kernel


def best(a: Tensor, b: Tensor, p: float) -> Tensor:
    """The forecast of least expected squared error, if a comes with probability p and else b."""
    return p * a + (1 - p) * b


def _paths(g: Generator) -> list[tuple[Tensor]]:
    return [(5 * torch.randn(n, 2, generator=g),) for n in (3, 8)]


def _sums(g: Generator) -> list[tuple[Tensor, ...]]:
    return [tuple(2 * torch.randn(5, n, 3, generator=g)) for n in (1, 4)]


def _signals(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(n, generator=g), torch.randn(a, generator=g)) for n, a in ((5, 3), (8, 5))]


def _futures(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    return [(*torch.randn(2, 2, 3, generator=g), p) for p in (0.5, 0.8, 0.3)]


def _padded(signal: Tensor, kernel: Tensor, before: int) -> Tensor:
    zeros = signal.new_zeros(len(kernel) - 1)
    return torch.cat([zeros[:before], signal, zeros[before:]]).unfold(0, len(kernel), 1) @ kernel


def _unbent(i: Tensor, f: Tensor, g: Tensor, o: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    c = f.sigmoid() * c + i.sigmoid() * g
    return o.sigmoid() * c.tanh(), c


TRIES = (
    Try(
        "3.7-coherence-1", "jerk_of(path)", jerk_of, _paths,
        {
            "the first difference: the speed": lambda p: p.diff(dim=0).norm(dim=-1).mean(),
            "rows and columns averaged, not a length": lambda p: p.diff(n=2, dim=0).abs().mean(),
            "the length of the mean, not the mean of the lengths":
                lambda p: p.diff(n=2, dim=0).sum(0).norm() / (2 * (len(p) - 2)),
            "the change of the speed's size: a turn is not seen":
                lambda p: p.diff(dim=0).norm(dim=-1).diff().abs().mean(),
        },
    ),
    Try(
        "3.7-coherence-2", "remember(i, f, g, o, c)", remember, _sums,
        {
            "the gates i and f are exchanged": lambda i, f, g, o, c: remember(f, i, g, o, c),
            "h is made of the old memory": lambda i, f, g, o, c: (o.sigmoid() * c.tanh(), remember(i, f, g, o, c)[1]),
            "what is stored goes through no tanh": _unbent,
            "c first, then h": lambda i, f, g, o, c: remember(i, f, g, o, c)[::-1],
        },
    ),
    Try(
        "3.7-coherence-3", "causal(signal, kernel)", causal, _signals,
        {
            "zeros on both sides: it looks ahead": lambda s, k: _padded(s, k, (len(k) - 1) // 2),
            "zeros at the end: it sees the future only": lambda s, k: _padded(s, k, 0),
            "the kernel is turned round": lambda s, k: causal(s, k.flip(0)),
            "no zeros: the result is shorter": lambda s, k: s.unfold(0, len(k), 1) @ k,
        },
    ),
    Try(
        "3.7-coherence-4", "best(a, b, p)", best, _futures,
        {
            "the likelier one: a sharp guess costs more": lambda a, b, p: a if p >= 0.5 else b,
            "half of each, whatever the probability": lambda a, b, p: (a + b) / 2,
            "the probabilities are exchanged": lambda a, b, p: best(b, a, p),
        },
    ),
)  # fmt: skip
