"""The refreshers' helpers against closed forms and against torch."""

import pytest
import torch

from companion.foundations.refreshers import difference_gradient, ellipse, low_rank
from tests.conftest import rejects


def test_every_point_of_an_ellipse_has_its_mahalanobis_distance():
    mean = torch.tensor([1.0, -2.0]).double()
    covariance = torch.tensor([[2.0, 0.9], [0.9, 1.0]]).double()
    apart = ellipse(mean, covariance, distance=1.7, points=13) - mean
    squared = (apart @ torch.linalg.inv(covariance) * apart).sum(1)
    torch.testing.assert_close(squared, torch.full((13,), 1.7**2).double())


def test_an_ellipse_goes_all_the_way_round():
    found = ellipse(torch.zeros(2), torch.diag(torch.tensor([4.0, 1.0])), points=101)
    torch.testing.assert_close(found.abs().max(0).values, torch.tensor([2.0, 1.0]))
    torch.testing.assert_close(found[0], found[-1])


@pytest.mark.parametrize("wrong", [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.0, 1.0]]])
def test_what_is_no_covariance_has_no_ellipse(wrong):
    with rejects("covariance: got"):
        ellipse(torch.zeros(2), torch.tensor(wrong))


def test_the_gradient_by_differences_is_autograds():
    x = torch.tensor([0.3, -1.2, 2.0]).double().requires_grad_()

    def f(x):
        return x[0] * x[1].sin() + x[2] ** 3

    (wanted,) = torch.autograd.grad(f(x), x)
    torch.testing.assert_close(difference_gradient(f, x.detach()), wanted, rtol=1e-7, atol=1e-7)


def test_a_difference_on_both_sides_is_exact_for_a_parabola():
    found = difference_gradient(lambda x: (3 * x**2).sum(), torch.tensor([2.0, -1.0]).double(), h=0.5)
    torch.testing.assert_close(found, torch.tensor([12.0, -6.0]).double())


@pytest.mark.parametrize("shape", [(4, 7), (7, 4)])
def test_low_rank_leaves_out_the_smallest_singular_values(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    values = torch.linalg.svdvals(matrix)
    for rank in (1, 3, 4):
        near = low_rank(matrix, rank)
        assert torch.linalg.matrix_rank(near) == rank
        torch.testing.assert_close((matrix - near).square().sum(), values[rank:].square().sum())


def test_no_rank_above_the_matrix():
    with rejects("rank: got 5"):
        low_rank(torch.ones(4, 9), 5)
