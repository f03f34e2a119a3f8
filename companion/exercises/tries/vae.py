"""The tries of the lesson on autoencoders: the best sigma, straight through, two pulls, perplexity, running means."""

import math

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from companion.exercises.tries import Try


def best_sigma(x: Float[Tensor, "n pixels"], mean: Float[Tensor, "n pixels"]) -> Float[Tensor, ""]:
    """The sigma that gives x the highest probability (eq-vae-sigma)."""
    return (x - mean).square().mean().sqrt()


def straight(
    z: Float[Tensor, "n d"], codeword: Float[Tensor, "n d"], upstream: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """What goes forward, and what z gets of the gradient that comes back (eq-vae-straight-through)."""
    return codeword, upstream


def pulls(
    z: Float[Tensor, "n d"], codeword: Float[Tensor, "n d"], beta: float
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """The gradients of eq-vae-vq-loss in z and in the codeword."""
    apart = 2 * (codeword - z) / z.numel()
    return -beta * apart, apart


def running(
    sums: Float[Tensor, "k d"],
    counts: Float[Tensor, "k"],
    z: Float[Tensor, "n d"],
    codes: Int[Tensor, "n"],
    decay: float,
) -> Float[Tensor, "k d"]:
    """The codewords after a batch (eq-vae-ema)."""
    chosen = one_hot(codes, len(counts)).to(z)
    sums = decay * sums + (1 - decay) * chosen.T @ z
    counts = decay * counts + (1 - decay) * chosen.sum(0)
    return sums / counts[:, None]


def perplexity(codes: Int[Tensor, "n"], size: int) -> Float[Tensor, ""]:
    """The number of codes that equally frequent ones would be (eq-vae-perplexity)."""
    return torch.special.entr(torch.bincount(codes, minlength=size) / len(codes)).sum().exp()


def _pictures(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(n, d, generator=g), 1.5 * torch.randn(n, d, generator=g)) for n, d in ((3, 7), (5, 4))]


def _three(g: Generator) -> list[tuple[Tensor, Tensor, Tensor]]:
    return [tuple(torch.randn(3, n, d, generator=g)) for n, d in ((4, 3), (6, 2))]


def _pairs(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    return [(*torch.randn(2, 4, 3, generator=g), beta) for beta in (0.25, 1.5)]


def _batches(g: Generator) -> list[tuple[Tensor, Tensor, Tensor, Tensor, float]]:
    return [
        (
            torch.randn(k, 3, generator=g),
            1 + torch.rand(k, generator=g),
            torch.randn(12, 3, generator=g),
            torch.cat([torch.arange(k), torch.randint(k - 1, (12 - k,), generator=g)]),
            decay,
        )
        for k, decay in ((4, 0.9), (6, 0.5))
    ]


def _codes(g: Generator) -> list[tuple[Tensor, int]]:
    return [(torch.randint(high, (41,), generator=g).square() // high, size) for high, size in ((6, 6), (5, 9))]


def _mixed(sums: Tensor, counts: Tensor, z: Tensor, codes: Tensor, old: float, new: float) -> Tensor:
    chosen = one_hot(codes, len(counts)).to(z)
    return (old * sums + new * chosen.T @ z) / (old * counts + new * chosen.sum(0))[:, None]


TRIES = (
    Try(
        "3.6-vae-1", "best_sigma(x, mean)", best_sigma, _pictures,
        {
            "the variance, not its root": lambda x, m: (x - m).square().mean(),
            "the spread of x, not its distance from the mean that the decoder gives": lambda x, m: x.std(),
            "summed over the pixels: sigma is that of one pixel": lambda x, m: (x - m).square().sum(1).mean().sqrt(),
            "the mean distance, not the root of the mean square": lambda x, m: (x - m).abs().mean(),
        },
    ),
    Try(
        "3.6-vae-2", "straight(z, codeword, upstream)", straight, _three,
        {
            "forward goes the codeword, not z": lambda z, e, u: (z, u),
            "that is the true gradient, zero: nothing would be learned": lambda z, e, u: (e, torch.zeros_like(u)),
            "the gradient as if codeword − z were a factor": lambda z, e, u: (e, u * (e - z)),
            "the two answers are swapped": lambda z, e, u: (u, e),
        },
    ),
    Try(
        "3.6-vae-3", "pulls(z, codeword, beta)", pulls, _pairs,
        {
            "beta stands on the codebook's term (I6)": lambda z, e, b: (
                2 * (z - e) / z.numel(), 2 * b * (e - z) / z.numel()
            ),
            "the wrong sign: both would flee each other": lambda z, e, b: tuple(-p for p in pulls(z, e, b)),
            "without the 2 of the square": lambda z, e, b: tuple(p / 2 for p in pulls(z, e, b)),
            "summed over the numbers, not averaged": lambda z, e, b: tuple(p * z.numel() for p in pulls(z, e, b)),
            "the codeword's gradient first": lambda z, e, b: pulls(z, e, b)[::-1],
        },
    ),
    Try(
        "3.6-vae-4", "perplexity(codes, size)", perplexity, _codes,
        {
            "the entropy, not its exponential": lambda k, n: perplexity(k, n).log(),
            "2 to a power in nats: e is wanted": lambda k, n: 2 ** perplexity(k, n).log(),
            "how many codes occur at all": lambda k, n: torch.tensor(float(len(k.unique()))),
            "as if all codes were used alike": lambda k, n: torch.tensor(math.exp(math.log(n))),
        },
    ),
    Try(
        "3.6-vae-5", "running(sums, counts, z, codes, decay)", running, _batches,
        {
            "decay and 1 − decay are swapped": lambda s, c, z, k, d: _mixed(s, c, z, k, 1 - d, d),
            "the batch counts in full": lambda s, c, z, k, d: _mixed(s, c, z, k, d, 1.0),
            "only this batch: no running mean": lambda s, c, z, k, d: _mixed(s, c, z, k, 0.0, 1.0),
            "the sums, not divided by the counts": lambda s, c, z, k, d: (
                d * s + (1 - d) * one_hot(k, len(c)).to(z).T @ z
            ),
        },
    ),
)  # fmt: skip
