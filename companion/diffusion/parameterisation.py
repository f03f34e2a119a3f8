r"""What a denoiser may be asked for, and how to train one with labels: noise, data or velocity.

Ho, Jain & Abbeel, arXiv:2006.11239, ask for the noise; Salimans & Ho, "Progressive Distillation", arXiv:2202.00512, for v. With
:math:`x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon`, each of the three determines the other two:

- :math:`v = \sqrt{\bar\alpha_t}\, \epsilon - \sqrt{1 - \bar\alpha_t}\, x_0` (eq-ddpm-v)
- :math:`x_0 = \sqrt{\bar\alpha_t}\, x_t - \sqrt{1 - \bar\alpha_t}\, v`,
  :math:`\epsilon = \sqrt{1 - \bar\alpha_t}\, x_t + \sqrt{\bar\alpha_t}\, v` (eq-ddpm-from-v)

They differ in what the squared error weighs: an error of size 1 in the noise is an error of :math:`\sqrt{(1 - \bar\alpha_t) /
\bar\alpha_t}` in the data, which is huge where almost no data are left; v is of size 1 at every step. For classifier-free
guidance (`companion.diffusion.guidance`) some labels are replaced by "no label" in training.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.diffusion.ddpm import Denoiser, NoiseSchedule, predict_x0, q_sample
from companion.validate import check_choice, check_count, check_number, check_shapes

# net(x_t, t, labels): noisy images, one step and one label each, to a prediction of the images' shape.
LabelledNet = Callable[[Tensor, Tensor, Tensor], Tensor]
PREDICTIONS = ("epsilon", "x0", "v")


def target(
    schedule: NoiseSchedule,
    prediction: str,
    x0: Float[Tensor, "n ..."],
    noise: Float[Tensor, "n ..."],
    t: Int[Tensor, "n"],
) -> Float[Tensor, "n ..."]:
    """What the network is asked for: the noise, the data, or v (eq-ddpm-v)."""
    check_choice("prediction", prediction, PREDICTIONS)
    if prediction == "epsilon":
        return noise
    if prediction == "x0":
        return x0
    signal, rest = schedule.alpha_bar.sqrt(), (1 - schedule.alpha_bar).sqrt()
    return schedule.at(signal, t, x0) * noise - schedule.at(rest, t, x0) * x0


def data_and_noise(
    schedule: NoiseSchedule,
    prediction: str,
    x_t: Float[Tensor, "n ..."],
    t: Int[Tensor, "n"],
    output: Float[Tensor, "n ..."],
) -> tuple[Float[Tensor, "n ..."], Float[Tensor, "n ..."]]:
    """The data and the noise that a network's output implies (eq-ddpm-from-v)."""
    check_choice("prediction", prediction, PREDICTIONS)
    signal = schedule.at(schedule.alpha_bar.sqrt(), t, x_t)
    rest = schedule.at((1 - schedule.alpha_bar).sqrt(), t, x_t)
    if prediction == "epsilon":
        return predict_x0(schedule, x_t, t, output), output
    if prediction == "x0":
        return output, (x_t - signal * output) / rest
    return signal * x_t - rest * output, rest * x_t + signal * output


def as_denoiser(net: Denoiser, schedule: NoiseSchedule, prediction: str) -> Denoiser:
    """A network of any parameterisation as one that predicts the noise, which every sampler of the course takes."""
    check_choice("prediction", prediction, PREDICTIONS)
    return lambda x_t, t: data_and_noise(schedule, prediction, x_t, t, net(x_t, t))[1]


def drop_labels(labels: Int[Tensor, "n"], share: float, no_label: int, generator: torch.Generator) -> Int[Tensor, "n"]:
    """Replace each label by ``no_label`` with probability ``share``."""
    check_shapes(labels=(labels, "n"))
    check_number("share", share, low=0, high=1)
    check_count("no_label", no_label, low=0)
    gone = torch.rand(len(labels), generator=generator, device=labels.device) < share
    return labels.masked_fill(gone, no_label)


def diffusion_loss(
    net: LabelledNet,
    schedule: NoiseSchedule,
    x0: Float[Tensor, "n ..."],
    labels: Int[Tensor, "n"],
    generator: torch.Generator,
    *,
    prediction: str = "epsilon",
    drop: float = 0.1,
    no_label: int = 10,
) -> Float[Tensor, ""]:
    """Draw a step and noise for each image, drop some labels, ask for the prediction: the mean squared error over pixels.

    Args:
        net: ``net(x_t, t, labels)``.
        x0: images in [-1, 1].
        labels: one for each image.
        generator: of steps, noise and dropped labels.
        prediction: ``"epsilon"``, ``"x0"`` or ``"v"``.
        drop: the share of labels that become ``no_label``.
    """
    t = torch.randint(schedule.steps, (len(x0),), generator=generator, device=x0.device)
    noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype, device=x0.device)
    output = net(q_sample(schedule, x0, t, noise), t, drop_labels(labels, drop, no_label, generator))
    wanted = target(schedule, prediction, x0, noise, t)
    if output.shape != wanted.shape:
        raise ValueError(f"net: got an output of shape {tuple(output.shape)}, wanted {tuple(wanted.shape)}")
    return (output - wanted).square().mean()
