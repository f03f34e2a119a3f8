"""The checks of exercises 3.6.1 and 3.6.2: the posterior of one step, and a step of DDIM.

Right values come from Bayes' rule for Gaussians, with precisions that add up, and from noise that is known because the check
added it; not from the formulas that the exercises ask for. Ids such as I51 are those of the course's list of known mistakes.
"""

import torch
from torch import Generator, Tensor

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare, sizes


def _betas(g: Generator) -> Tensor:
    steps = 6 + int(torch.randint(6, (), generator=g))
    return (0.03 + 0.4 * torch.rand(steps, generator=g)).double()


def _images(g: Generator, count: int = 2) -> tuple[Tensor, ...]:
    shape = sizes(g, 3, high=6)
    return tuple(torch.randn(*shape, generator=g).double() for _ in range(count))


def _bayes(x0: Tensor, x_t: Tensor, t: int, beta: Tensor) -> tuple[Tensor, float]:
    """x_{t-1} given x_0 is Gaussian; x_t is a measurement of it. Precisions add up, and so do means weighted by them."""
    before = float((1 - beta[:t]).prod())
    alpha = float(1 - beta[t])
    prior, measured = 1 / (1 - before), alpha / float(beta[t])
    mean = (prior * before**0.5 * x0 + measured * x_t / alpha**0.5) / (prior + measured)
    return mean, 1 / (prior + measured)


def _posterior(answer: Answer, x0: Tensor, x_t: Tensor, t: int, beta: Tensor) -> tuple[Tensor, float]:
    result = answer(x0, x_t, t, beta)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise Wrong(f"got {type(result).__name__}, wanted the mean and the variance, with a comma between them")
    mean = Answer(lambda: result[0], answer.call).tensor(shape=tuple(x0.shape))
    return mean, Answer(lambda: float(torch.as_tensor(result[1]).reshape(-1)[0]), answer.call).number()


def _middle(g: Generator, beta: Tensor) -> int:
    return int(torch.randint(2, len(beta), (), generator=g))


def _posterior_variance(answer: Answer, g: Generator) -> str:
    beta, (x0, x_t) = _betas(g), _images(g)
    t = _middle(g, beta)
    got = _posterior(answer, x0, x_t, t, beta)[1]
    before, bar = float((1 - beta[:t]).prod()), float((1 - beta[: t + 1]).prod())
    wanted, noise = _bayes(x0, x_t, t, beta)[1], float(beta[t])
    mistakes = {
        "β itself, the variance of the step forward": noise,
        "the standard deviation, not the variance": wanted**0.5,
        "the fraction is turned over": (1 - bar) / (1 - before) * noise,
        "ᾱ of the wrong step: off by one": (1 - bar) / (1 - bar * float(1 - beta[min(t + 1, len(beta) - 1)])) * noise,
    }
    return compare(
        torch.tensor(got), torch.tensor(wanted), {n: torch.tensor(v) for n, v in mistakes.items()}, atol=1e-5
    )


def _posterior_mean(answer: Answer, g: Generator) -> str:
    beta, (x0, x_t) = _betas(g), _images(g)
    t = _middle(g, beta)
    got = _posterior(answer, x0, x_t, t, beta)[0]
    alpha, before, bar = float(1 - beta[t]), float((1 - beta[:t]).prod()), float((1 - beta[: t + 1]).prod())
    of_x0, of_x_t = before**0.5 * (1 - alpha) / (1 - bar), alpha**0.5 * (1 - before) / (1 - bar)
    mistakes = {
        "the weights of the two images are swapped": of_x_t * x0 + of_x0 * x_t,
        "ᾱ for its root": before * (1 - alpha) / (1 - bar) * x0 + alpha * (1 - before) / (1 - bar) * x_t,
        "ᾱ of this step where that of the step before belongs": bar**0.5 * (1 - alpha) / (1 - bar) * x0 + of_x_t * x_t,
        "ᾱ_t for α_t in the weight of x_t": of_x0 * x0 + bar**0.5 * (1 - before) / (1 - bar) * x_t,
    }
    return compare(got, _bayes(x0, x_t, t, beta)[0], mistakes, atol=1e-5)


def _posterior_last(answer: Answer, g: Generator) -> str:
    beta, (x0, x_t) = _betas(g), _images(g)
    mean, variance = _posterior(answer, x0, x_t, 0, beta)
    if abs(variance) > 1e-6:
        name = (
            "β itself: grain stays in every image (I51)"
            if abs(variance - float(beta[0])) < 1e-6
            else "ᾱ before step 0 is 1"
        )
        raise Wrong(f"at t = 0 the variance is {variance:.3g}, wanted 0: nothing is left to guess", name)
    return compare(mean, x0, {"x_t, where the picture itself is known": x_t}, atol=1e-5)


def _posterior_every_step(answer: Answer, g: Generator) -> str:
    """Going forward and looking back must agree: the law of total variance, at each step."""
    beta, (x0,) = _betas(g), _images(g, 1)
    for t in range(1, len(beta)):
        before, alpha = float((1 - beta[:t]).prod()), float(1 - beta[t])
        bar = before * alpha
        zero, one = torch.zeros_like(x0), torch.ones_like(x0)
        mean, variance = _posterior(answer, zero, one, t, beta)
        weight = float(mean.reshape(-1)[0])
        spread = weight**2 * (1 - bar) + variance
        if abs(spread - (1 - before)) > 1e-5:
            raise Wrong(f"at t = {t} the spread of x_(t-1) would be {spread:.4f}, wanted {1 - before:.4f}", "")
    return f"right at all {len(beta) - 1} steps"


