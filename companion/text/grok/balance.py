"""The load of the experts, and two ways to keep it even: a second loss, and a bias that is nudged.

It is often said that a router left to itself sends more and more to the experts that are good already.

- *Auxiliary loss*, Fedus et al., "Switch Transformers", 2021, arXiv:2101.03961, equations 4 to 6, as transformers counts
  it for Mixtral. With E experts, k active, f_e the number of tokens sent to expert e divided by the number of tokens, and P_e
  the mean of p_e, both over the tokens of all layers:

      L = E Σ_e f_e P_e                                                                      (eq-moe-balance)

  f sums to k and P to 1. At an even load L = k; with all tokens at the same k experts and sure of them, L = E. Of all loads
  with f = k P the even one is the least (Cauchy and Schwarz). But k is no bound: where f and P differ, L can be less
  (`tests/text/grok/test_balance.py` has a case). f has no gradient; P has, and pushes p down where the load is high. With f and
  P over all layers at once two uneven layers can be even together; `BalancedLoss` takes the mean of each layer's own loss, as
  the Switch Transformer does.

- *Nudging*, Wang et al., "Auxiliary-Loss-Free Load Balancing Strategy for Mixture-of-Experts", 2024, arXiv:2408.15664,
  used in DeepSeek-V3: after each step

      b_e ← b_e + u sign(mean load - load_e)                                                 (eq-moe-nudge)

  and the k experts with the highest p + b are chosen, while the gates stay those of p (`companion.nn.moe`). No gradient is
  disturbed. Departure: in DeepSeek-V3 p is a sigmoid of each score by itself; here it is the softmax of the other routers.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.language.scoring import next_token_loss
from companion.nn.moe import Router, Routing, routings
from companion.validate import NonNegative, checked


def loads(routing: Routing, mask: Bool[Tensor, "batch n"] | None = None) -> Float[Tensor, "experts"]:
    """The tokens sent to each expert, divided by the number of tokens: f of (eq-moe-balance), which sums to k."""
    chosen, experts = routing.chosen, routing.p.shape[-1]
    chosen = chosen if mask is None else chosen[mask.flatten()]
    return chosen.flatten().bincount(minlength=experts) / len(chosen)


def load_balancing_loss(seen: Sequence[Routing], mask: Bool[Tensor, "batch n"] | None = None) -> Float[Tensor, ""]:
    """The auxiliary loss over the tokens of all layers (eq-moe-balance); k at an even load.

    Args:
        seen: what the routers decided, of `companion.nn.moe.routings`.
        mask: True at real tokens, shape (batch, n); padding is not counted.
    """
    f = torch.stack([loads(one, mask) for one in seen]).mean(0)
    p = torch.stack([(one.p if mask is None else one.p[mask.flatten()]).mean(0) for one in seen]).mean(0)
    return len(f) * (f * p).sum()


@torch.no_grad()
def nudge(router: Router, load: Float[Tensor, "experts"], rate: float) -> None:
    """Move the bias of each expert by ``rate``: up if it had less than the mean load, down if it had more (eq-moe-nudge).

    Raises:
        ValueError: a router without a bias.
    """
    if router.bias is None:
        raise ValueError("router: got one without a bias, wanted nudged=True")
    router.bias += rate * (load.mean() - load).sign()


def used(load: Float[Tensor, "*layers experts"]) -> Float[Tensor, "*layers"]:
    """As how many experts with equal loads these spread as evenly: exp of the entropy of the load's shares, 1 to E."""
    share = load / load.sum(-1, keepdim=True)
    return torch.special.entr(share).sum(-1).exp()


@checked
class BalancedLoss:
    """The next-token loss with a way to balance the load, as `companion.training.train` calls it.

    Args:
        auxiliary: how much of the layers' mean auxiliary loss is added.
        rate: by how much the routers' biases are nudged at each step, in training mode alone; they need ``nudged=True``.
    """

    def __init__(self, auxiliary: NonNegative = 0.0, rate: NonNegative = 0.0) -> None:
        self.auxiliary, self.rate = auxiliary, rate

    def __call__(
        self, model: nn.Module, batch: tuple[Int[Tensor, "batch length"]], generator: torch.Generator | None = None
    ) -> Float[Tensor, ""]:
        """The loss of a batch; a nudge, made here, is felt at the next."""
        with routings(model) as seen:
            loss = next_token_loss(model, batch)
        if self.auxiliary:
            loss = loss + self.auxiliary * sum(load_balancing_loss([one]) for one in seen) / len(seen)
        if self.rate and model.training:
            routers = [module for module in model.modules() if isinstance(module, Router)]
            for router, one in zip(routers, seen, strict=True):
                nudge(router, loads(one), self.rate)
        return loss
