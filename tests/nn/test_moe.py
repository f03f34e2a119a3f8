"""Experts: the sparse computation is the dense sum, each runs on its own tokens alone, and what a bias may change."""

import pytest
import torch
from torch import Tensor, nn
from transformers import MixtralConfig
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

from companion.metrics.flops import count_flops
from companion.nn.mlp import GatedMLP, GeGLU
from companion.nn.moe import MoE, Router, routings
from tests.conftest import gen, rejects

WIDTH, HIDDEN, EXPERTS = 6, 10, 5
X = torch.randn(2, 7, WIDTH, generator=gen())


def layer(active: int = 2, expert: type = GatedMLP, **more: bool) -> MoE:
    torch.manual_seed(1)
    made = MoE(Router(WIDTH, EXPERTS, active, **more), lambda: expert(WIDTH, HIDDEN))
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made


def dense(moe: MoE, x: Tensor) -> Tensor:
    """All experts on all tokens, most of them times 0: in double precision, to compare with."""
    p = (x.double() @ moe.router.weight.double().T).softmax(-1)
    ranked = p if moe.router.bias is None else p + moe.router.bias.double()
    kept = ranked >= ranked.sort(-1, descending=True).values[..., moe.router.active - 1 : moe.router.active]
    gates = p * kept
    if moe.router.renormalised:
        gates = gates / gates.sum(-1, keepdim=True)
    return sum(gates[..., e, None] * expert.double()(x.double()) for e, expert in enumerate(moe.experts))


@pytest.mark.parametrize("expert", [GatedMLP, GeGLU])
@pytest.mark.parametrize("renormalised", [False, True])
@pytest.mark.parametrize("active", [1, 2, 3, EXPERTS])
def test_the_sparse_computation_is_the_dense_sum(active: int, renormalised: bool, expert: type) -> None:
    moe = layer(active, expert, renormalised=renormalised)
    got = moe(X)
    torch.testing.assert_close(got.double(), dense(moe, X), rtol=0, atol=1e-5)


@pytest.mark.parametrize("renormalised", [False, True])
def test_gradients_are_those_of_the_dense_sum(renormalised: bool) -> None:
    sparse, other = layer(renormalised=renormalised), layer(renormalised=renormalised)
    sparse(X).pow(2).sum().backward()
    dense(other, X).pow(2).sum().backward()
    for (name, one), two in zip(sparse.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad.double(), two.grad.double(), rtol=1e-4, atol=1e-5, msg=name)
    assert sparse.router.weight.grad.abs().min() > 0, "unchosen experts' scores move through the softmax"


def test_it_is_the_librarys_layer() -> None:
    config = MixtralConfig(
        hidden_size=WIDTH, intermediate_size=HIDDEN, num_local_experts=EXPERTS, num_experts_per_tok=2
    )
    theirs, ours = MixtralSparseMoeBlock(config).eval(), layer(renormalised=True)
    with torch.no_grad():
        theirs.gate.weight.copy_(ours.router.weight)
        for e, expert in enumerate(ours.experts):
            theirs.experts.gate_up_proj[e] = torch.cat([expert.gate.weight, expert.up.weight])
            theirs.experts.down_proj[e] = expert.down.weight
        torch.testing.assert_close(ours(X), theirs(X), rtol=0, atol=1e-6)


def test_equal_experts_are_one_mlp_where_gates_sum_to_one_and_less_where_they_do_not() -> None:
    for renormalised in (True, False):
        moe = layer(renormalised=renormalised)
        for expert in moe.experts:
            expert.load_state_dict(moe.experts[0].state_dict())
        with routings(moe) as seen:
            got = moe(X)
        scale = seen[0].gates.sum(-1).view(2, 7, 1)
        assert ((scale - 1).abs() < 1e-6).all() if renormalised else (scale < 1).all()
        torch.testing.assert_close(got, scale * moe.experts[0](X), rtol=1e-5, atol=1e-6)


def test_each_expert_computes_its_own_tokens_alone() -> None:
    moe, rows = layer(), []
    for expert in moe.experts:
        expert.register_forward_hook(lambda module, given, out: rows.append(given[0]))
    with routings(moe) as seen:
        moe(X)
    assert sum(map(len, rows)) == 2 * 14
    for e, own in enumerate(rows):
        wanted = X.flatten(0, 1)[(seen[0].chosen == e).any(-1)]
        assert torch.equal(own, wanted)
    router = 2 * 14 * WIDTH * EXPERTS
    assert count_flops(lambda: moe(X)) == router + 2 * 14 * 2 * 3 * WIDTH * HIDDEN  # of 2 experts a token, not of 5


def test_an_expert_without_tokens_does_no_harm_and_does_not_learn() -> None:
    moe = layer()
    with torch.no_grad():
        moe.router.weight.zero_()
        moe.router.weight[1:3] = X.flatten(0, 1)[0]
    x = X[:1, :1]
    moe(x).sum().backward()
    assert all(not moe.experts[e].up.weight.grad.any() for e in (0, 3, 4))
    assert all(moe.experts[e].up.weight.grad.any() for e in (1, 2))
    assert all(parameter.grad.isfinite().all() for parameter in moe.parameters())


def test_one_token_does_not_change_another_I18() -> None:
    moe = layer()
    changed = X.clone()
    changed[1] += 1
    changed[0, 3] -= 2
    same = torch.ones(2, 7, dtype=torch.bool)
    same[1], same[0, 3] = False, False
    torch.testing.assert_close(moe(changed)[same], moe(X)[same], rtol=0, atol=1e-6)
    assert (moe(changed) != moe(X)).any(-1)[~same].all()


def test_the_bias_changes_the_choice_and_not_the_gates() -> None:
    moe = layer(nudged=True)
    with torch.no_grad():
        moe.router.bias[4] = 2.0  # more than any difference of probabilities
    with routings(moe) as seen:
        got = moe(X)
    one = seen[0]
    assert (one.chosen[:, 0] == 4).all()
    assert torch.equal(one.gates, one.p.gather(1, one.chosen))
    torch.testing.assert_close(got.double(), dense(moe, X), rtol=0, atol=1e-5)
    assert layer().router.bias is None and "router.bias" in moe.state_dict()


def test_half_precision_routes_as_full_does() -> None:
    """The softmax is taken in float32: two experts that bfloat16 cannot tell apart are still ranked."""
    router = Router(WIDTH, EXPERTS, 2).bfloat16()
    x = X.flatten(0, 1).bfloat16()
    with torch.no_grad():
        router.weight.normal_(generator=gen(3))
        got = router(x)
    assert got.p.dtype == torch.float32
    torch.testing.assert_close(got.p, (x.float() @ router.weight.float().T).softmax(-1), rtol=0, atol=1e-6)
    assert layer().bfloat16()(X.bfloat16()).dtype == torch.bfloat16


def test_routings_are_seen_inside_only_and_in_the_order_of_the_layers() -> None:
    layers = nn.Sequential(layer(), layer(1))
    with routings(layers) as seen:
        layers(X)
    layers(X)
    assert [one.chosen.shape for one in seen] == [(14, 2), (14, 1)]
    assert seen[0].p.requires_grad
    with pytest.raises(RuntimeError), routings(layers):
        layers(X[..., :3])
    assert not any(module._forward_hooks for module in layers.modules())


def test_bad_input() -> None:
    with rejects("active: got 6, wanted at most the 5"):
        Router(WIDTH, EXPERTS, 6)
    with rejects("experts"):
        Router(WIDTH, 0, 1)
