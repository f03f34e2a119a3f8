"""The checks of exercises 3.3.3 and 3.3.4: two planted bugs in a VAE's ELBO, and the importance-weighted bound.

Right values come from `torch.distributions` and `torch.nn.functional`; ids such as I3 are those of the course's list of
known mistakes.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.distributions import Normal, kl_divergence

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare, sizes


def _elbo(answer: Answer, g: Generator, *, case: str) -> str:
    n, d, pixels = sizes(g, 3, low=3)
    x = (torch.rand(n, pixels, generator=g) < 0.5).float()
    mu, logvar, noise = (torch.randn(n, d, generator=g) for _ in range(3))
    if case == "reconstruction":
        mu, logvar = torch.zeros_like(mu), torch.zeros_like(logvar)
    logits = torch.randn(n, pixels, generator=g)
    seen: list[Tensor] = []

    def decode(z: Tensor) -> Tensor:
        seen.append(z.detach().clone())
        return logits.clone()

    got = answer.tensor(x, mu, logvar, noise, decode, shape=(n,))
    if case == "shape":
        return f"got shape {tuple(got.shape)}, wanted ({n},)"
    likelihood = -F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    q, prior = Normal(mu, (0.5 * logvar).exp()), Normal(torch.zeros_like(mu), 1.0)
    kl = kl_divergence(q, prior)
    if case == "reconstruction":
        mistakes = {
            "averaged over the pixels, where log-likelihoods add up (I2)": likelihood.mean(-1),
            "the sign: this is the loss, not the ELBO": -likelihood.sum(-1),
        }
        return compare(got, likelihood.sum(-1), mistakes)
    if case == "kl":
        mistakes = {
            "KL averaged over the latent dimensions, not summed (I1)": -kl.mean(-1),
            "KL added, where the ELBO takes it away": kl.sum(-1),
            "the factor ½ of the KL": -2 * kl.sum(-1),
            "KL the wrong way round": -kl_divergence(prior, q).sum(-1),
            "exp(logvar) taken for the standard deviation in the KL (I3)": -kl_divergence(
                Normal(mu, logvar.exp()), prior
            ).sum(-1),
            "KL summed over the batch too": -kl.sum().expand(n),
        }
        # The right reconstruction may be a sum or, wrongly, a mean: the KL is judged by itself.
        rest = got - (likelihood.mean(-1) if _agree(got, likelihood.mean(-1) - kl.sum(-1)) else likelihood.sum(-1))
        return compare(rest, -kl.sum(-1), mistakes, atol=1e-3)
    if not seen or seen[-1].shape != mu.shape:
        raise Wrong(f"decode was not called with a latent of shape {tuple(mu.shape)}")
    return compare(
        seen[-1],
        q.loc + q.scale * noise,
        {
            "exp(logvar) taken for the standard deviation (I3)": mu + logvar.exp() * noise,
            "logvar itself taken for the standard deviation": mu + logvar * noise,
            "no noise: the mean is decoded": mu,
            "the noise is drawn anew, or scaled alike in every dimension": mu + noise,
        },
    )


def _agree(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a.detach().double(), b.double(), atol=1e-4)


def _weights(g: Generator, samples: int, n: int, level: float = 0.0) -> tuple[Tensor, Tensor]:
    return level + torch.randn(samples, n, generator=g), torch.randn(samples, n, generator=g)


def _bound_shape(answer: Answer, g: Generator) -> str:
    samples, n = sizes(g, 2)
    got = answer.tensor(*_weights(g, samples, n), shape=(n,))
    return f"got shape {tuple(got.shape)}, wanted ({n},)"


def _bound_one(answer: Answer, g: Generator) -> str:
    log_joint, log_q = _weights(g, 1, n := sizes(g, 1)[0])
    got = answer.tensor(log_joint, log_q, shape=(n,))
    difference = torch.sub(log_joint, log_q).squeeze(0)
    mistakes = {
        "log q added, where the weight divides by q": (log_joint + log_q).squeeze(0),
        "the weight upside down": -difference,
        "the average weight, without its logarithm": difference.exp(),
    }
    return compare(got, difference, mistakes)


def _bound_many(answer: Answer, g: Generator) -> str:
    samples, n = sizes(g, 2, low=3)
    log_joint, log_q = _weights(g, samples, n)
    got = answer.tensor(log_joint, log_q, shape=(n,))
    ratio = torch.sub(log_joint, log_q)
    total = torch.logsumexp(ratio, 0)
    mistakes = {
        "the weights are added, not averaged: log K is missing": total,
        "logarithms are averaged, which gives the ELBO": ratio.mean(0),
        "the largest weight alone is counted": ratio.amax(0),
        "log q added, where the weight divides by q": torch.logsumexp(log_joint + log_q, 0) - math.log(samples),
    }
    return compare(got.exp(), ratio.exp().mean(0), {name: value.exp() for name, value in mistakes.items()})


def _bound_stable(answer: Answer, g: Generator) -> str:
    samples, n = sizes(g, 2)
    log_joint, log_q = _weights(g, samples, n)
    result = answer(log_joint - 2_000, log_q)
    if isinstance(result, Tensor) and torch.isinf(result).any():
        raise Wrong("weights near exp(-2000) underflow: got -inf", "exponentials before the logarithm: log-sum-exp")
    low = answer.tensor(log_joint - 2_000, log_q, shape=(n,))
    return compare(low + 2_000, answer.tensor(log_joint, log_q, shape=(n,)), {}, atol=0.01)


EXERCISES = (
    Exercise(
        "3.3.3",
        "elbo(x, mu, logvar, noise, decode)",
        (
            Property("one number for each example", 1, lambda a, g: _elbo(a, g, case="shape")),
            Property("the reconstruction by itself", 3, lambda a, g: _elbo(a, g, case="reconstruction")),
            Property("the latent that is decoded", 7, lambda a, g: _elbo(a, g, case="latent")),
            Property("the KL by itself", 7, lambda a, g: _elbo(a, g, case="kl")),
        ),
    ),
    Exercise(
        "3.3.4",
        "importance_bound(log_joint, log_q)",
        (
            Property("one number for each example", 2, _bound_shape),
            Property("one sample", 4, _bound_one),
            Property("several samples", 6, _bound_many),
            Property("log-densities as small as those of images", 4, _bound_stable),
        ),
    ),
)
