"""Random tensors from a generator on any device: drawn where the generator is, then moved to where they are used.

A generator of the CPU gives the same numbers whatever the model's device, so that a seed means the same everywhere; torch
itself refuses to draw on one device with a generator of another.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def randn(shape: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers of ``like``'s type and device."""
    return torch.randn(shape, generator=generator, device=generator.device, dtype=like.dtype).to(like.device)


def rand(shape: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    """Numbers uniform in [0, 1), of ``like``'s type and device."""
    return torch.rand(shape, generator=generator, device=generator.device, dtype=like.dtype).to(like.device)


def randint(high: int, shape: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    """Whole numbers from 0 to ``high`` - 1, int64, on ``like``'s device."""
    return torch.randint(high, shape, generator=generator, device=generator.device).to(like.device)
