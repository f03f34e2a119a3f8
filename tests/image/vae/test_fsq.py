"""Rounding to levels: equal to the library's, every code comes and goes, and a gradient passes."""

import math

import pytest
import torch
from vector_quantize_pytorch import FSQ as Library

from companion.image.vae.fsq import FSQ
from tests.conftest import gen, rejects

LEVELS = [(8, 6, 5), (4, 3), (7,), (5, 4, 3, 3)]


@pytest.mark.parametrize("levels", LEVELS)
def test_values_codes_and_gradients_are_those_of_the_library(levels: tuple[int, ...]) -> None:
    z = 2 * torch.randn(60, len(levels), generator=gen(1))
    a, b, weights = z.clone().requires_grad_(), z.clone().requires_grad_(), torch.randn(z.shape, generator=gen(2))
    found, (values, codes) = FSQ(levels)(a), Library(list(levels))(b[None])
    torch.testing.assert_close(found.values, values[0], atol=1e-6, rtol=0)
    assert torch.equal(found.codes, codes[0].long()) and float(found.loss) == 0
    (found.values * weights).sum().backward()
    (values[0] * weights).sum().backward()
    torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=0)


@pytest.mark.parametrize("levels", LEVELS)
def test_every_code_has_a_vector_of_its_own_that_is_read_as_that_code(levels: tuple[int, ...]) -> None:
    """The vectors are fed back by way of the inverse of the squashing."""
    fsq = FSQ(levels)
    assert fsq.size == math.prod(levels)
    codes = torch.arange(fsq.size)
    vectors = fsq.vectors(codes)
    assert len(vectors.unique(dim=0)) == fsq.size and vectors.abs().max() <= 1
    reach = (torch.tensor(levels) - 1) * 1.001 / 2
    offset = (torch.tensor(levels) % 2 == 0) * 0.5
    whole = vectors * (torch.tensor(levels) // 2)
    z = torch.atanh((whole + offset) / reach) - torch.atanh(offset / reach)
    found = fsq(z)
    assert torch.equal(found.codes, codes)
    torch.testing.assert_close(found.values, vectors)


def test_the_first_number_counts_fastest() -> None:
    vectors = FSQ((3, 4)).vectors(torch.arange(12))
    assert (vectors[:3, 0] - torch.tensor([-1.0, 0.0, 1.0])).abs().max() == 0
    assert (vectors[:3, 1] == vectors[0, 1]).all() and vectors[3, 1] > vectors[0, 1]


def test_a_number_does_not_change_the_others_part() -> None:
    z = torch.randn(10, 3, generator=gen(1))
    moved = z.clone()
    moved[:, 1] += 5
    a, b = FSQ((8, 6, 5))(z).values, FSQ((8, 6, 5))(moved).values
    assert torch.equal(a[:, [0, 2]], b[:, [0, 2]]) and not torch.equal(a[:, 1], b[:, 1])


def test_bad_input() -> None:
    with rejects("levels"):
        FSQ((4, 2))
    with rejects("levels: got ()"):
        FSQ(())
    with rejects("z: got 2 values that are NaN"):
        FSQ((4, 3))(torch.full((1, 2), torch.nan))
    with rejects("z: got"):
        FSQ((4, 3))(torch.zeros(5, 3))
    with rejects("codes"):
        FSQ((4, 3)).vectors(torch.tensor([12]))
