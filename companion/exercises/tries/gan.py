"""The tries of the lesson on adversarial networks: a round by turns, the relativistic pair, the divergence, precision."""

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn import functional as F

from companion.exercises.tries import Try


def alternate(
    theta: Float[Tensor, ""], psi: Float[Tensor, ""], rate: float, gamma: float
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """A round of the smallest game: the critic steps, then the generator, which sees the new critic (eq-gan-dirac)."""
    psi = psi - rate * (torch.sigmoid(psi * theta) * theta + gamma * psi)
    theta = theta + rate * torch.sigmoid(-psi * theta) * psi
    return theta, psi


def pair_losses(real: Float[Tensor, "n"], fake: Float[Tensor, "n"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The critic's and the generator's loss (eq-gan-relativistic)."""
    return F.softplus(fake - real).mean(), F.softplus(real - fake).mean()


def kl_to_uniform(modes: Int[Tensor, "n"], count: int) -> Float[Tensor, ""]:
    """Nats between the samples' law over the modes and the uniform one (eq-gan-kl)."""
    share = torch.bincount(modes, minlength=count) / len(modes)
    return torch.xlogy(share, count * share).sum()


def precision(
    samples: Float[Tensor, "n d"], real: Float[Tensor, "m d"], radius: Float[Tensor, "m"]
) -> Float[Tensor, ""]:
    """The share of samples in the ball of at least one real point (eq-gan-precision)."""
    return (torch.cdist(samples, real) <= radius).any(1).float().mean()


def _points(g: Generator) -> list[tuple[Tensor, Tensor, float, float]]:
    return [
        (*torch.randn(2, generator=g, dtype=torch.float64), rate, gamma) for rate, gamma in ((0.4, 0.3), (0.9, 1.1))
    ]


def _scores(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [tuple(2 * torch.randn(2, n, generator=g)) for n in (5, 8)]


def _modes(g: Generator) -> list[tuple[Tensor, int]]:
    return [(torch.randint(high, (n,), generator=g), count) for high, n, count in ((4, 23, 6), (9, 40, 9))]


def _sets(g: Generator) -> list[tuple[Tensor, Tensor, Tensor]]:
    return [
        (torch.randn(n, 2, generator=g), torch.randn(m, 2, generator=g), 0.1 + 0.9 * torch.rand(m, generator=g))
        for n, m in ((40, 12), (50, 9))
    ]


def _round(theta: Tensor, psi: Tensor, rate: float, gamma: float, order: str) -> tuple[Tensor, Tensor]:
    if order == "generator first":
        theta = theta + rate * torch.sigmoid(-psi * theta) * psi
        return theta, psi - rate * (torch.sigmoid(psi * theta) * theta + gamma * psi)
    new = psi - rate * (torch.sigmoid(psi * theta) * theta + gamma * psi)
    return theta + rate * torch.sigmoid(-psi * theta) * psi, new


def _nearest_only(x: Tensor, real: Tensor, radius: Tensor) -> Tensor:
    found = torch.cdist(x, real).min(1)
    return (found.values <= radius[found.indices]).float().mean()


TRIES = (
    Try(
        "3.6-gan-1", "alternate(theta, psi, rate, gamma)", alternate, _points,
        {
            "both step at once: the generator does not see the new psi": lambda t, p, h, g: _round(t, p, h, g, "both"),
            "the generator steps first": lambda t, p, h, g: _round(t, p, h, g, "generator first"),
            "the penalty's sign: it pushes the slope away from 0": lambda t, p, h, g: alternate(t, p, h, -g),
            "without the penalty": lambda t, p, h, g: alternate(t, p, h, 0.0),
            "psi first, then theta: the answer's order is theta, psi": lambda t, p, h, g: alternate(t, p, h, g)[::-1],
        },
    ),
    Try(
        "3.6-gan-2", "pair_losses(real, fake)", pair_losses, _scores,
        {
            "the two losses are swapped": lambda r, f: pair_losses(f, r),
            "each score by itself: that is the loss of 2014": lambda r, f: (
                F.softplus(-r).mean() + F.softplus(f).mean(), F.softplus(-f).mean()
            ),
            "the mean comes last: pair by pair": lambda r, f: (
                F.softplus(f.mean() - r.mean()), F.softplus(r.mean() - f.mean())
            ),
            "summed over the pairs, not averaged": lambda r, f: tuple(len(r) * x for x in pair_losses(r, f)),
            "the generator's loss is not minus the critic's": lambda r, f: (
                pair_losses(r, f)[0], -pair_losses(r, f)[0]
            ),
        },
    ),
    Try(
        "3.6-gan-3", "kl_to_uniform(modes, count)", kl_to_uniform, _modes,
        {
            "the entropy, not the divergence": lambda k, n: torch.tensor(n).log() - kl_to_uniform(k, n),
            "in bits, not nats": lambda k, n: kl_to_uniform(k, n) / torch.tensor(2.0).log(),
            "compared with the uniform law over the modes that were found": lambda k, n: kl_to_uniform(
                k.unique(return_inverse=True)[1], len(k.unique())
            ) + (0 if len(k.unique()) < n else 1),
        },
    ),
    Try(
        "3.6-gan-4", "precision(samples, real, radius)", precision, _sets,
        {
            "only the nearest real point is asked; a larger ball may lie farther away": _nearest_only,
            "that is a share of the real points: recall asks so": lambda x, r, d: (
                (torch.cdist(x, r) <= d).any(0).float().mean()
            ),
            "the share of pairs, not of samples": lambda x, r, d: (torch.cdist(x, r) <= d).float().mean(),
            "the share outside": lambda x, r, d: 1 - precision(x, r, d),
        },
    ),
)  # fmt: skip
