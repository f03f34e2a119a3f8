r"""Detectors of generated images, and the predictive value of their alarms.

A detector gives each image a score; how well scores separate is `companion.metrics.roc`. Two things decide whether that is
of any use, and both stand here.

*What the detector looks at.* `exact_paper` looks at how the file was made: a camera or a scanner writes the same number for
all of the blank paper, a network only nearly. `spectrum` looks at the picture: generators leave traces in the frequencies.
`grey_levels` saves a picture more coarsely, which removes the first kind of trace and leaves most of the second.

*How rare fakes are.* With the share π of fakes among all images, the share β of fakes that raise an alarm (power) and the share
α of real images that do, an alarm is right with the chance (eq-ethics-bayes; `predictive_value`)

.. math:: P(\text{fake} \mid \text{alarm}) = \frac{\pi \beta}{\pi \beta + (1 - \pi)\, \alpha}.

Sources: Frank et al., "Leveraging Frequency Analysis for Deep Fake Image Recognition", arXiv:2003.08685; Wang et al.,
"CNN-generated images are surprisingly easy to spot... for now", arXiv:1912.11035. Departure: both train networks; this is a
logistic regression on the logarithms of the spectrum, so that one sees what it uses.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from companion.foundations.logistic import LogisticRegression, fit_logistic
from companion.validate import Finite, Range, Share, checked

Features = Callable[[Tensor], Tensor]


@checked
def grey_levels(
    images: Finite[Tensor, "n 1 height width"], levels: Annotated[int, Range(2)]
) -> Float[Tensor, "n 1 height width"]:
    """The images in [-1, 1] as a file with so many grey levels keeps them: 256 is the usual eight bits."""
    return ((images.clamp(-1, 1) + 1) / 2 * (levels - 1)).round() / (levels - 1) * 2 - 1


@checked
def exact_paper(images: Finite[Tensor, "n 1 height width"]) -> Float[Tensor, "n"]:
    """The share of an image's pixels that are exactly the blank paper's -1."""
    return (images == -1).to(images).flatten(1).mean(1)


@checked
def spectrum(images: Finite[Tensor, "n 1 height width"]) -> Float[Tensor, "n frequencies"]:
    """log(1 + magnitude) of each frequency. Blind to where a picture lies, up to its edges."""
    return torch.fft.rfft2(images[:, 0]).abs().log1p().flatten(1)


@dataclass(frozen=True)
class Detector:
    """A fitted detector: features, their means and spreads in training, and a line between the two kinds."""

    features: Features
    mean: Float[Tensor, "dims"]
    spread: Float[Tensor, "dims"]
    line: LogisticRegression

    def score(self, images: Float[Tensor, "n 1 height width"]) -> Float[Tensor, "n"]:
        """The higher, the more like the fakes of the training: log odds, if fakes were half of all images."""
        logits = self.line.logits((self.features(images) - self.mean) / self.spread)
        return logits[:, 1] - logits[:, 0]


@checked
def fit_detector(
    real: Float[Tensor, "n 1 height width"],
    fake: Float[Tensor, "n 1 height width"],
    features: Features = spectrum,
    *,
    penalty: float = 0.1,
) -> Detector:
    """Learn to tell as many real images from fakes.

    Args:
        real: real images, as many as fakes, so that the line has no opinion about how rare fakes are.
        fake: generated images, saved in the same way as the real ones: otherwise the file is learned, not the picture.
        features: ``features(images)`` of shape (n, dims).
        penalty: of `companion.foundations.logistic.fit_logistic`, on features with a spread of one.
    """
    x = features(torch.cat([real, fake]))
    mean, spread = x.mean(0), x.std(0) + 1e-3
    kind = torch.arange(2, device=x.device).repeat_interleave(len(real))
    return Detector(features, mean, spread, fit_logistic((x - mean) / spread, kind, 2, penalty=penalty))


@checked
def predictive_value(power: Share, false_alarm: Share, base_rate: Share) -> float:
    """The chance that an alarm is right (eq-ethics-bayes).

    Args:
        power: β, the share of fakes that raise an alarm.
        false_alarm: α, the share of real images that do.
        base_rate: π, the share of fakes among the images that are looked at.

    Raises:
        ValueError: a share outside [0, 1], or numbers with which no alarm ever comes.
    """
    right, wrong = base_rate * power, (1 - base_rate) * false_alarm
    if right + wrong == 0:
        raise ValueError(f"power, false_alarm: got {power} and {false_alarm}, with which there is no alarm to judge")
    return right / (right + wrong)
