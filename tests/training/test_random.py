"""Noise that does not depend on the device, and draws that torch itself would refuse."""

import pytest
import torch

from companion.training.random import bernoulli, multinomial, rand, randint, randn


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def test_on_the_cpu_they_are_torchs_own_numbers():
    chance = torch.tensor([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]])
    pairs = [
        (randn((3, 2), seeded()), torch.randn(3, 2, generator=seeded())),
        (rand((3, 2), seeded()), torch.rand(3, 2, generator=seeded())),
        (randint(5, (4,), seeded()), torch.randint(5, (4,), generator=seeded())),
        (bernoulli(chance, seeded()), torch.bernoulli(chance, generator=seeded())),
        (multinomial(chance, 2, seeded()), torch.multinomial(chance, 2, generator=seeded())),
    ]
    for ours, theirs in pairs:
        assert torch.equal(ours, theirs) and ours.dtype == theirs.dtype


def test_type_and_device_follow_the_example_unless_said_otherwise():
    like = torch.empty(1, dtype=torch.float64, device="meta")
    assert (randn((2,), seeded(), like=like).dtype, randn((2,), seeded(), like=like).device.type) == (
        like.dtype,
        "meta",
    )
    near = rand((2,), seeded(), like=like, dtype=torch.float32, device="cpu")
    assert (near.dtype, near.device.type) == (torch.float32, "cpu")
    assert randn((2,), seeded()).device.type == "cpu"
    assert randint(3, (2,), seeded(), device="meta").device.type == "meta"


def test_float64_noise_is_drawn_in_float64():
    noise = randn((1000,), seeded(), dtype=torch.float64)
    assert not torch.equal(noise, noise.float().double())


def test_without_a_generator_the_global_one_draws():
    torch.manual_seed(3)
    first = randn((2,), None)
    torch.manual_seed(3)
    assert torch.equal(first, torch.randn(2))


@pytest.mark.parametrize("replacement", [False, True])
def test_multinomial_draws_in_proportion(replacement):
    drawn = multinomial(torch.tensor([[1.0, 3.0]]).expand(2000, -1), 1, seeded(), replacement=replacement)
    assert 0.72 < drawn.float().mean() < 0.78
