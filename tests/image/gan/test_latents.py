"""The truncated law, and walks that keep their length."""

import pytest
import scipy.stats
import torch

from companion.image.gan.latents import truncated, walk
from tests.conftest import gen, rejects


@pytest.mark.parametrize("limit", [0.4, 1.0, 3.0])
def test_truncated_is_the_truncated_normal_law(limit: float) -> None:
    z = truncated(4_000, 3, limit, gen(1))
    assert z.shape == (4_000, 3) and z.dtype == torch.float32 and z.abs().max() <= limit
    law = scipy.stats.truncnorm(-limit, limit)
    assert scipy.stats.kstest(z.flatten().numpy(), law.cdf).pvalue > 1e-3
    assert abs(torch.corrcoef(z.T)[0, 1]) < 0.06


def test_a_wide_limit_truncates_nothing() -> None:
    z = truncated(5_000, 4, 12.0, gen(2))
    assert z.isfinite().all() and abs(float(z.std()) - 1) < 0.02 and z.abs().max() > 3


def test_a_walk_begins_and_ends_where_it_should_and_keeps_its_length() -> None:
    a, b = torch.randn(2, 50, generator=gen(1))
    a, b = a / a.norm(), b / b.norm()
    path = walk(a, b, 7)
    assert torch.allclose(path[0], a, atol=1e-6) and torch.allclose(path[-1], b, atol=1e-6)
    assert torch.allclose(path.norm(dim=1), torch.ones(7), atol=1e-6)
    steps = (path[1:] * path[:-1]).sum(1)
    assert torch.allclose(steps, steps[0].expand(6), atol=1e-6)  # equal angles


def test_the_middle_between_orthogonal_ends_by_hand() -> None:
    path = walk(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0]), 3)
    assert torch.allclose(path[1], torch.full((2,), 2**0.5), atol=1e-6)


def test_bad_input() -> None:
    with rejects("limit"):
        truncated(2, 2, 0.0, gen(1))
    with rejects("a and b"):
        walk(torch.ones(3), -torch.ones(3), 5)
    for odd in (torch.zeros(3), torch.tensor([1.0, torch.nan, 0.0])):
        with rejects("a, b"):
            walk(torch.ones(3), odd, 5)
