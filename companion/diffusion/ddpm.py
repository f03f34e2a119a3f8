r"""Denoising diffusion: destroy data with noise in small known steps, learn to undo one step, then undo them all.

Ho, Jain & Abbeel, "Denoising Diffusion Probabilistic Models", 2020, arXiv:2006.11239, after Sohl-Dickstein et al. 2015,
arXiv:1503.03585. Steps are counted t = 0, …, T - 1 as in code, one less than in the paper; before step 0 nothing has been
destroyed: :math:`\bar\alpha_{-1} = 1`. With :math:`\alpha_t = 1 - \beta_t` and :math:`\bar\alpha_t = \prod_{s \le t} \alpha_s`:

- forward (eq-ddpm-forward): :math:`x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon`
- loss (eq-ddpm-loss): :math:`L = E \| \epsilon - \epsilon_\theta(x_t, t) \|^2`, here as a mean over pixels
- data from noise (eq-ddpm-x0): :math:`\hat x_0 = (x_t - \sqrt{1 - \bar\alpha_t}\, \epsilon_\theta) / \sqrt{\bar\alpha_t}`
- posterior (eq-ddpm-posterior): :math:`q(x_{t-1} \mid x_t, x_0) = N(\tilde\mu, \tilde\beta_t I)`,
  :math:`\tilde\mu = \frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1 - \bar\alpha_t} x_0
  + \frac{\sqrt{\alpha_t}\, (1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t} x_t`,
  :math:`\tilde\beta_t = \frac{1 - \bar\alpha_{t-1}}{1 - \bar\alpha_t} \beta_t`
- reverse step (eq-ddpm-reverse): :math:`x_{t-1} = \tilde\mu(\hat x_0, x_t) + \sigma_t z`, without noise z at t = 0
- bound (eq-ddpm-bound): :math:`-\log p(x_0) \le L_T + \sum_{t \ge 1} E\, KL(q(x_{t-1} | x_t, x_0) \| p(x_{t-1} | x_t)) + L_0`

:math:`\sigma_t^2` is :math:`\tilde\beta_t` ("small", right for one known image) or :math:`\beta_t` ("large", right for N(0, I)
data); Ho et al. found both about as good. Departures: :math:`\hat x_0` is clipped to the data's range on request only;
:math:`L_0` is the density of a Gaussian, not of a discretised one; small T gets larger steps, so that noise is reached.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.validate import check_choice, check_count, check_float, check_number, check_shapes

# denoiser(x_t, t): noisy data (n, ...) and one step each (n) to the predicted noise (n, ...).
Denoiser = Callable[[Tensor, Tensor], Tensor]
VARIANCES = ("small", "large")


@dataclass(frozen=True)
class NoiseSchedule:
    """How much noise each step adds; all tables in float64.

    Attributes:
        beta: the variance that step t adds, shape (T,), between 0 and 1.
    """

    beta: Float[Tensor, "T"]

    def __post_init__(self) -> None:
        check_shapes(beta=(self.beta, "T"))
        check_float(beta=self.beta)
        if not ((self.beta > 0) & (self.beta < 1)).all():
            low, high = float(self.beta.min()), float(self.beta.max())
            raise ValueError(f"beta: got values from {low:g} to {high:g}, wanted all between 0 and 1")
        object.__setattr__(self, "beta", self.beta.double())

    @property
    def steps(self) -> int:
        return len(self.beta)

    @cached_property
    def alpha_bar(self) -> Float[Tensor, "T"]:
        """The share of the data's variance that is left after step t."""
        return torch.cumprod(1 - self.beta, 0)

    @cached_property
    def alpha_bar_before(self) -> Float[Tensor, "T"]:
        """As `alpha_bar`, of the step before: 1 before step 0."""
        return torch.cat([self.alpha_bar.new_ones(1), self.alpha_bar[:-1]])

    @cached_property
    def posterior_variance(self) -> Float[Tensor, "T"]:
        """The variance of q(x_{t-1} | x_t, x_0): 0 at t = 0, where x_{t-1} is x_0 itself."""
        return self.beta * (1 - self.alpha_bar_before) / (1 - self.alpha_bar)

    def reverse_variance(self, choice: str) -> Float[Tensor, "T"]:
        """The variance of a step back: `posterior_variance` ("small") or `beta` ("large")."""
        check_choice("variance", choice, VARIANCES)
        return self.posterior_variance if choice == "small" else self.beta

    def at(self, table: Float[Tensor, "T"], t: Int[Tensor, "n"], like: Tensor) -> Tensor:
        """The table's entries at the steps ``t``, one for each example of ``like``, shaped to multiply it."""
        check_shapes(t=(t, f"{len(like)}"))
        if t.dtype not in (torch.int64, torch.int32) or not (0 <= int(t.min()) and int(t.max()) < self.steps):
            raise ValueError(f"t: got {t.dtype} up to {t.max()}, wanted whole steps from 0 to {self.steps - 1}")
        return table.to(like.device)[t].to(like.dtype).reshape(-1, *[1] * (like.ndim - 1))


