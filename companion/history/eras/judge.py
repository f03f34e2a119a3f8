r"""Evaluation of samples, one report for every era: are they digits, are they as varied as digits, are they copies?

- `Report.confident`: the share of samples of which the digit judge is sure, :math:`\max_c p(c \mid x) > 0.9`
- `Report.variety` (eq-eras-variety): :math:`\exp H(\bar p)`, with :math:`\bar p` the share of samples read as each digit and
  H its entropy: the number of digits, from 1 to 10, that samples spread over evenly. Salimans et al., arXiv:1606.03498, use the
  entropy of such a marginal in the Inception score.
- `Report.fid`: the Fréchet distance of the judge's features from those of real digits, beside `Reference.floor`, what as
  many held-out real digits score (`companion.metrics.frechet`)
- `Report.copying`: do samples lie nearer to the training set than to digits that the model never saw
  (`companion.metrics.nearest.copying_test`)

All images, real ones too, pass through `companion.history.eras.digits.harden` and ``enlarge`` first.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.history.eras.digits import enlarge, harden
from companion.metrics.digit_judge import CLASSES, judge_features, opinion
from companion.metrics.frechet import frechet_distance, frechet_floor
from companion.metrics.nearest import CopyingTest, copying_test, nearest
from companion.validate import Range, check_count, checked

SURE = 0.9


@dataclass(frozen=True)
class Reference:
    """Real digits as the judge sees them after the treatment.

    Attributes:
        train: 14×14 images that the models were trained on.
        held_out: 14×14 images that they never saw.
        twins: as many of the training images as are held out, chosen by chance: for the copying test.
        features: the judge's, of the training images.
        floor: the Fréchet distance of as many held-out digits as there are samples.
        samples: how many samples the floor is for.
    """

    train: Float[Tensor, "m 1 14 14"]
    held_out: Float[Tensor, "k 1 14 14"]
    twins: Float[Tensor, "k 1 14 14"]
    features: Float[Tensor, "m 64"]
    floor: float
    samples: int


@checked
def reference(
    train: Float[Tensor, "m 1 14 14"],
    held_out: Float[Tensor, "k 1 14 14"],
    samples: Annotated[int, Range(2)],
    generator: torch.Generator,
) -> Reference:
    """Prepare what every era is compared with; ``samples`` is at most the number of held-out digits."""
    check_count("samples", samples, high=len(held_out))
    check_count("held_out", len(held_out), high=len(train))
    features = judge_features(enlarge(train))
    floor = frechet_floor(judge_features(enlarge(held_out)), features, samples, generator)
    twins = train[torch.randperm(len(train), generator=generator)[: len(held_out)].to(train.device)]
    return Reference(train, held_out, twins, features, floor, samples)


@dataclass(frozen=True)
class Report:
    """What the judge says of one era's samples.

    Attributes:
        confident: the share of samples that are a digit beyond doubt.
        counts: samples read as each digit, among those.
        fid: Fréchet distance of features.
        copying: the test for copying.
        nearest: the median number of pixels in which a sample differs from its nearest training image.
    """

    confident: float
    counts: Int[Tensor, "10"]
    fid: float
    copying: CopyingTest
    nearest: float

    @property
    def covered(self) -> int:
        """Digits that hold at least a tenth of their fair share of the confident samples."""
        return int((self.counts >= max(1.0, 0.1 * float(self.counts.sum()) / CLASSES)).sum())

    @property
    def variety(self) -> float:
        """The number of digits that the confident samples spread over (eq-eras-variety); 0 if there are none."""
        total = self.counts.sum()
        if total == 0:
            return 0.0
        return float(torch.special.entr(self.counts.double() / total).sum().exp())


@checked
def report(samples: Float[Tensor, "n 1 14 14"], real: Reference, generator: torch.Generator) -> Report:
    """Judge samples; shades of grey are decided for ink or paper first.

    Args:
        samples: as many as the reference's floor is for.
        real: from `reference`.
        generator: of the copying test's permutations.

    Raises:
        ValueError: another number of samples: the floor would not be theirs.
    """
    if len(samples) != real.samples:
        raise ValueError(f"samples: got {len(samples)}, wanted {real.samples}, for which the floor was measured")
    hard = harden(samples)
    chances = opinion(enlarge(hard))
    sure = chances.amax(1) > SURE
    distance = nearest(hard, real.train).distance[:, 0]
    return Report(
        confident=float(sure.float().mean()),
        counts=torch.bincount(chances.argmax(1)[sure], minlength=CLASSES).cpu(),
        fid=frechet_distance(judge_features(enlarge(hard)), real.features),
        copying=copying_test(hard, real.twins, real.held_out, generator),
        nearest=float((distance.square() / 4).median()),  # a pixel that differs adds 2² to the squared distance
    )
