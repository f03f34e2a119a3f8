"""The update between two gradients, against formulas written out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from companion.training.optimization import EMA, TrainConfig, TrainingDiverged, Updater, decay_groups
from tests.conftest import rejects
from tests.training.problems import Awkward, net, weights


def test_learning_rate_is_the_formula():
    """The formula of `TrainConfig.lr_at`'s docstring, as printed (I60)."""
    config = TrainConfig(steps=41, lr=0.3, warmup=0.2, final_lr=0.05)
    w = round(0.2 * 41)
    for step in range(41):
        p = (step - w) / (41 - 1 - w)
        printed = 0.3 * (step + 1) / w if step < w else 0.3 * (0.05 + (1 - 0.05) * (1 + math.cos(math.pi * p)) / 2)
        assert config.lr_at(step) == pytest.approx(printed, rel=1e-12)
    assert config.lr_at(0) == pytest.approx(0.3 / 8)
    assert config.lr_at(7) == config.lr_at(8) == pytest.approx(0.3)
    assert config.lr_at(24) == pytest.approx(0.3 * (0.05 + 0.95 / 2))
    assert config.lr_at(40) == pytest.approx(0.3 * 0.05)
    assert config.lr_at(400) == pytest.approx(0.3 * 0.05), "after the end, the rate stays at the end's"


@given(
    steps=st.integers(1, 300), warmup=st.floats(0, 1), final=st.floats(0, 1), lr=st.floats(1e-8, 10), at=st.floats(0, 1)
)
def test_learning_rate_never_leaves_its_range(steps, warmup, final, lr, at):
    config = TrainConfig(steps=steps, warmup=warmup, final_lr=final, lr=lr)
    step = round(at * (steps - 1))
    assert -1e-12 <= config.lr_at(step) <= lr * (1 + 1e-9)
    assert step < round(warmup * steps) or config.lr_at(step) >= lr * final * (1 - 1e-9)
    assert max(config.lr_at(s) for s in range(steps)) == pytest.approx(lr)


BAD = {
    "steps": [0, -1, 1.5, True, "9", None],
    "batch_size": [0, -4, 2.0],
    "lr": [0, -1e-3, math.nan, math.inf, "1e-3", None],
    "warmup": [-0.1, 1.1, math.nan],
    "final_lr": [-0.1, 1.5],
    "weight_decay": [-0.1, math.inf],
    "betas": [0.9, (0.9,), (0.9, 1.0), (-0.1, 0.9), (0.9, math.nan), (0.9, 0.9, 0.9), "ab"],
    "clip": [0, -1, math.nan],
    "accumulate": [0, -1, 0.5],
    "ema": [-0.1, 1.1, math.nan, "0.9"],
    "precision": ["fp16", "", None],
    "seed": [-1, 0.5],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_field_is_named(name, value):
    with rejects(name):
        TrainConfig(**{"steps": 10} | {name: value})


@given(name=st.sampled_from(sorted(set(BAD) - {"precision", "betas", "ema"})), value=st.floats(max_value=-1e-9))
def test_no_negative_number_is_taken(name, value):
    with rejects(name):
        TrainConfig(**{"steps": 10} | {name: value})


def test_update_is_the_formula():
    """Clip, decay, moments and step as printed at the top of the module, in float64 (I60)."""
    config = TrainConfig(steps=6, lr=0.05, weight_decay=0.3, betas=(0.8, 0.95), clip=0.7, ema=0.9)
    model = net().double()
    updater = Updater(model, config)
    theta = {name: p.detach().clone() for name, p in model.named_parameters()}
    a = {name: p.clone() for name, p in theta.items()}
    m = {name: torch.zeros_like(p) for name, p in theta.items()}
    v = {name: torch.zeros_like(p) for name, p in theta.items()}
    (b1, b2), generator = config.betas, torch.Generator().manual_seed(5)
    for t in range(1, 7):
        gradient = {name: torch.randn(p.shape, generator=generator).double() * t for name, p in theta.items()}
        for name, p in model.named_parameters():
            p.grad = gradient[name].clone()
        norm = math.sqrt(sum(float((g**2).sum()) for g in gradient.values()))
        lr, got_norm = updater.step()
        assert got_norm == pytest.approx(norm) and lr == config.lr_at(t - 1)
        for name in theta:
            g = gradient[name] * min(1, 0.7 / (norm + 1e-6))
            m[name] = b1 * m[name] + (1 - b1) * g
            v[name] = b2 * v[name] + (1 - b2) * g**2
            decay = 0.3 if name.endswith("weight") else 0.0
            direction = (m[name] / (1 - b1**t)) / (torch.sqrt(v[name] / (1 - b2**t)) + 1e-8)
            theta[name] = (1 - lr * decay) * theta[name] - lr * direction
            d = min(0.9, (1 + t) / (10 + t))
            a[name] = d * a[name] + (1 - d) * theta[name]
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), theta[name], rtol=1e-9, atol=1e-12)
    for name, p in updater.ema.model.named_parameters():
        torch.testing.assert_close(p, a[name], rtol=1e-9, atol=1e-12)


