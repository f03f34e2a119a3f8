"""Balance: the auxiliary loss is the library's, what its value means, and where a nudge leads."""

import math

import pytest
import torch
from torch import Tensor, nn
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from companion.language.scoring import next_token_loss
from companion.nn.moe import Router, Routing, routings
from companion.text.grok import Grok, GrokConfig
from companion.text.grok.balance import BalancedLoss, load_balancing_loss, loads, nudge, used
from tests.conftest import gen, rejects


def routed(logits: Tensor, active: int = 2) -> Routing:
    p = logits.softmax(-1)
    gates, chosen = p.topk(active)
    return Routing(p, chosen, gates)


@pytest.mark.parametrize("active", [1, 2, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_the_auxiliary_loss_is_the_librarys(active: int, masked: bool) -> None:
    logits = [(2 * torch.randn(14, 5, generator=gen(i))).requires_grad_() for i in range(3)]
    theirs = [one.detach().clone().requires_grad_() for one in logits]
    mask = torch.rand(2, 7, generator=gen(9)) < 0.6 if masked else None
    got = load_balancing_loss([routed(one, active) for one in logits], mask)
    want = load_balancing_loss_func(tuple(theirs), 5, active, mask)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
    got.backward()
    want.backward()
    for one, other in zip(logits, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-7)


def of_load(f: Tensor, p: Tensor) -> float:
    """The loss of tokens that are sent, two each, so that expert e gets f[e] of ten, with mean probabilities p."""
    slots = torch.arange(len(f)).repeat_interleave(f)  # 20 in all: token t takes slots t and t + 10
    chosen = torch.stack([slots[:10], slots[10:]], 1)
    assert (chosen[:, 0] != chosen[:, 1]).all()
    routing = Routing(p.expand(10, -1), chosen, torch.ones(10, 2))
    return float(load_balancing_loss([routing]))


def test_it_is_k_at_an_even_load_and_e_where_k_experts_are_sure_of_all() -> None:
    even = torch.full((4,), 5)
    assert of_load(even, even / 20) == pytest.approx(2)
    assert of_load(torch.tensor([10, 0, 10, 0]), torch.tensor([0.5, 0.0, 0.5, 0.0])) == pytest.approx(4)


def test_of_loads_in_proportion_to_the_probabilities_the_even_one_is_the_least() -> None:
    for f in ([6, 5, 5, 4], [7, 5, 4, 4], [10, 5, 5, 0], [9, 9, 1, 1]):
        assert of_load(torch.tensor(f), torch.tensor(f) / 20) > 2 + 1e-6


def test_but_k_is_no_bound() -> None:
    """Two in five tokens are sure of expert 0, the rest just prefer expert 1: the loss is below 1, the load uneven."""
    p = torch.tensor([[1.0, 0.0]] * 2 + [[0.49, 0.51]] * 3)
    gates, chosen = p.topk(1)
    assert float(load_balancing_loss([Routing(p, chosen, gates)])) == pytest.approx(0.9224, abs=1e-4)


def test_two_layers_can_be_even_together_and_each_uneven() -> None:
    """The first sends all to experts 0 and 1, the second to 2 and 3: over both layers at once that looks even."""
    p = torch.tensor([[0.5, 0.5, 0.0, 0.0]]).expand(6, 4)
    layers = [Routing(q, q.topk(2).indices, torch.ones(6, 2)) for q in (p, p.flip(1))]
    assert float(load_balancing_loss(layers)) == pytest.approx(2)
    assert [float(load_balancing_loss([one])) for one in layers] == pytest.approx([4, 4])


def test_its_gradient_lowers_the_probability_of_a_full_expert() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0]]).repeat(6, 1).requires_grad_()
    load_balancing_loss([routed(logits)]).backward()
    assert (logits.grad[:, 0] > 0).all() and (logits.grad[:, 2] < 0).all()


def test_a_nudge_goes_by_the_sign_alone() -> None:
    router = Router(3, 4, 2, nudged=True)
    nudge(router, torch.tensor([0.9, 0.51, 0.5, 0.09]), 0.25)
    nudge(router, torch.tensor([0.9, 0.1, 0.5, 0.5]), 0.5)
    assert router.bias.tolist() == [-0.75, 0.25, 0.0, 0.25]
    with rejects("nudged=True"):
        nudge(Router(3, 4, 2), torch.ones(4), 0.1)


def test_nudges_even_the_load_of_a_router_that_never_learns() -> None:
    """Its probabilities stay as they are; only whom it chooses changes."""
    torch.manual_seed(0)
    router, x = Router(6, 5, 2, nudged=True), torch.randn(400, 6, generator=gen(1))
    nn.init.normal_(router.weight, std=0.5)
    x += 3 * router.weight[0].detach()  # nearly everyone likes expert 0
    before = router(x)
    for step in range(200):
        nudge(router, loads(router(x)), 0.01 / (1 + step / 100))
    after = router(x)
    assert torch.equal(after.p, before.p)
    assert loads(before).max() > 0.85 and used(loads(before)) < 4
    torch.testing.assert_close(loads(after), torch.full((5,), 0.4), rtol=0, atol=0.05)


def test_loads_and_how_many_experts_they_are_worth() -> None:
    routing = Routing(torch.zeros(3, 4), torch.tensor([[0, 1], [1, 0], [1, 3]]), torch.ones(3, 2))
    torch.testing.assert_close(loads(routing), torch.tensor([2, 3, 0, 1]) / 3)
    mask = torch.tensor([[True, False, True]])
    torch.testing.assert_close(loads(routing, mask), torch.tensor([1, 2, 0, 1]) / 2)
    table = torch.tensor([[1.0, 1, 1, 1], [1, 1, 0, 0], [0, 0, 2, 0]])
    torch.testing.assert_close(used(table), torch.tensor([4.0, 2, 1]))
    assert float(used(torch.tensor([3.0, 1]))) == pytest.approx(math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4)))


@pytest.mark.parametrize(("auxiliary", "rate"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.125)])
def test_the_loss_of_training_adds_the_auxiliary_or_nudges_each_layer(auxiliary: float, rate: float) -> None:
    torch.manual_seed(0)
    model = Grok(GrokConfig(11, 8, 12, 2, heads=2, kv_heads=1, hidden=6, experts=4, init_std=0.4, nudged=rate > 0))
    batch = (torch.randint(11, (3, 9), generator=gen()),)
    with routings(model) as seen:
        plain = next_token_loss(model, batch)
    loss = BalancedLoss(auxiliary, rate)(model, batch)
    own = torch.stack([load_balancing_loss([one]) for one in seen])
    torch.testing.assert_close(loss, plain + auxiliary * own.mean())
    assert (own.mean() - load_balancing_loss(seen)).abs() > 1e-3
    for block, one in zip(model.blocks, seen, strict=True):
        bias = block.mlp.router.bias
        assert bias is None if not rate else torch.equal(bias, rate * (0.5 - loads(one)).sign())
    loss.backward()
    biases = [block.mlp.router.bias for block in model.eval().blocks]
    kept = [bias.clone() for bias in biases if bias is not None]
    BalancedLoss(auxiliary, rate)(model, batch)
    assert all(torch.equal(one, bias) for one, bias in zip(kept, biases, strict=bool(rate))), "nudged while judged"
    with rejects("auxiliary"):
        BalancedLoss(-1.0)
