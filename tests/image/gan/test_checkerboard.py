"""Counted pixel by pixel, and seen in random layers."""

import pytest
import torch
from torch import nn

from companion.image.gan.checkerboard import overlap, painted, phase_variance
from tests.conftest import gen, rejects


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (4, 2), (5, 2), (5, 3), (2, 3)])
def test_counted_by_hand(kernel: int, stride: int) -> None:
    """Each input paints kernel × kernel outputs that begin at stride times its place."""
    found, want = overlap(7, kernel, stride), torch.zeros(6 * stride + kernel, 6 * stride + kernel)
    for row in range(7):
        for column in range(7):
            want[stride * row : stride * row + kernel, stride * column : stride * column + kernel] += 1
    assert torch.equal(found, want)
    middle = found[3 * stride : 4 * stride, 3 * stride : 4 * stride]
    axis = torch.tensor(painted(kernel, stride), dtype=torch.float)
    assert torch.equal(middle, axis[:, None] * axis)


def test_even_if_and_only_if_the_stride_divides_the_kernel() -> None:
    for kernel in range(2, 9):
        for stride in (2, 3, 4):
            assert (len(set(painted(kernel, stride))) == 1) == (kernel % stride == 0)


@pytest.mark.parametrize("kernel", [4, 5])
def test_the_variance_of_random_layers_follows_the_count(kernel: int) -> None:
    x = torch.randn(4, 16, 20, 20, generator=gen(1))
    images = torch.cat(
        [
            nn.functional.conv_transpose2d(x, torch.randn(16, 8, kernel, kernel, generator=gen(i)), stride=2)
            for i in range(8)
        ]
    )
    seen = phase_variance(images[:, :, 8:32, 8:32], 2)
    axis = torch.tensor(painted(kernel, 2), dtype=torch.float)
    want = 16 * axis[:, None] * axis
    assert torch.allclose(seen, want, rtol=0.1)


def test_phases_by_hand_and_ragged_sides() -> None:
    images = torch.tensor([1.0, 2.0, 1.0, 2.0, 9.0]).repeat(1, 1, 3, 1)
    assert torch.equal(phase_variance(images, 2), torch.tensor([[1.0, 4.0], [1.0, 4.0]]))


def test_bad_input() -> None:
    with rejects("images"):
        phase_variance(torch.zeros(1, 1, 3, 1), 2)
    with rejects("stride"):
        painted(3, 0)
