"""The judge's recipe: it asks for the label of a distorted digit, and its measure is the shipped card's."""

import math

import pytest
import torch

from companion.data import digits
from companion.metrics.digit_judge import DigitJudge, judge
from companion.models.digit_judge import RECIPE, _loss, build


def test_the_loss_of_an_untrained_judge_is_that_of_ten_equal_chances():
    data = digits("train", limit=64)
    value = _loss(build().eval(), (data.images, data.labels), torch.Generator())
    assert value.item() == pytest.approx(math.log(10), abs=0.05)


def test_the_shipped_judge_has_far_less_and_the_size_of_the_built_one():
    data = digits("test", limit=200)
    assert _loss(judge(), (data.images, data.labels), torch.Generator()).item() < 0.15
    assert [p.shape for p in build().parameters()] == [p.shape for p in judge().parameters()]


def test_a_measure_counts_right_answers():
    class Always(DigitJudge):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.eye(10)[3].expand(len(images), -1)

    share = float((digits("test").labels == 3).float().mean())
    assert RECIPE.measure(Always().eval())["accuracy_test"] == pytest.approx(share)
