"""Counted operations against the formula of a matrix product and PyTorch's own counter."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from companion.metrics.flops import count_calls, count_flops


def test_a_linear_layer_takes_six_operations_for_each_weight_and_example():
    layer, x = nn.Linear(7, 5, bias=False), torch.randn(3, 7, requires_grad=True)
    assert count_flops(lambda: layer(x)) == 2 * 3 * 7 * 5
    assert count_flops(lambda: layer(x).sum().backward()) == 6 * 3 * 7 * 5


@pytest.mark.parametrize(
    ("net", "x"),
    [
        (nn.Conv2d(2, 5, 3, padding=1), torch.randn(3, 2, 6, 4)),
        (nn.TransformerEncoderLayer(12, 3, 20, batch_first=True), torch.randn(2, 7, 12)),
    ],
    ids=["convolution", "transformer"],
)
def test_the_count_is_that_of_pytorchs_own_counter(net, x):
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), FlopCounterMode(display=False) as theirs:
        net(x).square().sum().backward()
    assert count_flops(lambda: net(x).square().sum().backward()) == theirs.get_total_flops() > 0


def test_attention_is_counted_though_the_processors_kernel_is_fused():
    q = torch.randn(2, 3, 5, 8)
    assert count_flops(lambda: nn.functional.scaled_dot_product_attention(q, q, q)) == 2 * (2 * 2 * 3 * 5 * 5 * 8)


def test_the_gradient_of_a_gradient_is_counted():
    layer, x = nn.Linear(7, 5, bias=False), torch.randn(3, 7, requires_grad=True)

    def penalty() -> None:
        (gradient,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        gradient.square().sum().backward()

    assert count_flops(penalty) > count_flops(lambda: layer(x).square().sum().backward())


def test_calls_are_counted_whatever_they_cost():
    x = torch.randn(3, 7)
    assert count_calls(lambda: x.relu().exp()) == 2
    narrow, wide = (nn.Sequential(nn.Linear(7, width), nn.ReLU(), nn.Linear(width, 2)) for width in (2, 200))
    assert count_calls(lambda: narrow(x)) == count_calls(lambda: wide(x)) > 3
    assert count_flops(lambda: wide(x)) == 100 * count_flops(lambda: narrow(x))
