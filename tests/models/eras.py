"""What is asked of each of the four shipped eras."""

import torch
from torch import nn

from companion.data import digits
from companion.history.eras.grey import grey_index, to_greys
from companion.metrics.digit_judge import cnn_fid, opinion
from tests.conftest import gen


def draws_digits_of_all_kinds(model: nn.Module) -> None:
    """At least nine of the ten, and nearer to real digits than the mean digit with noise."""
    drawn, real = to_greys(model.draw(100, gen(3))), digits("valid").images
    assert len(opinion(drawn).argmax(1).unique()) >= 9
    mean = real.mean(0, keepdim=True) + 0.3 * torch.randn(100, 1, 28, 28, generator=gen(4))
    assert cnn_fid(drawn, real) < 0.3 * cnn_fid(mean, real)


def bounds_better_than_pixels_alone(model: nn.Module) -> None:
    """On unseen digits at most two thirds of what a histogram of greys for each pixel needs."""
    known, unseen = (to_greys(digits(split, limit=limit).images) for split, limit in (("train", None), ("test", 60)))
    shares = torch.nn.functional.one_hot(grey_index(known), 4).float().mean(0) + 1e-3
    logs = (shares / shares.sum(-1, keepdim=True)).log().expand(len(unseen), -1, -1, -1, -1)
    alone = -logs.gather(-1, grey_index(unseen)[..., None]).flatten(1).sum(1)
    assert float(model.bound(unseen, gen(5)).mean()) < min(230.0, 2 / 3 * float(alone.mean()))
