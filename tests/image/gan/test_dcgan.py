"""Sizes, the layers of the paper, what a batch changes, and the network by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion.image.gan.dcgan import LATENT, Critic, Generator, doublings
from tests.conftest import gen, rejects


@pytest.mark.parametrize(("side", "want"), [(8, (1, 4)), (14, (1, 7)), (16, (2, 4)), (28, (2, 7)), (32, (3, 4))])
def test_I57_sides_and_grids(side: int, want: tuple[int, int]) -> None:
    assert doublings(side) == want
    images = Generator(side, 3, latent=5)(torch.randn(2, 5))
    assert images.shape == (2, 3, side, side) and images.abs().max() < 1
    assert Critic(side, 3)(images).shape == (2, 1)


def test_I15_one_z_gives_the_same_picture_alone_and_in_company() -> None:
    """In evaluation mode; in training mode batch normalisation lets the company in."""
    G, z = Generator(16, 4, latent=6), torch.randn(5, 6, generator=gen(1))
    G(torch.randn(9, 6, generator=gen(2)))  # so that the running means are not at their start
    assert not torch.allclose(G(z)[:2], G(z[:2]), atol=1e-3)
    G.eval()
    assert torch.allclose(G(z)[:2], G(z[:2]), atol=1e-6)


def test_I15_without_norm_there_is_no_company() -> None:
    G, D = Generator(16, 4, norm=False, latent=6), Critic(16, 4, norm=False)
    z = torch.randn(5, 6, generator=gen(1))
    assert torch.allclose(G(z)[:2], G(z[:2]), atol=1e-6)
    assert torch.allclose(D(G(z))[:2], D(G(z[:2])), atol=1e-6)


def test_the_layers_that_ship_have_no_norm_but_biases_and_rectifiers() -> None:
    """Both players by hand, with biases that are not zero."""
    G, D, z = Generator(16, 2, norm=False, latent=3), Critic(16, 2, norm=False), torch.randn(4, 3, generator=gen(1))
    for i, weight in enumerate((*G.parameters(), *D.parameters())):
        nn.init.normal_(weight, std=0.5, generator=gen(i))
    w = [m for m in G.net if isinstance(m, nn.ConvTranspose2d)]
    x = F.relu(torch.einsum("nz,zchw->nchw", z, w[0].weight) + w[0].bias[:, None, None])
    x = F.relu(F.conv_transpose2d(x, w[1].weight, w[1].bias, 2, 1))
    x = torch.tanh(F.conv_transpose2d(x, w[2].weight, w[2].bias, 2, 1))
    assert torch.allclose(G(z), x, atol=1e-5)
    w = [m for m in D.net if isinstance(m, nn.Conv2d)]
    h = F.leaky_relu(F.conv2d(x, w[0].weight, w[0].bias, 2, 1), 0.2)
    h = F.leaky_relu(F.conv2d(h, w[1].weight, w[1].bias, 2, 1), 0.2)
    assert torch.allclose(D(x), torch.einsum("nchw,ochw->no", h, w[2].weight) + w[2].bias, atol=1e-4)


def test_the_generator_by_hand() -> None:
    """Its weights in plain functions: project, normalise, rectify, double, and tanh."""
    G, z = Generator(16, 2, latent=3), torch.randn(4, 3, generator=gen(1))
    w = [m for m in G.net if isinstance(m, nn.ConvTranspose2d)]
    assert [m.weight.shape for m in w] == [(3, 4, 4, 4), (4, 2, 4, 4), (2, 3, 4, 4)]

    def normed(x: torch.Tensor) -> torch.Tensor:
        mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, unbiased=False)
        return F.relu((x - mean) / (var + 1e-5).sqrt())

    x = normed(torch.einsum("nz,zchw->nchw", z, w[0].weight))
    x = normed(F.conv_transpose2d(x, w[1].weight, stride=2, padding=1))
    x = torch.tanh(F.conv_transpose2d(x, w[2].weight, w[2].bias, 2, 1))
    assert torch.allclose(G(z), x, atol=1e-5)


def test_the_critic_by_hand() -> None:
    D, x = Critic(16, 2), torch.randn(4, 3, 16, 16, generator=gen(1))
    w = [m for m in D.net if isinstance(m, nn.Conv2d)]
    h = F.leaky_relu(F.conv2d(x, w[0].weight, w[0].bias, 2, 1), 0.2)
    h = F.conv2d(h, w[1].weight, None, 2, 1)
    mean, var = h.mean((0, 2, 3), keepdim=True), h.var((0, 2, 3), keepdim=True, unbiased=False)
    h = F.leaky_relu((h - mean) / (var + 1e-5).sqrt(), 0.2)
    score = torch.einsum("nchw,ochw->no", h, w[2].weight) + w[2].bias
    assert torch.allclose(D(x), score, atol=1e-5)


def test_it_starts_as_the_paper_says_and_has_no_norm_at_the_ends() -> None:
    torch.manual_seed(0)
    G, D = Generator(32, 16), Critic(32, 16)
    for net in (G, D):
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                assert float(module.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert isinstance(G.net[-1], nn.Tanh) and isinstance(G.net[-2], nn.ConvTranspose2d)
    assert [type(m) for m in D.net[:2]] == [nn.Conv2d, nn.LeakyReLU]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in Generator(16, 4, norm=False).modules())
    assert G.net[0].weight.shape[0] == LATENT


def test_bad_input() -> None:
    for side in (6, 9):
        with rejects("side"):
            doublings(side)
    with rejects("latent|z"):
        Generator(8, 4)(torch.zeros(2))
