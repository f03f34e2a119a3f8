"""In which precision to compute: `widened` for sums, squares and comparisons; bfloat16 for products where it is fast.

Bfloat16 is fast where the processor multiplies matrices in it. Where it is emulated it is slower than float32, so it is worth
asking. NVIDIA's GPUs have it since Ampere (compute capability 8.0), x86 processors with AVX512-BF16 or AMX.
"""

from functools import cache

import torch
from torch import Tensor


def widened(x: Tensor) -> Tensor:
    """The same numbers in float32 if they are in less, else as they are: squares overflow and sums stop growing in half."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


@cache
def bf16_is_fast(kind: str) -> bool:
    """Whether bfloat16 pays on a kind of device (``"cpu"``, ``"cuda"``); decided once, False for kinds not known."""
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether a run of the given precision (`TrainConfig.precision`) computes in bfloat16 on the device."""
    return precision == "bf16" or (precision == "auto" and bf16_is_fast(device.type))
