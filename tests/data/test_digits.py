"""Both sets of digits: what is in them, how they are split, in what range they come."""

import pytest
import torch

from companion.data import digits, small_digits, to_display, to_model
from tests.conftest import rejects

SETS = {"digits": (digits, 28, 5000, 255), "small_digits": (small_digits, 8, 1797, 16)}


@pytest.fixture(params=sorted(SETS))
def case(request):
    return SETS[request.param]


def test_all_examples_stand_in_one_split_and_none_in_two(case):
    load, side, total, _ = case
    parts = {split: load(split) for split in ("train", "valid", "test")}
    assert sum(map(len, parts.values())) == len(load("all")) == total
    contents = {split: {image.numpy().tobytes() for image in found.images} for split, found in parts.items()}
    assert not contents["train"] & contents["valid"]
    assert not contents["train"] & contents["test"] and not contents["valid"] & contents["test"]
    everything = {image.numpy().tobytes() for image in load("all").images}
    assert set.union(*contents.values()) == everything
    for found in parts.values():
        assert found.images.shape[1:] == (1, side, side) and found.images.dtype == torch.float32
        assert found.labels.dtype == torch.int64 and len(found.labels) == len(found)


def test_images_fill_the_range_exactly_and_can_be_shown_I44(case):
    load, _, _, white = case
    images = load("all").images
    assert (float(images.min()), float(images.max())) == (-1.0, 1.0)
    assert torch.equal(to_model(to_display(images)), images) or white == 16
    grey = (images + 1) / 2 * white
    assert float((grey - grey.round()).abs().max()) < 1e-4, "whole grey values"
    assert float((to_display(images).float() / 255 * white - grey).abs().max()) < white / 255, "shown as they are"
    assert float(images.mean()) < 0, "most of a picture is paper, and paper is -1"


def test_classes_are_balanced_as_promised():
    for split, each in (("train", 400), ("valid", 50), ("test", 50), ("all", 500)):
        assert torch.bincount(digits(split).labels).tolist() == [each] * 10
    for split, least in (("train", 138), ("valid", 17), ("test", 17)):
        assert min(torch.bincount(small_digits(split).labels).tolist()) >= least


def test_labels_belong_to_their_images(case):
    """The nearest class mean of the training digits names most test digits: far above the 10 % of mixed-up labels."""
    load, *_ = case
    train, test = load("train"), load("test")
    means = torch.stack([train.images[train.labels == c].mean(0).flatten() for c in range(10)])
    guess = torch.cdist(test.images.flatten(1), means).argmin(1)
    assert float((guess == test.labels).float().mean()) > 0.75


def test_every_call_gives_the_same_and_a_limit_the_first_of_it(case):
    load, *_ = case
    whole, some = load("test"), load("test", limit=7)
    assert torch.equal(load("test").images, whole.images)
    assert torch.equal(some.images, whole.images[:7]) and torch.equal(some.labels, whole.labels[:7])
    assert len(set(some.labels.tolist())) > 2, "the order is shuffled"
    some.images.fill_(9)
    some.labels.fill_(9)
    again = load("test", limit=7)
    assert again.images.max() == 1 and torch.equal(again.labels, whole.labels[:7]), "nobody spoils what is remembered"


def test_licence_and_source_are_told(case):
    found = case[0]("test")
    assert found.license.startswith("CC BY") and "1998" in found.source and found.license in repr(found)
    assert found.classes == tuple("0123456789") and found.split == "test"


def test_bad_calls_are_refused(case):
    load, *_ = case
    with rejects("split: got 'training'"):
        load("training")
    for limit in (0, -3, 2.5):
        with rejects("limit"):
            load(limit=limit)
