"""A convolutional classifier of handwritten digits, the judge of samples: its probabilities, and its features.

A generative model of digits is judged by three questions that this one network answers. Are its samples recognisable: does
the judge see the digit that was asked for (`recognised`), or any digit with confidence (`opinion`)? Are they as varied as
data: how far are their features from those of real digits (`cnn_fid`)? The network is trained on the training split of
`companion.data.digits` by ``python -m companion train digit_judge``; its weights ship with the package (`judge`).

A judge knows only digits: it must call noise a digit too. Its confidence says something about samples that resemble digits,
and nothing about others; the distance of features, and the reader's eye, stand beside it.
"""

import hashlib
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.metrics.frechet import frechet_distance
from companion.validate import Finite, check_labels, checked
from companion.weights import load_weights

FEATURES = 64
CLASSES = 10
MANY = 1_000  # images whose features are kept: those of real digits, with which many samples are compared
_KEPT: dict[tuple[str, bytes], Tensor] = {}


class DigitJudge(nn.Module):
    """Five convolutions over a 28×28 digit in [-1, 1], a layer of 64 features, ten logits. 102,146 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *_conv(1, 24), *_conv(24, 24), nn.MaxPool2d(2),  # 28 -> 14
            *_conv(24, 48), *_conv(48, 48), nn.MaxPool2d(2),  # 14 -> 7
            *_conv(48, 64), nn.MaxPool2d(2),  # 7 -> 3
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 9, FEATURES),
        )  # fmt: skip
        self.head = nn.Linear(FEATURES, CLASSES)

    @checked
    def features(self, images: Finite[Tensor, "n 1 28 28"]) -> Float[Tensor, "n 64"]:
        """What the last layer sees of each image."""
        return self.trunk(images)

    def forward(self, images: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, "n 10"]:
        """The logits of the ten digits."""
        return self.head(F.relu(self.features(images)))


@cache
def judge(device: torch.device | str = "cpu") -> DigitJudge:
    """The judge with the weights that ship with the package, in evaluation mode; loaded once for a device."""
    return load_weights("digit_judge", DigitJudge()).requires_grad_(False).to(device)


def opinion(images: Float[Tensor, "n 1 28 28"], *, model: DigitJudge | None = None) -> Float[Tensor, "n 10"]:
    """The probability that the judge gives each of the ten digits, for each image."""
    return _in_parts(images, model, lambda net, part: net(part).softmax(1))


@checked
def recognised(
    images: Float[Tensor, "n 1 28 28"], labels: Int[Tensor, "n"], *, model: DigitJudge | None = None
) -> Bool[Tensor, "n"]:
    """Where the judge sees the digit that was asked for; ``recognised(images, labels).float().mean()`` is the share."""
    check_labels("labels", labels, CLASSES)
    return opinion(images, model=model).argmax(1) == labels


def judge_features(images: Float[Tensor, "n 1 28 28"], *, model: DigitJudge | None = None) -> Float[Tensor, "n 64"]:
    """The judge's features of each image; of `MANY` the shipped judge's are computed once and remembered."""

    def compute() -> Tensor:
        return _in_parts(images, model, lambda net, part: net.features(part))

    return _remembered(images, compute) if model is None and len(images) >= MANY else compute()


def cnn_fid(
    samples: Float[Tensor, "n 1 28 28"], real: Float[Tensor, "m 1 28 28"], *, model: DigitJudge | None = None
) -> float:
    """The Fréchet distance of the judge's features of samples and of real digits; quote it beside its floor.

    Values outside [-1, 1] are clipped first, as they would be on a screen. The floor is what real digits score:
    `companion.metrics.frechet.frechet_floor` of `judge_features`, with as many held-out digits as there are samples. Use all
    of ``digits("train")`` as ``real`` wherever numbers are to be compared.
    """
    clipped = (part.clamp(-1, 1) for part in (samples, real))
    return frechet_distance(*(judge_features(part, model=model) for part in clipped))


def _in_parts(images: Tensor, model: DigitJudge | None, answer, *, size: int = 500) -> Tensor:
    model = judge(images.device) if model is None else model
    if model.training:
        raise ValueError("model: got a judge in training mode, wanted one after .eval()")
    with torch.no_grad():
        return torch.cat([answer(model, part.to(model.head.weight.dtype)) for part in images.split(size)])


def _remembered(images: Tensor, compute: Callable[[], Tensor]) -> Tensor:
    """What was computed for the same images before, of the last four sets."""
    content = images.detach().cpu().contiguous().view(torch.uint8).numpy()
    key = f"{images.device} {images.dtype} {tuple(images.shape)}", hashlib.sha256(content).digest()
    if key not in _KEPT:
        found = compute()
        if len(_KEPT) == 4:
            del _KEPT[next(iter(_KEPT))]
        _KEPT[key] = found
    return _KEPT[key].clone()


def _conv(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
