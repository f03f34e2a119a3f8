"""What the heads of a language model look at, and two numbers that say what a head does.

For each layer and head the weights A of (eq-attention), a row for each position that reads and a column for each that is
read. Two habits of heads can be measured without looking at pictures:

    previous = mean over t of A[t, t - 1]                                                    (eq-head-previous)
    induction = mean over t of A[t, s + 1], where s is the last earlier place of token t     (eq-head-induction)

A head with high *induction* looks at what came after the same token the last time, which is what copying needs. It can only
do so if an earlier layer has told each position what stands before it: Elhage et al., "A Mathematical Framework for
Transformer Circuits", 2021; Olsson et al., "In-context Learning and Induction Heads", 2022, arXiv:2209.11895, where both
numbers are measured on random tokens that are repeated once.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.training import evaluating
from companion.validate import checked


@checked
def attention_maps(model: nn.Module, ids: Int[Tensor, "batch n"]) -> Float[Tensor, "layers batch heads n n"]:
    """The weights of all heads while the model reads; rows sum to 1.

    Args:
        model: whose ``blocks`` each have a causal `companion.nn.attention.MultiHeadAttention` named ``attention``.
        ids: token numbers.
    """
    seen: list[tuple[nn.Module, Tensor]] = []
    handles = [
        block.attention.register_forward_pre_hook(lambda module, inputs: seen.append((module, inputs[0])))
        for block in model.blocks
    ]
    with evaluating(model):
        try:
            model(ids)
        finally:
            for handle in handles:
                handle.remove()
        return torch.stack([module(x, causal=True, return_weights=True)[1] for module, x in seen])


def previous_score(maps: Float[Tensor, "layers batch heads n n"]) -> Float[Tensor, "layers heads"]:
    """How much of each head's weight lies on the token just before (eq-head-previous)."""
    return maps.diagonal(-1, dim1=-2, dim2=-1).mean((1, 3))


@checked
def induction_score(
    maps: Float[Tensor, "layers batch heads n n"], ids: Int[Tensor, "batch n"]
) -> Float[Tensor, "layers heads"]:
    """How much of each head's weight lies on what followed the same token the last time (eq-head-induction).

    Raises:
        ValueError: no token occurs twice.
    """
    n = ids.shape[1]
    same = (ids[:, :, None] == ids[:, None, :]).tril(-1)  # (batch, reader, earlier place of the same token)
    last = torch.where(same, torch.arange(n, device=ids.device), -1).amax(-1)
    batch, reader = torch.nonzero(last >= 0, as_tuple=True)
    if not len(reader):
        raise ValueError("ids: got no token that occurs twice, wanted at least one")
    return maps[:, batch, :, reader, last[batch, reader] + 1].mean(0)
