"""The evidence lower bound, objective of a variational autoencoder; the importance-weighted bound; active units.

Sources: Kingma & Welling, arXiv:1312.6114; the importance-weighted bound and active units: Burda, Grosse &
Salakhutdinov, arXiv:1509.00519; free bits: Kingma et al., arXiv:1606.04934. Taught in the lesson ``latent_space``:

- ``eq-elbo``: log p(x) >= E_q[log p(x | z)] - KL(q(z | x) || p(z)), with p(z) = N(0, I). `elbo` draws one z.
- ``eq-iwae``: log (1/k) sum_i p(x, z_i) / q(z_i | x), with z_i ~ q. `iwae`.
- ``eq-free-bits``: the KL of a latent, averaged over the batch, counts as at least ``free`` nats. `free_bits_loss`.

All results are in nats per example: sums over pixels and latents, never means.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from companion.foundations.distributions.families import LOG_2PI
from companion.foundations.vae import VAE, GaussianPosterior, sum_per_example
from companion.training import mean_over_examples
from companion.training.batches import Batch
from companion.training.precision import widened
from companion.training.random import randn
from companion.validate import Count, Finite, NonNegative, checked


@dataclass(frozen=True)
class ELBO:
    """The two terms of the evidence lower bound, in nats per example.

    Attributes:
        reconstruction: log p(x | z) at the drawn z, summed over the pixels.
        kl_per_latent: KL(q(z_j | x) || p(z_j)).
    """

    reconstruction: Float[Tensor, "batch"]
    kl_per_latent: Float[Tensor, "batch *latent"]

    @property
    def kl(self) -> Float[Tensor, "batch"]:
        """KL(q(z | x) || p(z)): the sum over the latents, not their mean."""
        return sum_per_example(self.kl_per_latent)

    @property
    def value(self) -> Float[Tensor, "batch"]:
        return self.reconstruction - self.kl


@checked
def elbo(model: VAE, x: Finite[Tensor, "batch *data"], generator: torch.Generator) -> ELBO:
    """The evidence lower bound with one z an example (``eq-elbo``).

    Args:
        x: in {0, 1} for a Bernoulli likelihood.

    Raises:
        ValueError: x is empty, not floating-point, not finite, or not what the likelihood can describe.
    """
    model.likelihood.check(x)
    return _elbo(model, x, randn((len(x), *model.latent_shape), generator, like=x))


def elbo_loss(model: VAE, batch: Batch, generator: torch.Generator) -> Float[Tensor, ""]:
    """The mean negative ELBO of a batch ``(x,)``, for `companion.training.train`."""
    return -elbo(model, batch[0], generator).value.mean()


@checked
def free_bits_loss(parts: ELBO, free: NonNegative) -> Float[Tensor, ""]:
    """The negative ELBO in which each latent's mean KL counts as at least ``free`` nats (``eq-free-bits``).

    Below that, a latent costs nothing, so nothing pushes it to ignore x. It is a way to train, not a bound to report.
    """
    return parts.kl_per_latent.mean(0).clamp(min=free).sum() - parts.reconstruction.mean()


@checked
def evaluate(
    model: VAE, x: Finite[Tensor, "n *data"], generator: torch.Generator, *, batch_size: int = 500
) -> dict[str, float]:
    """Mean ELBO, reconstruction and KL over all examples, in nats per example: the same for every batch size."""
    model.likelihood.check(x)
    noise = randn((len(x), *model.latent_shape), generator, like=x)
    means = {
        name: mean_over_examples(
            lambda x, e, name=name: getattr(_elbo(model, x, e), name), (x, noise), batch_size=batch_size
        )
        for name in ("reconstruction", "kl")
    }
    return {"elbo": means["reconstruction"] - means["kl"], **means}


@torch.no_grad()
@checked
def iwae(
    model: VAE, x: Finite[Tensor, "batch *data"], k: Count, generator: torch.Generator, *, chunk: Count = 10_000
) -> Float[Tensor, "batch"]:
    """The importance-weighted lower bound on log p(x) with k draws (``eq-iwae``); k = 1 is the ELBO, drawn throughout.

    Args:
        x: what the bound is for.
        k: draws of z for each example. The bound rises with k, towards log p(x).
        chunk: at most so many (example, draw) pairs are decoded at once; memory, not the result, depends on it.
    """
    model.likelihood.check(x)
    n, q = len(x), model.encode(x)
    total = torch.full((n,), -math.inf, dtype=widened(x).dtype, device=x.device)
    for first in range(0, k, max(1, chunk // n)):
        draws = min(k - first, max(1, chunk // n))
        many = GaussianPosterior(_repeat(q.mean, draws), _repeat(q.logvar, draws))
        z = many.sample(generator)
        log_prior = sum_per_example(-0.5 * (LOG_2PI + widened(z) ** 2))
        log_weight = model.likelihood.log_prob(model.decoder(z), _repeat(x, draws)) + log_prior - many.wide.log_prob(z)
        total = torch.logaddexp(total, log_weight.reshape(draws, n).logsumexp(0))
    return total - math.log(k)


@torch.no_grad()
@checked
def latent_use(model: VAE, x: Finite[Tensor, "n *data"]) -> tuple[Float[Tensor, "*latent"], Float[Tensor, "*latent"]]:
    """What each latent is used for: its mean KL in nats, and the variance of its code mu over the examples.

    Burda et al. (2015) call a latent *active* if that variance is above 0.01.
    """
    model.likelihood.check(x)
    if len(x) < 2:
        raise ValueError(f"x: got {len(x)} example, wanted at least 2 to measure a variance")
    q = model.encode(x)
    return q.wide.kl_per_latent().mean(0), q.wide.mean.var(0)


def _elbo(model: VAE, x: Tensor, noise: Tensor) -> ELBO:
    q = model.encode(x)
    return ELBO(model.likelihood.log_prob(model.decoder(q.at(noise)), x), q.wide.kl_per_latent())


def _repeat(values: Tensor, times: int) -> Tensor:
    return values.repeat(times, *(1 for _ in values.shape[1:]))
