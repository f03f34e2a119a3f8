"""A mixture of experts: several MLPs side by side, and a router that sends each token to a few of them.

Shazeer et al., "Outrageously Large Neural Networks: The Sparsely-Gated Mixture-of-Experts Layer", 2017, arXiv:1701.06538;
Jiang et al., "Mixtral of Experts", 2024, arXiv:2401.04088, section 2.1. With K the k experts that have the highest p:

    p(x) = softmax(W_r x),   MoE(x) = Σ_{e ∈ K} g_e(x) MLP_e(x)                               (eq-moe)
    g_e = p_e / Σ_{e' ∈ K} p_e'   or   g_e = p_e                                              (eq-moe-gates)

The gates g of the chosen are divided by their sum in Mixtral, and are left as they are in Grok-1, where they sum to less than
one. Only the chosen are run: the tokens are sorted by expert, each expert computes its own rows in one product, and the results
go back to their places. There is no limit on how many tokens an expert takes ("capacity"), so no token is ever dropped and one
text of a batch cannot change another. p is computed in float32, as Grok-1's code does.

A router with `bias` (DeepSeek-V3's, Wang et al. 2024, arXiv:2408.15664) chooses the k highest of p + bias; the gates are
still of p. Who moves the bias is `companion.text.grok.balance`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.validate import Count, checked


class Routing(NamedTuple):
    """Where a router sent its tokens.

    Attributes:
        p: the probability of each expert; sums to 1 for each token.
        chosen: the numbers of the experts that are run, the best first.
        gates: what the output of each of these is multiplied by.
    """

    p: Float[Tensor, "tokens experts"]
    chosen: Int[Tensor, "tokens active"]
    gates: Float[Tensor, "tokens active"]


class Router(nn.Module):
    """Chooses the experts of each token and their gates (eq-moe, eq-moe-gates); no bias in the linear map.

    Args:
        width: of the tokens.
        experts: how many there are.
        active: how many of them run for a token.
        renormalised: whether the gates of the chosen are divided by their sum.
        nudged: whether it has a bias that takes part in the choice alone.

    Raises:
        ValueError: more active experts than there are.
    """

    @checked
    def __init__(
        self, width: Count, experts: Count, active: Count, *, renormalised: bool = False, nudged: bool = False
    ) -> None:
        super().__init__()
        if active > experts:
            raise ValueError(f"active: got {active}, wanted at most the {experts} experts that there are")
        self.active, self.renormalised = active, renormalised
        self.weight = nn.Parameter(torch.empty(experts, width))
        nn.init.normal_(self.weight, std=0.02)
        self.register_buffer("bias", torch.zeros(experts) if nudged else None)

    def forward(self, x: Float[Tensor, "tokens width"]) -> Routing:
        """The experts and gates of tokens, shape (tokens, width)."""
        p = F.linear(x.float(), self.weight.float()).softmax(-1)
        chosen = (p if self.bias is None else p + self.bias).topk(self.active).indices
        gates = p.gather(-1, chosen)
        if self.renormalised:
            gates = gates / gates.sum(-1, keepdim=True)
        return Routing(p, chosen, gates)


class MoE(nn.Module):
    """A layer of experts of which each token uses a few (eq-moe); takes the place of a block's MLP.

    Args:
        router: chooses.
        expert: builds one; the router says how many.
    """

    def __init__(self, router: Router, expert: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.router = router
        self.experts = nn.ModuleList(expert() for _ in range(len(router.weight)))

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Map vectors of shape (..., width) to vectors of that shape; each expert sees only the tokens sent to it."""
        tokens = x.flatten(0, -2)
        _, chosen, gates = self.router(tokens)
        order = chosen.flatten().argsort(stable=True)  # all pairs of a token and an expert, expert by expert
        counts = chosen.flatten().bincount(minlength=len(self.experts)).tolist()
        rows = tokens[order // self.router.active].split(counts)
        found = torch.cat([expert(own) for expert, own in zip(self.experts, rows, strict=True)])
        found = found[order.argsort()].unflatten(0, chosen.shape)  # (tokens, active, width)
        return (gates.to(x.dtype)[..., None] * found).sum(1).view(x.shape)


@contextmanager
def routings(model: nn.Module) -> Iterator[list[Routing]]:
    """Inside ``with routings(model) as seen``, what each router decides is appended to ``seen``, in the order of the layers.

    With gradients where the forward pass has them.
    """
    seen: list[Routing] = []
    routers = [module for module in model.modules() if isinstance(module, Router)]
    handles = [router.register_forward_hook(lambda module, inputs, out: seen.append(out)) for router in routers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
