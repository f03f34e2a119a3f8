"""The tries of the lesson on four eras: the VAE's bound, the GAN's two losses, GPT's chain rule, what diffusion asks for."""

import torch
from torch import Generator, Tensor
from torch.nn.functional import softplus

from companion.exercises.tries import Try


def bound(log_likelihood: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """The VAE's bound on -log P of each picture: what the decoder missed, and what the code says more than the prior."""
    return -log_likelihood + 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(1)


def losses(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """What the discriminator descends and what the generator descends, from the scores of real and drawn pictures."""
    return softplus(-real).mean() + softplus(fake).mean(), softplus(-fake).mean()


def log_prob(logits: Tensor, tokens: Tensor) -> Tensor:
    """The log-probability of each row of tokens, from the logits that stood at each place before its token was known."""
    return logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0].sum(1)


def wanted(x0: Tensor, noise: Tensor, alpha: float, sigma: float) -> Tensor:
    """What the network of the diffusion model is asked for: v."""
    return alpha * noise - sigma * x0


def _codes(g: Generator) -> list[tuple[Tensor, Tensor, Tensor]]:
    return [
        (-100 * torch.rand(n, generator=g), *torch.randn(2, n, latent, generator=g)) for n, latent in ((3, 4), (2, 7))
    ]


def _scores(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [(1 + torch.randn(n, generator=g), torch.randn(n, generator=g) - 1) for n in (3, 8)]


def _texts(g: Generator) -> list[tuple[Tensor, Tensor]]:
    return [
        (torch.randn(n, length, 6, generator=g), torch.randint(6, (n, length), generator=g))
        for n, length in ((2, 3), (3, 5))
    ]


def _noisy(g: Generator) -> list[tuple[Tensor, Tensor, float, float]]:
    return [
        (*torch.randn(2, n, 1, 4, 4, generator=g), alpha, (1 - alpha**2) ** 0.5) for n, alpha in ((2, 0.8), (3, 0.3))
    ]


TRIES = (
    Try(
        "3.2-eras-1", "bound(log_likelihood, mean, logvar)", bound, _codes,
        {
            "a lower bound on log P, not an upper one on -log P: the sign": lambda x, m, v: -bound(x, m, v),
            "the code's part is subtracted": lambda x, m, v: -2 * x - bound(x, m, v),
            "the code's part without its half": lambda x, m, v: 2 * bound(x, m, v) + x,
            "logvar taken for the variance": lambda x, m, v: -x + 0.5 * (m**2 + v - 1 - v.abs().log()).sum(1),
            "the mean over the code's numbers, not their sum": lambda x, m, v: -x + (bound(x, m, v) + x) / m.shape[1],
        },
    ),
    Try(
        "3.2-eras-2", "losses(real, fake)", losses, _scores,
        {
            "real and drawn are exchanged": lambda r, f: losses(f, r),
            "the generator's of the minimax game, which vanishes where D is sure": lambda r, f: (
                losses(r, f)[0], -softplus(f).mean()
            ),
            "the sums, not the means": lambda r, f: tuple(len(r) * loss for loss in losses(r, f)),
            "the generator's loss comes first": lambda r, f: losses(r, f)[::-1],
        },
    ),
    Try(
        "3.2-eras-3", "log_prob(logits, tokens)", log_prob, _texts,
        {
            "logits are no logarithms of probabilities: the softmax is missing": lambda x, t: (
                x.gather(-1, t[..., None])[..., 0].sum(1)
            ),
            "the mean over the tokens, not their sum": lambda x, t: log_prob(x, t) / t.shape[1],
            "the sign": lambda x, t: -log_prob(x, t),
            "softmax over the places, not over the tokens": lambda x, t: (
                x.log_softmax(1).gather(-1, t[..., None])[..., 0].sum(1)
            ),
        },
    ),
    Try(
        "3.2-eras-4", "wanted(x0, noise, alpha, sigma)", wanted, _noisy,
        {
            "the sign": lambda x, e, a, s: -wanted(x, e, a, s),
            "the noisy picture itself": lambda x, e, a, s: a * x + s * e,
            "the shares are exchanged": lambda x, e, a, s: s * e - a * x,
            "the noise alone, as in 2020": lambda x, e, a, s: e,
        },
    ),
)  # fmt: skip
