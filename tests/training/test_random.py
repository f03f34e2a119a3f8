"""Random tensors: drawn on the generator's device, delivered to another, of the right type, with the right law."""

import torch

from companion.training.random import rand, randint, randn


def gen() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_the_numbers_are_torchs_own_in_the_wanted_type():
    for dtype in (torch.float32, torch.float64):
        like = torch.empty(0, dtype=dtype)
        assert torch.equal(randn((2, 3), gen(), like), torch.randn(2, 3, generator=gen(), dtype=dtype))
        assert torch.equal(rand((4,), gen(), like), torch.rand(4, generator=gen(), dtype=dtype))
    assert torch.equal(randint(7, (5,), gen(), torch.empty(0)), torch.randint(7, (5,), generator=gen()))


def test_they_go_to_a_device_that_is_not_the_generators():
    like = torch.empty(0, device="meta")
    for drawn in (randn((2,), gen(), like), rand((2,), gen(), like), randint(5, (2,), gen(), like)):
        assert drawn.device.type == "meta"
