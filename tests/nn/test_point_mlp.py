"""The small networks of the 2-D lessons."""

import torch
from torch import nn

from companion.nn.point_mlp import PointMLP, TimedPointMLP
from tests.conftest import rejects


def test_equals_the_layers_written_out():
    mlp = PointMLP(3, 2, width=5, depth=2)
    x = torch.randn(4, 3)
    linear = [layer for layer in mlp.layers if isinstance(layer, nn.Linear)]
    h = x
    for layer in linear[:-1]:
        h = h @ layer.weight.T + layer.bias
        h = torch.where(h > 0, h, 0.2 * h)
    assert torch.allclose(mlp(x), h @ linear[-1].weight.T + linear[-1].bias, atol=1e-6)
    assert [tuple(layer.weight.shape) for layer in linear] == [(5, 3), (5, 5), (2, 5)]


def test_rows_do_not_mix():
    net = TimedPointMLP(2, 2, width=8)
    x, t = torch.randn(5, 2), torch.rand(5)
    assert torch.allclose(net(x, t)[2:3], net(x[2:3], t[2:3]), atol=1e-6)


def test_time_changes_the_output_and_stays_with_its_row_I47():
    net = TimedPointMLP(2, 3, width=8)
    x, t = torch.randn(1, 2).expand(4, 2), torch.tensor([0.1, 0.5, 0.5, 0.9])
    out = net(x, t)
    assert torch.allclose(out[1], out[2]) and not torch.allclose(out[0], out[1]) and not torch.allclose(out[2], out[3])


def test_times_of_one_period_apart_differ():
    """The raw time stands beside its waves, which repeat."""
    net = TimedPointMLP(2, 2, width=8, waves=1)
    x = torch.randn(3, 2)
    assert not torch.allclose(net(x, torch.zeros(3)), net(x, torch.full((3,), 2.0)))


def test_the_frequencies_are_not_weights():
    net = TimedPointMLP(2, 2, width=8)
    assert "frequencies" not in net.state_dict() and all(p.requires_grad for p in net.parameters())


def test_bad_input():
    for call, pattern in [
        (lambda: PointMLP(0, 2), "inputs: got 0"),
        (lambda: PointMLP(2, 2, width=-1), "width: got -1"),
        (lambda: TimedPointMLP(2, 2, waves=0), "waves: got 0"),
        (lambda: PointMLP(2, 2)(torch.zeros(4, 3)), "x: got shape"),
        (lambda: TimedPointMLP(2, 2)(torch.zeros(4, 2), torch.zeros(5)), "t: got shape"),
        (lambda: TimedPointMLP(2, 2)(torch.zeros(4, 2), torch.zeros(1)), "t: got shape"),
    ]:
        with rejects(pattern):
            call()


def test_time_enters_as_itself_and_as_waves_of_periods_two_one_and_a_half():
    net = TimedPointMLP(2, 2, width=8)
    assert torch.allclose(net.frequencies, torch.pi * torch.tensor([1.0, 2.0, 4.0]))
    x, t = torch.randn(4, 2), torch.rand(4)
    waves = [f(k * torch.pi * t) for f in (torch.sin, torch.cos) for k in (1, 2, 4)]
    assert torch.allclose(net(x, t), net.mlp(torch.stack([*x.T, t, *waves], 1)), atol=1e-5)