def linear_schedule(steps: int) -> NoiseSchedule:
    """Ho et al.'s: beta rises in a straight line, at T = 1000 from 0.0001 to 0.02.

    With fewer steps each is larger in proportion (and at most 0.999), so that the sum stays and the end is noise for every T.
    """
    check_count("steps", steps, low=2)
    scale = 1000 / steps
    return NoiseSchedule(torch.linspace(scale * 1e-4, scale * 0.02, steps, dtype=torch.float64).clamp(max=0.999))


def cosine_schedule(steps: int) -> NoiseSchedule:
    """Nichol & Dhariwal's, arXiv:2102.09672: :math:`\\bar\\alpha` falls as cos², beta is at most 0.999.

    Their offset of 0.008 keeps the first steps from being too small to matter.
    """
    check_count("steps", steps)
    share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    level = torch.cos((share + 0.008) / 1.008 * math.pi / 2).square()
    return NoiseSchedule((1 - level[1:] / level[:-1]).clamp(max=0.999))


def q_sample(
    schedule: NoiseSchedule, x0: Float[Tensor, "n ..."], t: Int[Tensor, "n"], noise: Float[Tensor, "n ..."]
) -> Float[Tensor, "n ..."]:
    """Data after step t, in one jump (eq-ddpm-forward)."""
    _alike(x0=x0, noise=noise)
    signal, rest = schedule.alpha_bar.sqrt(), (1 - schedule.alpha_bar).sqrt()
    return schedule.at(signal, t, x0) * x0 + schedule.at(rest, t, x0) * noise


def predict_x0(
    schedule: NoiseSchedule, x_t: Float[Tensor, "n ..."], t: Int[Tensor, "n"], eps: Float[Tensor, "n ..."]
) -> Float[Tensor, "n ..."]:
    """The data, if ``eps`` were the noise in x_t (eq-ddpm-x0)."""
    _alike(x_t=x_t, eps=eps)
    signal, rest = schedule.alpha_bar.sqrt(), (1 - schedule.alpha_bar).sqrt()
    return (x_t - schedule.at(rest, t, x_t) * eps) / schedule.at(signal, t, x_t)


def posterior(
    schedule: NoiseSchedule, x0: Float[Tensor, "n ..."], x_t: Float[Tensor, "n ..."], t: Int[Tensor, "n"]
) -> tuple[Float[Tensor, "n ..."], Float[Tensor, "n ..."]]:
    """Mean and variance of x_{t-1}, given x_t and x_0 (eq-ddpm-posterior); the variance has one value for each example."""
    _alike(x0=x0, x_t=x_t)
    beta, before, bar = schedule.beta, schedule.alpha_bar_before, schedule.alpha_bar
    of_x0 = schedule.at(before.sqrt() * beta / (1 - bar), t, x0)
    of_x_t = schedule.at((1 - beta).sqrt() * (1 - before) / (1 - bar), t, x0)
    return of_x0 * x0 + of_x_t * x_t, schedule.at(schedule.posterior_variance, t, x0)


