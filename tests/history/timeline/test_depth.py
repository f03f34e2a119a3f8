"""Shortcuts: the same weights, a sum in place of a replacement, and a gradient that reaches the first layer."""

import torch

from companion.history.timeline.depth import DeepNet
from tests.conftest import gen, rejects


def test_a_shortcut_adds_the_input_and_nothing_else() -> None:
    images = torch.randn(5, 1, 8, 8, generator=gen())
    torch.manual_seed(0)
    plain = DeepNet(1, shortcuts=False, width=7)
    short = DeepNet(1, shortcuts=True, width=7)
    short.load_state_dict(plain.state_dict())
    h = plain.first(images.flatten(1))
    assert torch.allclose(short(images) - plain(images), h @ plain.last.weight.T, atol=1e-6)


def test_thirty_plain_layers_hand_no_gradient_to_the_first() -> None:
    norms = {}
    for shortcuts in (False, True):
        torch.manual_seed(0)
        net = DeepNet(30, shortcuts=shortcuts)
        net(torch.randn(16, 1, 8, 8, generator=gen())).square().mean().backward()
        norms[shortcuts] = float(net.first.weight.grad.norm())
    assert norms[False] < 1e-6 < 1e-2 < norms[True]


def test_normalisation_makes_a_units_sums_alike_over_the_batch() -> None:
    net = DeepNet(2, shortcuts=True, normalised=True)
    assert torch.allclose(net.norms[0](3 + 5 * torch.randn(64, 32, generator=gen())).std(0), torch.ones(32), atol=0.02)


def test_bad_input() -> None:
    with rejects("depth: got 0"):
        DeepNet(0, shortcuts=True)
