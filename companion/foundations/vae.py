"""The variational autoencoder: a latent variable model, and an encoder that makes its likelihood computable.

Sources: Kingma & Welling, "Auto-Encoding Variational Bayes", arXiv:1312.6114; Rezende, Mohamed & Wierstra,
arXiv:1401.4082. Its objective stands in `companion.foundations.elbo`. Taught in the lesson ``latent_space``:

- ``eq-vae-model``: z ~ N(0, I), x | z ~ Bernoulli(sigmoid(decoder(z))) or N(decoder(z), sigma^2 I). `VAE`.
- ``eq-reparameterisation``: z = mu + exp(logvar / 2) * eps, with eps ~ N(0, I). `GaussianPosterior.sample`.
- ``eq-gaussian-kl``: KL = sum_j (mu_j^2 + exp(logvar_j) - 1 - logvar_j) / 2. `GaussianPosterior.kl_per_latent`.

All log-densities are in nats per example: sums over pixels and latents, never means. Departures from the papers: the
encoder's logarithm of the variance is clamped to [-30, 20], so that no exponential overflows; encoder and decoder may
be any networks.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from companion.foundations.distributions.families import LOG_2PI
from companion.training.precision import widened
from companion.training.random import bernoulli, randn
from companion.validate import Count, Positive, Range, check_count, checked


@dataclass(frozen=True)
class GaussianPosterior:
    """The encoder's answer q(z | x), the approximate posterior: a normal distribution for each latent of each example.

    Attributes:
        mean: mu.
        logvar: the logarithm of the variance (not of the standard deviation).
    """

    mean: Float[Tensor, "batch *latent"]
    logvar: Float[Tensor, "batch *latent"]

    @property
    def wide(self) -> "GaussianPosterior":
        """In float32 at least, for densities: a KL near 0 is a difference of numbers near 1."""
        return GaussianPosterior(widened(self.mean), widened(self.logvar))

    @property
    def std(self) -> Float[Tensor, "batch *latent"]:
        return torch.exp(self.logvar / 2)

    def at(self, noise: Float[Tensor, "batch *latent"]) -> Float[Tensor, "batch *latent"]:
        """z = mu + std * noise (``eq-reparameterisation``): gradients reach mu and logvar."""
        return self.mean + self.std * noise

    def sample(self, generator: torch.Generator) -> Float[Tensor, "batch *latent"]:
        """Draw z from q(z | x), by noise that does not depend on q."""
        return self.at(randn(self.mean.shape, generator, like=self.mean))

    def log_prob(self, z: Float[Tensor, "batch *latent"]) -> Float[Tensor, "batch"]:
        """log q(z | x), summed over the latents."""
        return sum_per_example(-0.5 * (LOG_2PI + self.logvar + (z - self.mean) ** 2 * torch.exp(-self.logvar)))

    def kl_per_latent(self) -> Float[Tensor, "batch *latent"]:
        """KL(q(z_j | x) || N(0, 1)) of each latent, in nats (``eq-gaussian-kl``)."""
        return 0.5 * (self.mean**2 + self.logvar.exp() - 1 - self.logvar)


@runtime_checkable
class Likelihood(Protocol):
    """What a `VAE` asks of p(x | z): two are here, a lesson may bring its own."""

    def check(self, x: Tensor) -> None:
        """Raise a ValueError if x is nothing that it can describe."""

    def log_prob(self, output: Float[Tensor, "batch ..."], x: Float[Tensor, "batch *data"]) -> Float[Tensor, "batch"]:
        """log p(x | z) from the decoder's output."""

    def mean(self, output: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch *data"]:
        """The mean of p(x | z)."""


class BernoulliLikelihood(nn.Module):
    """p(x | z) for pixels that are 0 or 1; the decoder gives logits."""

    def check(self, x: Tensor) -> None:
        if not ((x == 0) | (x == 1)).all():
            raise ValueError(
                f"x: got values from {float(x.min()):g} to {float(x.max()):g}, wanted only 0 and 1: a Bernoulli gives "
                "grey values no probability; use binarise(images, generator), or GaussianLikelihood"
            )

    def log_prob(self, output: Float[Tensor, "batch *data"], x: Float[Tensor, "batch *data"]) -> Float[Tensor, "batch"]:
        _same_shape(output, x)
        return sum_per_example(-F.binary_cross_entropy_with_logits(widened(output), widened(x), reduction="none"))

    def mean(self, output: Float[Tensor, "batch *data"]) -> Float[Tensor, "batch *data"]:
        return torch.sigmoid(output)


class GaussianLikelihood(nn.Module):
    """p(x | z) = N(x; output, sigma^2 I), with all of the density's constants.

    Args:
        sigma: the standard deviation of a pixel, where training starts if it is ``learned``, else for good.
        learned: whether sigma is a parameter (one for all pixels).
    """

    @checked
    def __init__(self, sigma: Positive = 1.0, *, learned: bool = False) -> None:
        super().__init__()
        self.log_sigma = nn.Parameter(torch.tensor(math.log(sigma)), requires_grad=learned)

    @property
    def sigma(self) -> Float[Tensor, ""]:
        return self.log_sigma.exp()

    def check(self, x: Tensor) -> None:
        """Any finite number may be an observation."""

    def log_prob(self, output: Float[Tensor, "batch *data"], x: Float[Tensor, "batch *data"]) -> Float[Tensor, "batch"]:
        _same_shape(output, x)
        apart, log_sigma = widened(x) - widened(output), widened(self.log_sigma)
        return sum_per_example(-0.5 * (LOG_2PI + 2 * log_sigma + (apart / log_sigma.exp()) ** 2))

    def mean(self, output: Float[Tensor, "batch *data"]) -> Float[Tensor, "batch *data"]:
        return output


class VAE(nn.Module):
    """A decoder p(x | z), a prior N(0, I) and an encoder q(z | x).

    Args:
        encoder: maps (batch, *data) to (batch, 2 * latent, ...): means first, then logarithms of variances, on axis 1.
        decoder: maps (batch, *latent) to what the likelihood needs.
        likelihood: the distribution of x around the decoder's output.
        data_shape: the shape of one x, such as ``(784,)`` or ``(1, 28, 28)``.
        latent_shape: the shape of one z, such as ``(50,)`` or ``(4, 7, 7)``.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        data_shape: tuple[int, ...],
        latent_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        for name, shape in (("data_shape", data_shape), ("latent_shape", latent_shape)):
            if not shape:
                raise ValueError(f"{name}: got (), wanted at least one axis, such as (50,)")
            for size in shape:
                check_count(name, size)
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.data_shape, self.latent_shape = tuple(data_shape), tuple(latent_shape)

    @checked
    def encode(self, x: Float[Tensor, "batch *data"]) -> GaussianPosterior:
        """q(z | x). Its ``.mean`` is the deterministic code."""
        self._check("x", x, self.data_shape)
        output = self.encoder(x)
        wanted = (len(x), 2 * self.latent_shape[0], *self.latent_shape[1:])
        if output.shape != wanted:
            raise ValueError(f"encoder: got an output of shape {tuple(output.shape)}, wanted {wanted}")
        mean, logvar = output.chunk(2, dim=1)
        return GaussianPosterior(mean, logvar.clamp(-30.0, 20.0))

    @checked
    def decode(self, z: Float[Tensor, "batch *latent"]) -> Float[Tensor, "batch *data"]:
        """The mean of p(x | z): for a Bernoulli, the probability of ink."""
        self._check("z", z, self.latent_shape)
        return self.likelihood.mean(self.decoder(z))

    def latents(
        self, x: Float[Tensor, "batch *data"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch *latent"]:
        """A code for x: drawn from q(z | x) in training mode, its mean in evaluation mode."""
        q = self.encode(x)
        if not self.training:
            return q.mean
        if generator is None:
            raise ValueError(
                "generator: got None, wanted a torch.Generator to draw z with; or call .eval() for the mean"
            )
        return q.sample(generator)

    def forward(
        self, x: Float[Tensor, "batch *data"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch *data"]:
        """x encoded and decoded again; deterministic in evaluation mode."""
        return self.decode(self.latents(x, generator))

    @torch.no_grad()
    @checked
    def sample(self, n: Count, generator: torch.Generator) -> Float[Tensor, "n *data"]:
        """Means of p(x | z) for n draws of z from the prior."""
        return self.decode(randn((n, *self.latent_shape), generator, like=next(self.parameters())))

    def _check(self, name: str, value: Tensor, shape: tuple[int, ...]) -> None:
        if value.shape[1:] != shape:
            wanted = " ".join(["batch", *map(str, shape)])
            raise ValueError(f"{name}: got shape {tuple(value.shape)}, wanted ({wanted})")
        dtype = next(self.parameters()).dtype
        if value.dtype != dtype:
            raise ValueError(
                f"{name}: got {value.dtype}, wanted the model's {dtype}; convert one of them with .to(...)"
            )


@checked
def mlp_vae(
    data: Count,
    latent: Count,
    likelihood: BernoulliLikelihood | GaussianLikelihood,
    hidden: tuple[int, ...] = (200, 200),
) -> VAE:
    """A VAE of fully connected layers with tanh, for x of shape (batch, data); ``hidden=()`` makes it linear."""
    for width in hidden:
        check_count("hidden", width)
    encoder = _mlp((data, *hidden, 2 * latent))
    with torch.no_grad():  # every q(z | x) starts with variance 1: far from the clamp, where the gradient is zero
        encoder[-1].weight[latent:] = 0
        encoder[-1].bias[latent:] = 0
    decoder = _mlp((latent, *reversed(hidden), data))
    return VAE(encoder, decoder, likelihood, (data,), (latent,))


@checked
def binarise(
    images: Annotated[Float[Tensor, "n *size"], Range(-1, 1)], generator: torch.Generator
) -> Float[Tensor, "n data"]:
    """Images in [-1, 1] as rows of zeros and ones: a pixel is 1 with its brightness as probability.

    A new draw for each batch ("dynamic" binarisation) is what Burda et al. (2015) train on. Likelihoods on pixels
    that were binarised in another way are not comparable.
    """
    return bernoulli((images.flatten(1) + 1) / 2, generator)


def sum_per_example(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1)


def _same_shape(output: Tensor, x: Tensor) -> None:
    if output.shape != x.shape:
        raise ValueError(f"x: got shape {tuple(x.shape)}, wanted the decoder's {tuple(output.shape)}")


def _mlp(sizes: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.Tanh()]
    return nn.Sequential(*layers[:-1])