# 3.6.2


def _step(g: Generator) -> tuple[Tensor, Tensor, Tensor, float, float]:
    x0, eps, z = _images(g, 3)
    bars = torch.rand(2, generator=g).double().sort().values
    return x0, eps, z, 0.1 + 0.35 * float(bars[0]), 0.55 + 0.35 * float(bars[1])


def _noised(x0: Tensor, eps: Tensor, bar: float) -> Tensor:
    return bar**0.5 * x0 + (1 - bar) ** 0.5 * eps


def _ddim_data(answer: Answer, g: Generator) -> str:
    """To the data in one step: with the true noise the picture comes out, whatever the other terms are."""
    x0, eps, z, bar_t, _ = _step(g)
    x_t = _noised(x0, eps, bar_t)
    got = answer.tensor(x_t, eps, bar_t, 1.0, 0.0, z, shape=tuple(x0.shape))
    mistakes = {
        "divided by ᾱ, not by its root": (x_t - (1 - bar_t) ** 0.5 * eps) / bar_t,
        "not divided by √ᾱ: the picture is too faint": x_t - (1 - bar_t) ** 0.5 * eps,
        "1 - ᾱ for its root": (x_t - (1 - bar_t) * eps) / bar_t**0.5,
        "the noise is added, not taken away": (x_t + (1 - bar_t) ** 0.5 * eps) / bar_t**0.5,
    }
    return compare(got, x0, mistakes, atol=1e-5)


def _ddim_lands(answer: Answer, g: Generator) -> str:
    """The picture is black, so that what the property above judges (up to its noise) stays out: x_0 = 0."""
    _, eps, z, bar_t, bar_s = _step(g)
    x_t = _noised(torch.zeros_like(eps), eps, bar_t)
    got = answer.tensor(x_t, eps, bar_t, bar_s, 0.0, z, shape=tuple(eps.shape))
    mistakes = {
        "as much noise as before the step: ᾱ_t for ᾱ_s": (1 - bar_t) ** 0.5 * eps,
        "1 - ᾱ for its root": (1 - bar_s) * eps,
        "√ᾱ for √(1 - ᾱ)": bar_s**0.5 * eps,
        "fresh noise at σ = 0": (1 - bar_s) ** 0.5 * z,
    }
    return compare(got, (1 - bar_s) ** 0.5 * eps, mistakes, atol=1e-5)


def _ddim_fresh(answer: Answer, g: Generator) -> str:
    _, eps, z, bar_t, bar_s = _step(g)
    sigma = 0.8 * (1 - bar_s) ** 0.5
    x_t = _noised(torch.zeros_like(eps), eps, bar_t)
    zero = torch.zeros_like(z)
    drawn = answer.tensor(x_t, eps, bar_t, bar_s, sigma, z, shape=tuple(z.shape)) - answer.tensor(
        x_t, eps, bar_t, bar_s, sigma, zero, shape=tuple(z.shape)
    )
    return compare(
        drawn,
        sigma * z,
        {"σ² for σ": sigma**2 * z, "no fresh noise: z does not count": zero},
        atol=1e-5,
    )


def _ddim_total(answer: Answer, g: Generator) -> str:
    """Old and fresh noise together must be as much as belongs to step s."""
    _, eps, z, bar_t, bar_s = _step(g)
    sigma = 0.8 * (1 - bar_s) ** 0.5
    x_t = _noised(torch.zeros_like(eps), eps, bar_t)
    still = answer.tensor(x_t, eps, bar_t, bar_s, 0.0, torch.zeros_like(z), shape=tuple(z.shape))
    old = answer.tensor(x_t, eps, bar_t, bar_s, sigma, torch.zeros_like(z), shape=tuple(z.shape))
    share = float(
        (old * still).sum() / still.square().sum()
    )  # how much of the old noise stays when fresh noise is drawn
    wanted = (1 - sigma**2 / (1 - bar_s)) ** 0.5
    mistakes = {
        "the fresh noise comes on top of all the old: more noise than belongs to the step": 1.0,
        "σ for σ² under the root": max(0.0, 1 - sigma / (1 - bar_s)) ** 0.5,
        "standard deviations subtracted, where variances add up": 1 - sigma / (1 - bar_s) ** 0.5,
    }
    return compare(
        torch.tensor(share), torch.tensor(wanted), {n: torch.tensor(v) for n, v in mistakes.items()}, atol=1e-4
    )


EXERCISES = (
    Exercise(
        "3.6.1",
        "posterior(x0, x_t, t, beta)",
        (
            Property("the variance", 5, _posterior_variance),
            Property("the mean", 7, _posterior_mean),
            Property("the last step, t = 0", 5, _posterior_last),
            Property("every step of the chain", 3, _posterior_every_step),
        ),
    ),
    Exercise(
        "3.6.2",
        "step(x_t, eps, bar_t, bar_s, sigma, z)",
        (
            Property("the picture in one step", 6, _ddim_data),
            Property("how much noise is left", 4, _ddim_lands),
            Property("fresh noise", 3, _ddim_fresh),
            Property("old and fresh noise together", 6, _ddim_total),
        ),
    ),
)