def epsilon_loss(
    denoiser: Denoiser, schedule: NoiseSchedule, x0: Float[Tensor, "n ..."], generator: torch.Generator
) -> Float[Tensor, ""]:
    """Draw a step and noise for each example; ask for the noise (eq-ddpm-loss). The mean over examples and pixels."""
    t = torch.randint(schedule.steps, (len(x0),), generator=generator, device=x0.device)
    noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype, device=x0.device)
    predicted = denoiser(q_sample(schedule, x0, t, noise), t)
    _alike(noise=noise, prediction=predicted)
    return (predicted - noise).square().mean()


def reverse_step(
    schedule: NoiseSchedule,
    x_t: Float[Tensor, "n ..."],
    t: int,
    eps: Float[Tensor, "n ..."],
    noise: Float[Tensor, "n ..."],
    *,
    variance: str = "small",
    clip: float | None = None,
) -> Float[Tensor, "n ..."]:
    """x_{t-1} from x_t (eq-ddpm-reverse); ``noise`` is not used at t = 0.

    Args:
        eps: the predicted noise in x_t.
        variance: ``"small"`` or ``"large"``.
        clip: the data's largest absolute value, to which the predicted data are clipped: a wrong guess at high noise is
            divided by a small number and would throw the chain out of the data's range. None does not clip.
    """
    steps = torch.full((len(x_t),), t, device=x_t.device)
    x0 = predict_x0(schedule, x_t, steps, eps)
    mean, _ = posterior(schedule, x0 if clip is None else x0.clamp(-clip, clip), x_t, steps)
    if t == 0:
        return mean
    return mean + schedule.at(schedule.reverse_variance(variance).sqrt(), steps, x_t) * noise


@torch.no_grad()
def ancestral_sample(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    x: Float[Tensor, "n ..."],
    generator: torch.Generator,
    *,
    variance: str = "small",
    clip: float | None = None,
) -> Float[Tensor, "n ..."]:
    """From noise ``x`` at step T - 1 back to data, one step after another; arguments as for `reverse_step`."""
    check_float(x=x)
    if clip is not None:
        check_number("clip", clip, low=0, open_low=True)
    for t in reversed(range(schedule.steps)):
        eps = denoiser(x, torch.full((len(x),), t, device=x.device))
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        x = reverse_step(schedule, x, t, eps, noise, variance=variance, clip=clip)
    return x


@torch.no_grad()
def bound_terms(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    x0: Float[Tensor, "n ..."],
    generator: torch.Generator,
    *,
    variance: str = "large",
) -> Float[Tensor, "terms n"]:
    """Each term of the bound on -log p(x_0), in nats an example (eq-ddpm-bound): rows L_0, …, L_{T-1}, then L_T.

    One draw of x_t for each. With the "small" variance, which is 0 at t = 0, L_0 borrows the variance of t = 1.
    """
    check_float(x0=x0)
    table = schedule.reverse_variance(variance).clone()
    if variance == "small":
        table[0] = table[min(1, schedule.steps - 1)] or schedule.beta[0]
    rows = []
    for t in range(schedule.steps):
        steps = torch.full((len(x0),), t, device=x0.device)
        noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype, device=x0.device)
        x_t = q_sample(schedule, x0, steps, noise)
        true_mean, true_variance = posterior(schedule, x0, x_t, steps)
        mean, _ = posterior(schedule, predict_x0(schedule, x_t, steps, denoiser(x_t, steps)), x_t, steps)
        ours = schedule.at(table, steps, x0)
        if t == 0:
            values = 0.5 * (torch.log(2 * math.pi * ours) + (x0 - mean).square() / ours)
        else:
            ratio = true_variance / ours
            values = 0.5 * (ratio - 1 - ratio.log() + (true_mean - mean).square() / ours)
        rows.append(values.expand_as(x0).flatten(1).sum(1))
    left = schedule.alpha_bar[-1].to(x0)
    rows.append(0.5 * (left * x0.square() - left - torch.log1p(-left)).flatten(1).sum(1))
    return torch.stack(rows)


def _alike(**tensors: Tensor) -> None:
    (first, a), (second, b) = tensors.items()
    if a.shape != b.shape or not a.numel():
        raise ValueError(f"{first}, {second}: got shapes {tuple(a.shape)} and {tuple(b.shape)}, wanted one, not empty")
