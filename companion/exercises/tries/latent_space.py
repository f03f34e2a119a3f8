"""The tries of the lesson on latent space: a drawn code, the KL to the prior, evidence and bound as sums, nats of a latent."""

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try


def draw_code(mean: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """A code drawn from the encoder's Gaussian, by noise that no parameter touches."""
    return mean + (logvar / 2).exp() * noise


def kl_to_prior(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, I)) of each example, in nats."""
    return 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(1)


def log_evidence(likelihood: Tensor, prior: Tensor, width: float) -> Tensor:
    """log p(x), the integral over the codes as a sum over a grid."""
    return ((likelihood * prior).sum(-1) * width).log()


def bound(q: Tensor, likelihood: Tensor, prior: Tensor, width: float) -> Tensor:
    """The evidence lower bound of a guess q, on the same grid."""
    return (q * (likelihood * prior / q).log()).sum(-1) * width


def nats_of(eigenvalues: Tensor, sigma2: float) -> Tensor:
    """What each latent of the best linear VAE tells of an image, in nats."""
    return 0.5 * (eigenvalues / sigma2).log().clamp(min=0)


def _codes(g: Generator) -> list[tuple[Tensor, ...]]:
    return [tuple(torch.randn(3, batch, latent, generator=g)) for batch, latent in ((3, 2), (4, 5))]


def _guesses(g: Generator) -> list[tuple[Tensor, ...]]:
    return [tuple(torch.randn(2, batch, latent, generator=g)) for batch, latent in ((3, 2), (5, 4))]


def _grids(g: Generator) -> list[tuple[Tensor, Tensor, float]]:
    return [(*(0.1 + torch.rand(2, n, generator=g)), width) for n, width in ((6, 0.1), (9, 0.05))]


def _guessed_grids(g: Generator) -> list[tuple[Tensor, Tensor, Tensor, float]]:
    return [
        (torch.rand(2, n, generator=g).softmax(-1) / width, likelihood, prior, width)
        for n, width in ((6, 0.1), (9, 0.05))
        for likelihood, prior in [0.1 + torch.rand(2, n, generator=g)]
    ]


def _variances(g: Generator) -> list[tuple[Tensor, float]]:
    return [(torch.tensor([9.0, 4.0, 0.3]) + torch.rand(3, generator=g), 1.5), (torch.tensor([8.0, 2.5, 0.5]), 2.0)]


TRIES = (
    Try(
        "3.3-latent-1", "draw_code(mean, logvar, noise)", draw_code, _codes,
        {
            "the variance, not the standard deviation: the half is missing": lambda m, v, e: m + v.exp() * e,
            "the logarithm itself, not its exponential": lambda m, v, e: m + v * e,
            "the noise is not scaled": lambda m, v, e: m + e,
            "the mean is forgotten": lambda m, v, e: (v / 2).exp() * e,
        },
    ),
    Try(
        "3.3-latent-2", "kl_to_prior(mean, logvar)", kl_to_prior, _guesses,
        {
            "the mean over the latents, not the sum": lambda m, v: kl_to_prior(m, v) / m.shape[1],
            "the half is missing": lambda m, v: 2 * kl_to_prior(m, v),
            "the - 1 is missing: a guess equal to the prior must give 0": lambda m, v: 0.5 * (m**2 + v.exp() - v).sum(1),
            "summed over the batch too": lambda m, v: kl_to_prior(m, v).sum(),
        },
    ),
    Try(
        "3.3-latent-3", "log_evidence(likelihood, prior, width)", log_evidence, _grids,
        {
            "the mean of the logarithms, not the logarithm of the mean": lambda p, q, w: (p.log() * q).sum(-1) * w,
            "the width of a cell is missing": lambda p, q, w: (p * q).sum(-1).log(),
            "the prior is missing": lambda p, q, w: (p.sum(-1) * w).log(),
            "the logarithm is missing": lambda p, q, w: (p * q).sum(-1) * w,
        },
    ),
    Try(
        "3.3-latent-4", "bound(q, likelihood, prior, width)", bound, _guessed_grids,
        {
            "q is not divided by": lambda q, p, r, w: (q * (p * r).log()).sum(-1) * w,
            "the prior is missing": lambda q, p, r, w: (q * (p / q).log()).sum(-1) * w,
            "averaged over the prior, not over q": lambda q, p, r, w: (r * (p * r / q).log()).sum(-1) * w,
            "the logarithm of the mean: that is the evidence again": lambda q, p, r, w: log_evidence(p, r, w).expand(len(q)),
        },
    ),
    Try(
        "3.3-latent-5", "nats_of(eigenvalues, sigma2)", nats_of, _variances,
        {
            "negative below the noise: the maximum with 0 is missing": lambda v, s: 0.5 * (v / s).log(),
            "the half is missing": lambda v, s: 2 * nats_of(v, s),
            "bits, not nats": lambda v, s: nats_of(v, s) / torch.tensor(2.0).log(),
            "upside down": lambda v, s: 0.5 * (s / v).log().clamp(min=0),
        },
    ),
)  # fmt: skip
