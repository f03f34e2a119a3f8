r"""Muon: a matrix's step is the orthogonal matrix that is nearest to its momentum.

With m the running mean of the gradients g, looked one step ahead, and :math:`U \Sigma V^\top` its singular value decomposition,

- :math:`\theta \leftarrow (1 - \eta\lambda)\,\theta - 0.2\,\eta \sqrt{\max(\text{rows}, \text{columns})}\; U V^\top` (eq-muon)

so that every direction of the matrix moves equally far, while a gradient descent moves chiefly along the few with large
singular values. The factor gives the step the root mean square that AdamW's usually has, so both take one learning rate.
:math:`U V^\top` is found without a decomposition, by five steps of a polynomial in :math:`X X^\top` that drives all singular
values to about 1 (Newton–Schulz).

Sources: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. Factor and weight decay: Liu et al.,
"Muon is scalable for LLM training", arXiv:2502.16982.
"""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from companion.validate import checked

MOMENTUM, SIZE = 0.95, 0.2
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.AdamW):
    """Muon for the groups with ``"orthogonal": True``, AdamW for the others.

    A kernel counts as the matrix of its output channels by all else. The momentum stands where AdamW keeps its own.

    Raises:
        ValueError: a group that does not say which it is, or a vector among the orthogonal.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], **how: Any) -> None:
        groups = [dict(group, params=[*group["params"]]) for group in groups]
        for group in groups:
            if not isinstance(group.get("orthogonal"), bool):
                raise ValueError(f"groups: got orthogonal = {group.get('orthogonal')!r}, wanted True or False in each")
            for parameter in group["params"] if group["orthogonal"] else ():
                if parameter.ndim < 2:
                    raise ValueError(
                        f"groups: got a parameter of shape {tuple(parameter.shape)}, wanted matrices or kernels"
                    )
        super().__init__(groups, **how)

    @torch.no_grad()
    def step(self) -> None:
        """Use the gradients that stand in the parameters."""
        everything = self.param_groups
        for group in (group for group in everything if group["orthogonal"]):
            for parameter in (p for p in group["params"] if p.grad is not None):
                state = self.state[parameter]
                if not state:
                    state |= {"step": torch.zeros(()), "exp_avg": torch.zeros_like(parameter)}
                state["step"] += 1
                momentum = state["exp_avg"].lerp_(parameter.grad, 1 - MOMENTUM)
                ahead = parameter.grad.lerp(momentum, MOMENTUM).flatten(1)
                move = SIZE * max(ahead.shape) ** 0.5 * orthogonal(ahead).view_as(parameter)
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(move, alpha=-group["lr"])
        try:
            self.param_groups = [group for group in everything if not group["orthogonal"]]
            super().step()
        finally:
            self.param_groups = everything


@checked
def orthogonal(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """The orthogonal matrix nearest to a given one, about: singular values between 0.7 and 1.2 in place of its own."""
    a, b, c = COEFFICIENTS
    wide = len(matrix) <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide else x.T
