"""Floating-point operations, counted: what PyTorch's own table of costs says of each operation that runs.

Matrix products and convolutions count, a multiplication and an addition as two; operations on single numbers (activations,
norms, the optimiser) do not. A formula (`companion.scaling.flops`) can be checked against it.
"""

from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class _Counter(TorchDispatchMode):
    """Adds up the operations that run, forward and backward, and what they cost."""

    def __init__(self) -> None:
        super().__init__()
        self.total = self.calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.calls += 1
        cost = flop_registry.get(func._overloadpacket)
        if cost is not None:
            self.total += cost(*args, **(kwargs or {}), out_val=out)
        return out


def count_flops(step: Callable[[], object]) -> int:
    """The operations of the matrix products and convolutions in one call, backward passes in it included.

    Attention is computed in its plain form meanwhile: the processor's fused kernel is not in PyTorch's table and would count
    as nothing. (PyTorch's ``FlopCounterMode`` reads the same table but does not survive the gradient of a gradient, which R1
    needs.)
    """
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), _Counter() as counter:
        step()
    return counter.total


def count_calls(step: Callable[[], object]) -> int:
    """How many operations PyTorch is called for in one call of ``step``, whatever each costs: views and copies count as well.

    A property of the program alone: the same on a fast and on a slow machine, in a wide and in a narrow network.
    """
    with _Counter() as counter:
        step()
    return counter.calls
