"""What is noted is the attention that the blocks compute: with it their output can be made again, words before image tokens."""

import pytest
import torch
from torch import nn

from companion.image.flux import Flux, FluxConfig, PackedFlux
from companion.image.flux import blocks as module
from companion.image.flux.looking import joint_attention
from tests.conftest import gen

Z, WORDS, POOLED = (torch.randn(2, *shape, generator=gen(i)) for i, shape in enumerate(((3, 4, 6), (4, 5), (7,))))
T = torch.tensor([0.2, 0.9])


@pytest.fixture
def model() -> PackedFlux:
    inner = Flux(FluxConfig(12, 5, 7, 2, (2, 4, 6), 2, 1)).eval()
    with torch.no_grad():
        for parameter in inner.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=gen(9)))
    return PackedFlux(inner)


@torch.no_grad()
def test_it_is_the_attention_of_each_block(model: PackedFlux, monkeypatch) -> None:
    seen, attend = [], module.attend

    def watched(q, k, v, angles):
        seen.append((v, attend(q, k, v, angles)))
        return seen[-1][1]

    monkeypatch.setattr(module, "attend", watched)
    maps = joint_attention(model, Z, T, WORDS, POOLED)
    assert maps.shape == (3, 2, 2, 10, 10) and len(seen) == 3
    torch.testing.assert_close(maps.sum(-1), torch.ones(3, 2, 2, 10))
    for shares, (v, out) in zip(maps, seen, strict=True):
        torch.testing.assert_close((shares @ v).transpose(1, 2).flatten(2), out, rtol=1e-4, atol=1e-5)


def test_nothing_is_left_hanging_on_the_model(model: PackedFlux) -> None:
    joint_attention(model, Z, T, WORDS, POOLED)
    assert not any(part._forward_hooks for part in model.modules() if isinstance(part, nn.Module))
