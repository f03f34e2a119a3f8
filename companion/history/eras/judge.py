r"""Evaluation of samples, one report for every era: are they digits, are they as varied as digits, are they copies?

- `Report.confident`: the share of samples of which the digit judge is sure, :math:`\max_c p(c \mid x) > 0.9`
- `Report.variety` (eq-eras-variety): :math:`\exp H(\bar p)`, with :math:`\bar p` the share of samples read as each digit and
  H its entropy: the number of digits, from 1 to 10, that samples spread over evenly. Salimans et al., arXiv:1606.03498, use the
  entropy of such a marginal in the Inception score.
- `Report.fid`: the Fréchet distance of the judge's features from those of real digits, beside `Reference.floor`, what as
  many held-out real digits score (`companion.metrics.frechet`)
- `Report.close`: the share of samples that lie nearer to a training picture than 95 % of the held-out digits do, so 5 % of real
  ones on average; a share that a median would hide. `Report.copying` asks whether training pictures are nearer than held-out
  ones (`companion.metrics.nearest.copying_test`).

All samples are rounded to the four greys of the data first (`companion.history.eras.grey`).
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.data import digits
from companion.history.eras.grey import Pictures, to_greys
from companion.metrics.digit_judge import CLASSES, judge_features, opinion
from companion.metrics.frechet import frechet_distance, frechet_floor
from companion.metrics.nearest import CopyingTest, copying_test, nearest
from companion.validate import Range, check_count, checked

SURE = 0.9
CLOSE = 0.05


@dataclass(frozen=True)
class Reference:
    """Real digits in four greys.

    Attributes:
        train: pictures that the models were trained on.
        held_out: pictures that they never saw.
        twins: as many of the training pictures as are held out, chosen by chance: for the copying test.
        features: the judge's, of the training pictures.
        floor: the Fréchet distance of as many held-out digits as there are samples.
        samples: how many samples the floor is for.
        close: the distance to the nearest training picture that `CLOSE` of the held-out digits do not reach.
    """

    train: Pictures
    held_out: Pictures
    twins: Pictures
    features: Float[Tensor, "m 64"]
    floor: float
    samples: int
    close: float


@checked
def reference(
    train: Pictures, held_out: Pictures, samples: Annotated[int, Range(2)], generator: torch.Generator
) -> Reference:
    """Prepare what every era is compared with; ``samples`` is at most the number of held-out digits."""
    check_count("samples", samples, high=len(held_out))
    check_count("held_out", len(held_out), high=len(train))
    train, held_out = to_greys(train), to_greys(held_out)
    features = judge_features(train)
    floor = frechet_floor(judge_features(held_out), features, samples, generator)
    twins = train[torch.randperm(len(train), generator=generator)[: len(held_out)].to(train.device)]
    close = float(nearest(held_out, train).distance[:, 0].quantile(CLOSE))
    return Reference(train, held_out, twins, features, floor, samples, close)


@dataclass(frozen=True)
class Report:
    """What the judge says of one era's samples.

    Attributes:
        confident: the share of samples that are a digit beyond doubt.
        counts: samples read as each digit, among those.
        fid: Fréchet distance of features.
        close: the share of samples that lie unusually near to a training picture.
        copying: the test for copying.
    """

    confident: float
    counts: Int[Tensor, "10"]
    fid: float
    close: float
    copying: CopyingTest

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
def report(samples: Pictures, real: Reference, generator: torch.Generator) -> Report:
    """Judge samples.

    Args:
        samples: as many as the reference's floor is for.
        real: from `reference`.
        generator: of the copying test's permutations.

    Raises:
        ValueError: another number of samples: the floor would not be theirs.
    """
    if len(samples) != real.samples:
        raise ValueError(f"samples: got {len(samples)}, wanted {real.samples}, for which the floor was measured")
    seen = to_greys(samples)
    chances = opinion(seen)
    sure = chances.amax(1) > SURE
    return Report(
        confident=float(sure.float().mean()),
        counts=torch.bincount(chances.argmax(1)[sure], minlength=CLASSES).cpu(),
        fid=frechet_distance(judge_features(seen), real.features),
        close=float((nearest(seen, real.train).distance[:, 0] < real.close).float().mean()),
        copying=copying_test(seen, real.twins, real.held_out, generator),
    )


@checked
def one_of_each(images: Pictures) -> Pictures:
    """The first picture of which the judge is sure that it is a 0, a 1, and so on; where there is none, the nearest."""
    chances = opinion(to_greys(images))
    return images[torch.where(chances > SURE, 2.0, chances).argmax(0)]


@runtime_checkable
class Draws(Protocol):
    """A model that draws pictures, as all eras' models do."""

    def draw(self, n: int, generator: torch.Generator) -> Pictures: ...


@cache
def _digits(samples: int) -> Reference:
    """What all eras' cards compare with: the same for each, so prepared once."""
    return reference(digits("train").images, digits("valid").images, samples, torch.Generator())


def quality(model: Draws, smoke: bool = False) -> dict[str, float]:
    """What the cards of the shipped eras say: of fixed draws, and of validation digits, which nothing was trained on."""
    real = _digits(20 if smoke else 250)
    found = report(model.draw(real.samples, torch.Generator().manual_seed(1)), real, torch.Generator().manual_seed(2))
    numbers = {"sure": found.confident, "variety": found.variety, "cnn_fid": found.fid, "cnn_fid_floor": real.floor}
    if hasattr(model, "bound"):
        unseen = real.held_out[: 20 if smoke else 300]
        numbers["bound_nats"] = float(model.bound(unseen, torch.Generator().manual_seed(3)).mean())
    return numbers
