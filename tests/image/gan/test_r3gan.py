"""The block by hand, the start at which it does nothing, sizes, and what depends on what."""

import math

import pytest
import torch
from torch.nn import functional as F

from companion.image.gan.r3gan import GAIN, SLOPE, Block, Critic, Generator, convolution
from tests.conftest import gen, rejects


def awake(net: torch.nn.Module) -> torch.nn.Module:
    """All weights random, also those that begin at 0."""
    for i, p in enumerate(net.parameters()):
        torch.nn.init.normal_(p, std=0.3, generator=gen(i))
    return net


def test_the_block_by_hand() -> None:
    """eq-gan-block, each group of the 3×3 convolution by itself."""
    block, x = awake(Block(6, 4, 2)), torch.randn(2, 6, 5, 3, generator=gen(9))
    leaky = lambda h, bias: F.leaky_relu(h + bias[None, :, None, None], 0.2)  # noqa: E731
    h = leaky(torch.einsum("nchw,oc->nohw", x, block.widen.weight[:, :, 0, 0]), block.first.bias)
    parts = [F.conv2d(h[:, i : i + 4], block.look.weight[i : i + 4], padding=1) for i in range(0, 12, 4)]
    h = leaky(torch.cat(parts, 1), block.second.bias)
    want = x + torch.einsum("nchw,oc->nohw", h, block.narrow.weight[:, :, 0, 0])
    assert torch.allclose(block(x), want, atol=1e-5)


def test_a_block_begins_as_identity_and_still_learns() -> None:
    block, x = Block(8, 8, 3), torch.randn(2, 8, 4, 4, generator=gen(1))
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.narrow.weight.grad.any()


def test_weights_begin_at_the_scale_of_fix_up() -> None:
    """1/sqrt(fan in), times the rectifier's gain and L^(-1/4) inside a block of L."""
    torch.manual_seed(0)
    block = Block(64, 16, 16)
    assert float(block.widen.weight.detach().std()) == pytest.approx(GAIN / 2 / 8, rel=0.05)
    assert float(block.look.weight.detach().std()) == pytest.approx(GAIN / 2 / 12, rel=0.05)
    assert float(convolution(40, 90, 3).weight.detach().std()) == pytest.approx(1 / math.sqrt(360), rel=0.05)
    z = torch.randn(20_000, generator=gen(1))
    assert float((GAIN * F.leaky_relu(z, SLOPE)).square().mean()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("side", "widths"), [(8, (8,)), (14, (8,)), (16, (12, 8)), (28, (8, 4))])
def test_I57_sides(side: int, widths: tuple[int, ...]) -> None:
    G, D = Generator(side, widths, 2, 4, latent=5), Critic(side, widths, 2, 4)
    images = G(torch.randn(3, 5))
    assert images.shape == (3, 3, side, side)
    assert D(images).shape == (3, 1)
    assert sum(isinstance(m, Block) for m in G.modules()) == 2 * len(widths)
    assert sum(isinstance(m, Block) for m in D.modules()) == 2 * len(widths)


def test_at_the_start_a_network_is_a_chain_of_resampling() -> None:
    """Linear in z, and in the picture; no blocks take part."""
    G, D = Generator(16, (8, 8), 1, 8, latent=5), Critic(16, (8, 8), 1, 8)
    a, b = torch.randn(2, 3, 5, generator=gen(1))
    assert torch.allclose(G(a + b), G(a) + G(b), atol=1e-5)
    x, y = torch.randn(2, 3, 3, 16, 16, generator=gen(2))
    assert torch.allclose(D(x + y), D(x) + D(y), atol=1e-4)


def test_the_start_is_alive_and_by_hand() -> None:
    """Basis weighed, doubled by linear interpolation, rearranged; each grid cell of the critic's end by itself."""
    G, z = Generator(16, (8, 4), 2, 4, latent=5), torch.randn(3, 5, generator=gen(1))
    x = G.basis * (z @ G.weigh.weight.T)[:, :, None, None]
    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    change = next(m for m in G.stages if isinstance(m, torch.nn.Conv2d))
    x = torch.einsum("nchw,oc->nohw", x, change.weight[:, :, 0, 0])
    x = torch.einsum("nchw,oc->nohw", x, G.out.weight[:, :, 0, 0])
    assert torch.allclose(G(z), F.pixel_shuffle(x, 2), atol=1e-5)
    torch.manual_seed(0)
    G = Generator(16, (64, 32), 2, 16)
    assert 0.5 < float(G(torch.randn(200, 64, generator=gen(2))).detach().std()) < 2
    D = Critic(16, (8, 4), 2, 4)
    assert D.gather.weight.shape == (8, 1, 4, 4)


def test_fix_up_counts_the_blocks_of_all_grids() -> None:
    torch.manual_seed(0)
    for net in (Generator(16, (64, 64), 8, 16), Critic(16, (64, 64), 8, 16)):
        widths = [float(m.widen.weight.detach().std()) for m in net.modules() if isinstance(m, Block)]
        assert sum(widths) / 16 == pytest.approx(GAIN / 2 / 8, rel=0.02)


def test_no_picture_sees_another_and_every_part_reaches_the_end() -> None:
    G, D = awake(Generator(16, (8, 8), 1, 8, latent=5)), awake(Critic(16, (8, 8), 1, 8))
    z = torch.randn(4, 5, generator=gen(1))
    assert torch.allclose(G(z)[:2], G(z[:2]), atol=1e-6)
    x = torch.randn(4, 3, 16, 16, generator=gen(2))
    assert torch.allclose(D(x)[:2], D(x[:2]), rtol=1e-4, atol=1e-4)
    x.requires_grad_()
    D(x)[0].sum().backward()
    assert (x.grad[0].abs() > 0).all() and not x.grad[1:].any()
    z.requires_grad_()
    G(z)[1].square().sum().backward()
    assert (z.grad[1].abs() > 0).all() and not z.grad[0].any()
    assert all(p.grad is not None for p in G.parameters())


def test_the_critic_halves_by_means_of_squares() -> None:
    """At the start the grid below does not change if pixels of a 4×4 square trade places in steps of its grid cells."""
    D = Critic(16, (8, 8), 1, 8)
    x = torch.randn(2, 3, 16, 16, generator=gen(1))
    y = x.clone()
    y[:, :, 0:2, 0:2], y[:, :, 2:4, 2:4] = x[:, :, 2:4, 2:4], x[:, :, 0:2, 0:2]
    assert torch.allclose(D(x), D(y), atol=1e-5)


def test_bad_input() -> None:
    with rejects("group"):
        Block(6, 5, 1)
    with rejects("widths"):
        Generator(16, (8,), 1, 8)
    with rejects("side"):
        Critic(9, (8,), 1, 8)
