"""Squares become tokens and squares again, in diffusers' order; the grid's answer is that of its tokens."""

import torch
from diffusers import FluxPipeline

from companion.image.flux import Flux, FluxConfig, PackedFlux, places
from companion.image.flux.packed import pack, unpack
from tests.conftest import gen, rejects

Z = torch.randn(2, 3, 4, 6, generator=gen())


def test_tokens_are_in_the_pipelines_order_and_come_back() -> None:
    assert torch.equal(pack(Z), FluxPipeline._pack_latents(Z, 2, 3, 4, 6))
    assert torch.equal(unpack(pack(Z), 2, 3), Z)


@torch.no_grad()
def test_a_grid_is_answered_as_its_tokens_are() -> None:
    inner = Flux(FluxConfig(12, 5, 7, 2, (2, 4, 6), 1, 1)).eval()
    for parameter in inner.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape, generator=gen(1)))
    words, pooled, t = (
        torch.randn(2, 4, 5, generator=gen(2)),
        torch.randn(2, 7, generator=gen(3)),
        torch.tensor([0.2, 0.9]),
    )
    want = inner(pack(Z), words, pooled, t, *places(2, 3, 4))
    assert torch.equal(PackedFlux(inner)(Z, t, words, pooled), unpack(want, 2, 3)) and want.abs().max() > 0.1


def test_bad_input() -> None:
    with rejects("z"):
        pack(Z[:, :, :3])
    with rejects("tokens"):
        unpack(pack(Z), 3, 3)
