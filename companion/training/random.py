"""Random tensors for any device: drawn where their generator lives, then moved.

A generator of the CPU gives the same numbers on every machine, so a seed means the same noise on a laptop and on a GPU. torch
refuses to fill a GPU's tensor from it (``torch.randn(..., generator=cpu, device="cuda")``), hence these functions. A generator
of the GPU itself serves as well, and spares the copy.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Device = torch.device | str


def randn(
    shape: Sequence[int],
    generator: torch.Generator | None,
    like: Tensor | None = None,
    *,
    dtype: torch.dtype | None = None,
    device: Device | None = None,
) -> Tensor:
    """Standard normal noise.

    Args:
        shape: of the result.
        generator: what draws, on its own device; None for torch's global one of the CPU.
        like: a tensor whose type and device the noise gets where ``dtype`` or ``device`` do not say otherwise.
        dtype: of the result; drawn in that type, so float64 noise is not rounded. torch's default if nothing is given.
        device: of the result; the generator's if nothing is given.
    """
    return _drawn(torch.randn, shape, generator, like, dtype, device)


def rand(
    shape: Sequence[int],
    generator: torch.Generator | None,
    like: Tensor | None = None,
    *,
    dtype: torch.dtype | None = None,
    device: Device | None = None,
) -> Tensor:
    """Uniform numbers in [0, 1); the arguments are those of `randn`."""
    return _drawn(torch.rand, shape, generator, like, dtype, device)


def randint(
    high: int,
    shape: Sequence[int],
    generator: torch.Generator | None,
    like: Tensor | None = None,
    *,
    device: Device | None = None,
) -> Tensor:
    """Whole numbers from 0 to below ``high``, int64, on the device of ``like``."""
    home = _home(generator)
    device = device or (home if like is None else like.device)
    return torch.randint(high, tuple(shape), generator=generator, device=home).to(device)


def bernoulli(chance: Tensor, generator: torch.Generator | None) -> Tensor:
    """1 with the given chance, else 0, with the type and on the device of ``chance``."""
    return torch.bernoulli(chance.to(_home(generator)), generator=generator).to(chance.device)


def multinomial(weights: Tensor, draws: int, generator: torch.Generator | None, *, replacement: bool = False) -> Tensor:
    """Places drawn in proportion to the weights of each row, on the device of ``weights``; as `torch.multinomial`."""
    home = _home(generator)
    return torch.multinomial(weights.to(home), draws, replacement=replacement, generator=generator).to(weights.device)


def _drawn(draw, shape, generator, like, dtype, device) -> Tensor:
    if like is not None:
        dtype, device = dtype or like.dtype, device or like.device
    home = _home(generator)
    return draw(tuple(shape), generator=generator, dtype=dtype, device=home).to(device or home)


def _home(generator: torch.Generator | None) -> torch.device:
    return torch.device("cpu") if generator is None else generator.device
