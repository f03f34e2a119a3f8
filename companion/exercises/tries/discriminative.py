"""The tries of the lesson on discriminative models: Bayes' rule, a softmax, a draw, what hidden entries should be."""

import torch
from torch import Generator, Tensor

from companion.exercises.tries import Try


def by_bayes(log_prior: Tensor, log_density: Tensor) -> Tensor:
    """p(y | x), from log p(y), shape (classes,), and log p(x | y), shape (n, classes) (eq-discriminative-bayes)."""
    return (log_prior + log_density).softmax(1)


def as_linear(mean: Tensor, covariance: Tensor, log_prior: Tensor) -> tuple[Tensor, Tensor]:
    """The weights and biases of the softmax that Gaussians with one covariance come to (eq-discriminative-logistic)."""
    weights = torch.linalg.solve(covariance, mean.T).T
    return weights, log_prior - (weights * mean).sum(1) / 2


def draw(mean: Tensor, factor: Tensor, noise: Tensor) -> Tensor:
    """Draws from a Gaussian, of standard normal noise, shape (n, dims), and a factor L of its covariance, L Lᵀ."""
    return mean + noise @ factor.T


def expected(mean_h: Tensor, mean_k: Tensor, cross: Tensor, known: Tensor, x_k: Tensor) -> Tensor:
    """The mean of a Gaussian's hidden entries, given the known ones (eq-discriminative-conditional)."""
    return mean_h + (x_k - mean_k) @ torch.linalg.solve(known, cross.T)


def _covariance(d: int, g: Generator) -> Tensor:
    factor = torch.randn(d, d, generator=g).double()
    return factor @ factor.T / d + torch.eye(d).double()


def _densities(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [
        (2 * torch.randn(c, generator=g).log_softmax(0), -3 * torch.rand(n, c, generator=g))
        for n, c in ((4, 3), (5, 2))
    ]


def _classes(g: Generator) -> list[tuple[Tensor, ...]]:
    return [
        (
            1 + torch.randn(c, d, generator=g).double(),
            _covariance(d, g),
            torch.randn(c, generator=g).double().log_softmax(0),
        )
        for c, d in ((3, 2), (2, 4))
    ]


def _draws(g: Generator) -> list[tuple[Tensor, ...]]:
    return [
        (
            torch.randn(d, generator=g).double(),
            torch.linalg.cholesky(_covariance(d, g)),
            torch.randn(n, d, generator=g).double(),
        )
        for n, d in ((3, 2), (2, 4))
    ]


def _hidden(g: Generator) -> list[tuple[Tensor, ...]]:
    found = []
    for n, h, k in ((3, 2, 3), (2, 1, 4)):
        whole = _covariance(h + k, g)
        mean = 1 + torch.randn(h + k, generator=g).double()
        x_k = torch.randn(n, k, generator=g).double()
        found.append((mean[:h], mean[h:], whole[:h, h:], whole[h:, h:], x_k))
    return found


TRIES = (
    Try(
        "3.1-discriminative-1", "by_bayes(log_prior, log_density)", by_bayes, _densities,
        {
            "the shares of the classes are left out": lambda a, b: b.softmax(1),
            "normalised over the examples, not the classes": lambda a, b: (a + b).softmax(0),
            "the logarithms are multiplied, not added": lambda a, b: (a * b).softmax(1),
            "the logarithm of the answer": lambda a, b: (a + b).log_softmax(1),
        },
    ),
    Try(
        "3.1-discriminative-2", "as_linear(mean, covariance, log_prior)", as_linear, _classes,
        {
            "the covariance is left out": lambda m, c, p: (m, p - (m * m).sum(1) / 2),
            "the covariance, not its inverse": lambda m, c, p: (m @ c, p - (m @ c * m).sum(1) / 2),
            "a half is missing": lambda m, c, p: (as_linear(m, c, p)[0], p - (as_linear(m, c, p)[0] * m).sum(1)),
            "the shares of the classes are left out":
                lambda m, c, p: (as_linear(m, c, p)[0], as_linear(m, c, p)[1] - p),
        },
    ),
    Try(
        "3.1-discriminative-3", "draw(mean, factor, noise)", draw, _draws,
        {
            "not transposed: rows and columns of L exchanged": lambda m, f, e: m + e @ f,
            "the covariance, not its factor": lambda m, f, e: m + e @ (f @ f.T),
            "each entry on its own: only the diagonal of L": lambda m, f, e: m + e * f.diagonal(),
            "the mean is left out": lambda m, f, e: e @ f.T,
        },
    ),
    Try(
        "3.1-discriminative-4", "expected(mean_h, mean_k, cross, known, x_k)", expected, _hidden,
        {
            "the known values themselves, not how far they are from their mean":
                lambda a, b, s, c, x: a + x @ torch.linalg.solve(c, s.T),
            "the inverse is left out": lambda a, b, s, c, x: a + (x - b) @ s.T,
            "the sign": lambda a, b, s, c, x: 2 * a - expected(a, b, s, c, x),
            "the mean of the hidden entries is left out": lambda a, b, s, c, x: expected(a, b, s, c, x) - a,
        },
    ),
)  # fmt: skip
