"""The checks of exercises 3.6.3 to 3.6.6: guidance, the distance of two sets, a guided law, and a GAN's losses.

Right values come from a network that the check makes, from torch's distributions and losses, and from a numerical integral.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare, compare_numbers, depends_on, sizes
from companion.image.ddpm import NO_LABEL


class _Net:
    """A network with labels: its answer depends on the image, the step and the label of each example; it counts its calls."""

    def __init__(self, g: Generator) -> None:
        self.table = torch.randn(NO_LABEL + 1, generator=g)
        self.calls = self.rows = 0

    def __call__(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        self.calls, self.rows = self.calls + 1, self.rows + len(x)
        if not (len(x) == len(t) == len(labels)):
            raise ValueError(f"got {len(x)} images, {len(t)} steps and {len(labels)} labels, wanted as many of each")
        return torch.sin(x + 0.01 * t.reshape(-1, 1, 1)) + self.table[labels].reshape(-1, 1, 1)


def _asked(g: Generator) -> tuple[_Net, Tensor, Tensor, Tensor, Tensor, Tensor]:
    n, h, w = sizes(g, 3, low=3, high=7)
    net, x, t = _Net(g), torch.randn(n, h, w, generator=g), torch.randint(1000, (n,), generator=g)
    labels = torch.randint(NO_LABEL, (n,), generator=g)
    return net, x, t, labels, net(x, t, torch.full_like(labels, NO_LABEL)), net(x, t, labels)


def _guided(answer: Answer, net: _Net, x: Tensor, t: Tensor, labels: Tensor, scale: float) -> Tensor:
    net.calls = net.rows = 0
    return answer.tensor(net, x, t, labels, scale, shape=tuple(x.shape))


def _guide_end(scale: float, name: str) -> Property:
    def test(answer: Answer, g: Generator) -> str:
        net, x, t, labels, without, with_label = _asked(g)
        got = _guided(answer, net, x, t, labels, scale)
        mistakes = {
            "the two answers are swapped": without if scale else with_label,
            "the paper's convention, whose number is smaller by one": 2 * with_label - without if scale else with_label,
            "the label 0, a digit, for no label": (1 - scale) * net(x, t, torch.zeros_like(labels))
            + scale * with_label,
        }
        return compare(got, with_label if scale else without, mistakes, atol=1e-5)

    return Property(name, 4, test)


def _guide_beyond(answer: Answer, g: Generator) -> str:
    net, x, t, labels, without, with_label = _asked(g)
    # Measured along the student's own two ends, so that a wrong convention is not counted a third time.
    none, plain = (_guided(answer, net, x, t, labels, scale) for scale in (0.0, 1.0))
    got = _guided(answer, net, x, t, labels, 3.5)
    if torch.allclose(none, plain, atol=1e-5):
        raise Wrong("guidance changes nothing", "the scale is not used")
    return compare(got, none + 3.5 * (plain - none), {"guidance stops at 1": plain}, atol=1e-4)


def _guide_calls(answer: Answer, g: Generator) -> str:
    net, x, t, labels, *_ = _asked(g)
    seen: list[int] = []

    def spy(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        seen.append(len(x))
        return net(x, t, labels)

    answer.tensor(spy, x, t, labels, 2.0, shape=tuple(x.shape))
    if seen == [2 * len(x)]:
        return "one call with a double batch"
    raise Wrong(
        f"the network was called with {seen} examples, wanted [{2 * len(x)}]",
        "two calls, where one double batch is faster",
    )


# 3.6.4


def _features(g: Generator, d: int, n: int = 60) -> Tensor:
    return torch.randn(n, d, generator=g, dtype=torch.float64) @ torch.randn(d, d, generator=g, dtype=torch.float64)


def _wasserstein(a: Tensor, b: Tensor) -> float:
    """The squared distance of the two fitted Gaussians, by the eigenvalues of the product of their covariances."""
    p, q = a.T.cov(), b.T.cov()
    cross = torch.linalg.eigvals(p @ q).real.clamp(min=0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + p.trace() + q.trace() - 2 * cross)


def _frechet_same(answer: Answer, g: Generator) -> str:
    a = _features(g, sizes(g, 1, low=3)[0])
    got = answer.number(a, a[torch.randperm(len(a), generator=g)])
    if abs(got) > 1e-5:
        raise Wrong(
            f"a set and itself in another order are {got:.3g} apart, wanted 0", "the order of the images counts"
        )
    if answer.number(a, a + 1.0) < 1e-5:
        raise Wrong("a set that is moved by one is at distance 0", "the means are not compared")
    return "a set and itself are at distance 0"


def _frechet_shift(answer: Answer, g: Generator) -> str:
    d = sizes(g, 1, low=3)[0]
    a, shift = _features(g, d), torch.randn(d, generator=g, dtype=torch.float64) + 2
    mistakes = {
        "the length of the shift, not its square": float(shift.norm()),
        "the mean over the features, where squares add up": float(shift.square().mean()),
        "absolute differences": float(shift.abs().sum()),
    }
    # Relative to the distance of the set to itself, which another property judges.
    got = answer.number(a, a + shift) - answer.number(a, a)
    return compare_numbers(got, float(shift.square().sum()), mistakes, rel=1e-3)


def _frechet_scale(answer: Answer, g: Generator) -> str:
    """The same set, k times as wide: the covariances commute, and (k - 1)² of the spread is the distance."""
    a = _features(g, sizes(g, 1, low=3)[0])
    a = a - a.mean(0)
    k = 2 + float(torch.rand((), generator=g))
    spread = float(a.T.cov().trace())
    mistakes = {
        "2 (Σ Σ')^½ is missing": (1 + k**2) * spread,
        "the square root of the product is missing": (1 + k**2) * spread
        - 2 * k**2 * float((a.T.cov() @ a.T.cov()).trace()),
        "the squared difference of the covariances": (k**2 - 1) ** 2 * float(a.T.cov().square().sum()),
        "the root of each entry, not of the matrix": (1 + k**2) * spread
        - 2 * float((k**2 * (a.T.cov() @ a.T.cov())).clamp(min=0).sqrt().trace()),
        "once, not twice, the root": (1 + k**2 - k) * spread,
    }
    return compare_numbers(answer.number(a, k * a), (k - 1) ** 2 * spread, mistakes, rel=2e-3)


def _frechet_turned(answer: Answer, g: Generator) -> str:
    """Two covariances that do not commute: here an entry's root and a matrix's part."""
    d = sizes(g, 1, low=3, high=6)[0]
    a, b = _features(g, d), _features(g, d)
    a, b = a - a.mean(0), b - b.mean(0)
    p, q = a.T.cov(), b.T.cov()
    total = float(p.trace() + q.trace())
    mistakes = {
        "the root of each entry, not of the matrix": total - 2 * float((p @ q).clamp(min=0).sqrt().trace()),
        "only the variances are compared, not the covariances": total
        - 2 * float((p.diagonal() * q.diagonal()).sqrt().sum()),
    }
    got = answer.number(a, b)
    said = compare_numbers(got, _wasserstein(a, b), mistakes, rel=2e-3)
    compare_numbers(answer.number(b, a), got, {}, rel=1e-3)
    return said


# 3.6.5


def _guided_law(g: Generator) -> tuple[tuple[float, float, float, float], float, float]:
    """The mean and standard deviation of p^(1-w) q^w by a numerical integral; p = N(0, v), q = N(m, s²)."""
    m, s = round(1 + float(torch.rand((), generator=g)), 2), round(0.5 + 0.5 * float(torch.rand((), generator=g)), 2)
    v, w = round(2 + 2 * float(torch.rand((), generator=g)), 2), round(1.5 + 3 * float(torch.rand((), generator=g)), 2)
    x = torch.linspace(-60, 60, 240_001, dtype=torch.float64)
    log = -(1 - w) * x.square() / (2 * v) - w * (x - m).square() / (2 * s * s)
    p = (log - log.max()).exp()
    p = p / p.sum()
    mean = float((p * x).sum())
    return (m, s, v, w), mean, float((p * (x - mean).square()).sum().sqrt())


def _tilt_mean(answer: Answer, g: Generator) -> str:
    inputs, mean, _ = _guided_law(g)
    m, s, v, w = inputs
    mistakes = {
        "the label's own mean: guidance overshoots it": m,
        "the mean moved like a score, w times as far": w * m,
        "standard deviations where variances belong": (w * m / s) / ((1 - w) / v**0.5 + w / s),
        "the paper's convention, whose number is smaller by one": ((1 + w) * m / s**2) / ((1 + w) / s**2 - w / v),
    }
    return compare_numbers(answer.numbers(*inputs, count=2)[0], mean, mistakes, rel=0.005)


def _tilt_spread(answer: Answer, g: Generator) -> str:
    inputs, _, spread = _guided_law(g)
    _, s, v, w = inputs
    mistakes = {
        "the variance for the standard deviation": spread**2,
        "the label's own spread: guidance narrows it": s,
        "only the label's factor counted, s / √w": s / w**0.5,
        "the paper's convention, whose number is smaller by one": ((1 + w) / s**2 - w / v) ** -0.5,
    }
    return compare_numbers(answer.numbers(*inputs, count=2)[1], spread, mistakes, rel=0.005)


# 3.6.6


def _logits(g: Generator, scale: float = 1.5) -> tuple[Tensor, Tensor]:
    n, m = sizes(g, 2, low=4)
    return scale * torch.randn(n, generator=g), scale * torch.randn(m, generator=g)


def _loss(logits: Tensor, real: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, real))


def _gan_critic(answer: Answer, g: Generator) -> str:
    real, fake = _logits(g)
    got = answer.tensors(real, fake, shapes=[(), ()])[0]
    mistakes = {
        "the mean of both halves, not their sum": 0.5 * (_loss(real, 1) + _loss(fake, 0)),
        "real and generated are swapped": _loss(real, 0) + _loss(fake, 1),
        "only the real images count": _loss(real, 1),
        "summed over the batch": len(real) * _loss(real, 1) + len(fake) * _loss(fake, 0),
        "the sign": -_loss(real, 1) - _loss(fake, 0),
    }
    return compare(got, _loss(real, 1) + _loss(fake, 0), mistakes, atol=1e-5)


def _gan_generator(answer: Answer, g: Generator) -> str:
    real, fake = _logits(g)
    got = answer.tensors(real, fake, shapes=[(), ()])[1]
    mistakes = {
        "the saturating loss, which is flat where the generator is bad": -_loss(fake, 0),
        "the discriminator's loss on generated images": _loss(fake, 0),
        "the real images are in it": _loss(fake, 1) + _loss(real, 0),
        "summed over the batch": len(fake) * _loss(fake, 1),
    }
    return compare(got, _loss(fake, 1), mistakes, atol=1e-5)


def _gan_sure(answer: Answer, g: Generator) -> str:
    real, fake = _logits(g)
    real, fake = real + 200, fake - 200
    result = answer(real, fake)
    if isinstance(result, (tuple, list)) and any(isinstance(r, Tensor) and not torch.isfinite(r).all() for r in result):
        raise Wrong(
            "a discriminator that is sure gives a loss that is not finite",
            "the logarithm of a sigmoid: stay with logits",
        )
    losses = answer.tensors(real, fake, shapes=[(), ()])
    if float(losses[1]) < 150:
        raise Wrong(
            f"the generator's loss is {float(losses[1]):.3g} where all is lost, wanted about 200",
            "no gradient where it is needed",
        )
    return "finite, and steep where the generator is bad"


EXERCISES = (
    Exercise(
        "3.6.3",
        "guided(net, x, t, labels, w)",
        (
            _guide_end(0.0, "w = 0 ignores the label"),
            _guide_end(1.0, "w = 1 is the plain model with its label"),
            Property("beyond the label", 4, _guide_beyond),
            Property("the network is called once", 3, _guide_calls),
        ),
    ),
    Exercise(
        "3.6.4",
        "frechet(a, b)",
        (
            Property("a set and itself", 2, _frechet_same),
            Property("a shift", 4, _frechet_shift),
            Property("another size", 5, _frechet_scale),
            Property("another direction", 6, _frechet_turned),
        ),
    ),
    Exercise(
        "3.6.5",
        "predict(m, s, v, w)",
        (
            Property(
                "two numbers that depend on the laws", 2, depends_on(lambda g: [_guided_law(g)[0] for _ in range(2)], 2)
            ),
            Property("the mean", 7, _tilt_mean, after=True),
            Property("the standard deviation", 7, _tilt_spread, after=True),
        ),
    ),
    Exercise(
        "3.6.6",
        "gan_losses(real, fake)",
        (
            Property("the discriminator's loss", 4, _gan_critic),
            Property("the generator's loss", 5, _gan_generator),
            Property("a discriminator that is sure", 4, _gan_sure),
        ),
    ),
)