def test_small_gradients_are_not_clipped():
    updater = Updater(net(), TrainConfig(steps=3, clip=1.0, betas=(0.5, 0.5)))
    for p in updater.model.parameters():
        p.grad = torch.full_like(p, 0.01)
    updater.step()
    for state in updater.optimizer.state.values():
        torch.testing.assert_close(state["exp_avg"], torch.full_like(state["exp_avg"], 0.005))
    assert all(p.grad is None for p in updater.model.parameters()), "the gradients are cleared"


def test_decay_groups_partition_the_parameters_I41():
    model = Awkward()
    decays, rest = decay_groups(model, 0.1)
    name_of = {id(p): name for name, p in model.named_parameters()}
    names = [sorted(name_of[id(p)] for p in group["params"]) for group in (decays, rest)]
    assert names == [
        ["body.0.weight", "body.3.weight", "unused"],
        ["body.0.bias", "body.1.bias", "body.1.weight", "body.3.bias", "embed.weight"],
    ], "the frozen parameter stands nowhere; the weight that embedding and head share stands once and does not decay"
    assert (decays["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)


def test_no_vector_and_no_embedding_decays_in_a_transformer_I41():
    model = nn.Sequential(nn.Embedding(7, 8), nn.TransformerEncoderLayer(8, 2, 16), nn.Conv1d(8, 3, 3), nn.LayerNorm(3))
    decays, rest = decay_groups(model, 0.1)
    both = [id(p) for p in decays["params"] + rest["params"]]
    assert sorted(both) == sorted(id(p) for p in model.parameters()) and len(set(both)) == len(both)
    assert all(p.ndim >= 2 for p in decays["params"]) and len(decays["params"]) == 5
    assert id(model[0].weight) in {id(p) for p in rest["params"]}


def test_ema_of_constant_weights_is_constant_I55():
    model = net()
    average = EMA(model, 0.99)
    for _ in range(20):
        average.update(model)
    assert torch.equal(weights(average.model), weights(model))


def test_ema_copies_buffers_and_keeps_sharing_I55():
    model = Awkward().train()
    average = EMA(model, 0.999)
    for _ in range(3):
        model(torch.randn(8, 3))
        with torch.no_grad():
            model.embed.weight.add_(1.0)
        average.update(model)
    for (name, kept), online in zip(average.model.named_buffers(), model.buffers(), strict=True):
        assert torch.equal(kept, online), name
    assert int(average.model.body[1].num_batches_tracked) == 3
    assert average.model.head.weight is average.model.embed.weight
    assert not torch.equal(average.model.embed.weight, model.embed.weight)
    assert not average.model.training and model.training
    assert not any(p.requires_grad for p in average.model.parameters())


def test_a_gradient_that_is_not_finite_stops_before_the_update():
    updater = Updater(net(), TrainConfig(steps=9, ema=0.9))
    for bad in (math.nan, math.inf):
        for p in updater.model.parameters():
            p.grad = torch.ones_like(p)
        updater.step()
        before, averaged = weights(updater.model), weights(updater.ema.model)
        for p in updater.model.parameters():
            p.grad = torch.ones_like(p)
        updater.model[0].bias.grad[1] = bad
        with rejects(rf"step {updater.steps_done} of 9", TrainingDiverged):
            updater.step()
        assert torch.equal(weights(updater.model), before) and torch.equal(weights(updater.ema.model), averaged)


def test_bad_models_are_refused():
    with rejects("no parameter that needs a gradient"):
        Updater(nn.ReLU(), TrainConfig(steps=1))
    with rejects("no parameter that needs a gradient"):
        decay_groups(net().requires_grad_(False), 0.1)
    with rejects("loss.backward"):
        Updater(net(), TrainConfig(steps=1)).step()
    with rejects("decay"):
        EMA(net(), 1.5)
    with rejects("step"):
        TrainConfig(steps=1).lr_at(-1)


def test_the_fused_kernel_is_torchs_adamw_within_rounding():
    """Fifty steps with the same gradients, in float32, weights of both groups; another device has no such kernel."""
    config = TrainConfig(steps=50, lr=0.05, weight_decay=0.3, betas=(0.8, 0.95), clip=0.7)
    models = net(), net()
    updater = Updater(models[0], config)
    assert updater.optimizer.defaults["fused"]
    assert not Updater(nn.Linear(2, 2, device="meta"), config).optimizer.defaults["fused"]
    plain = torch.optim.AdamW(decay_groups(models[1], 0.3), betas=(0.8, 0.95), fused=False, foreach=False)
    generator = torch.Generator().manual_seed(5)
    for step in range(50):
        for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=generator)
            q.grad = p.grad.clone()
        nn.utils.clip_grad_norm_(models[1].parameters(), 0.7)
        for group in plain.param_groups:
            group["lr"] = config.lr_at(step)
        plain.step()
        updater.step()
        torch.testing.assert_close(weights(models[0]), weights(models[1]), rtol=1e-5, atol=1e-6)
