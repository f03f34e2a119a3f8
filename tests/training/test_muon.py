"""Muon against its definition by singular values and, on matrices, against torch's own."""

import copy

import pytest
import torch
from torch import Generator, nn
from torch.optim import _muon

from companion.training.muon import Muon, orthogonal
from companion.training.optimization import TrainConfig, Updater
from tests.conftest import rejects


@pytest.mark.parametrize("shape", [(6, 6), (5, 40), (40, 5), (64, 96)])
def test_orthogonal_keeps_the_directions_and_evens_their_sizes(shape):
    matrix = torch.randn(shape, generator=Generator().manual_seed(1))
    u, sizes, v = torch.linalg.svd(matrix, full_matrices=False)
    found = u.T @ orthogonal(matrix) @ v.T
    assert (found - torch.diag(found.diagonal())).abs().max() < 1e-4, "left or right singular vectors have turned"
    kept = sizes > 0.02 * sizes.max()
    assert kept.sum() >= len(sizes) - 1 and ((found.diagonal()[kept] > 0.6) & (found.diagonal()[kept] < 1.3)).all()
    assert torch.allclose(orthogonal(100 * matrix), orthogonal(matrix), atol=1e-4), "the gradient's size counts"


def test_a_gradient_of_zero_moves_nothing():
    assert torch.equal(orthogonal(torch.zeros(4, 7)), torch.zeros(4, 7))


@pytest.mark.parametrize("shape", [(8, 24), (24, 8)])
def test_steps_on_a_matrix_are_torchs(shape, monkeypatch):
    """torch's iteration rounds to bfloat16; with the same orthogonal matrix all else is equal (momentum, look ahead, decay)."""
    generator = Generator().manual_seed(2)
    ours = nn.Parameter(torch.randn(shape, generator=generator))
    theirs = nn.Parameter(ours.detach().clone())
    muon = Muon([{"params": [ours], "orthogonal": True}], lr=0.02, weight_decay=0.3)
    reference = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.3, adjust_lr_fn="match_rms_adamw")
    rough = _muon._zeropower_via_newtonschulz
    checked = []

    def exact(gradient, coefficients, steps, eps):
        mine = orthogonal(gradient.flatten(1))
        checked.append(float((rough(gradient, coefficients, steps, eps).float() - mine).norm() / mine.norm()))
        return mine

    monkeypatch.setattr(_muon, "_zeropower_via_newtonschulz", exact)
    for _ in range(4):
        ours.grad = torch.randn(shape, generator=generator)
        theirs.grad = ours.grad.clone()
        muon.step()
        reference.step()
        assert torch.allclose(ours, theirs, atol=1e-6)
    assert len(checked) == 4 and max(checked) < 0.05, "the iteration is not torch's within bfloat16"


def test_a_kernel_moves_as_its_matrix_and_a_bias_as_by_adamw():
    generator = Generator().manual_seed(3)
    conv = nn.Conv2d(4, 6, 3)
    flat = nn.Parameter(conv.weight.detach().flatten(1).clone())
    bias = nn.Parameter(conv.bias.detach().clone())
    groups = [{"params": [conv.weight], "orthogonal": True}, {"params": [conv.bias], "orthogonal": False}]
    muon = Muon(groups, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    matrix = Muon([{"params": [flat], "orthogonal": True}], lr=0.01, weight_decay=0.1)
    adamw = torch.optim.AdamW([bias], lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    for _ in range(3):
        conv.weight.grad = torch.randn(conv.weight.shape, generator=generator)
        conv.bias.grad = torch.randn(6, generator=generator)
        flat.grad, bias.grad = conv.weight.grad.flatten(1).clone(), conv.bias.grad.clone()
        for optimizer in (muon, matrix, adamw):
            optimizer.step()
    assert torch.allclose(conv.weight.flatten(1), flat, atol=1e-7) and torch.allclose(conv.bias, bias, atol=1e-7)
    assert len(muon.param_groups) == 2


def test_updater_gives_matrices_to_muon_and_the_rest_to_adamw():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Linear(7, 3))
    other = copy.deepcopy(net)
    config = TrainConfig(steps=10, lr=0.01, warmup=0.0, weight_decay=0.0, clip=1e4, optimizer="muon")
    first = TrainConfig(steps=10, lr=0.01, warmup=0.0, weight_decay=0.0, clip=1e4)
    pairs = (Updater(net, config), net), (Updater(other, first), other)
    for updater, model in pairs:
        model(torch.randn(16, 5, generator=Generator().manual_seed(4))).square().sum().backward()
        updater.step()
    same = {
        name: torch.allclose(a, b, atol=1e-7)
        for (name, a), b in zip(net.named_parameters(), other.parameters(), strict=True)
    }
    assert same == {name: "weight" not in name or name.startswith("1") for name in same}


def test_a_parameter_without_a_gradient_stays() -> None:
    used, unused = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(2, 3))
    used.grad = torch.ones(2, 3)
    Muon([{"params": [used, unused], "orthogonal": True}], lr=0.1, weight_decay=0.5).step()
    assert (used != 1).all() and (unused == 1).all()


def test_groups_say_which_they_are_and_vectors_have_no_orthogonal_matrix() -> None:
    for group in (
        {"params": [nn.Parameter(torch.ones(2, 3))]},
        {"params": [nn.Parameter(torch.ones(3))], "orthogonal": True},
    ):
        with rejects("groups"):
            Muon([group], lr=0.1)
