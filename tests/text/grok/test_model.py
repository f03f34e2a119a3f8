"""Grok: with Mixtral's switches equal to transformers; with its own ways equal to a second writing of its published code."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import MixtralConfig, MixtralForCausalLM

from companion.language.generation import generate
from companion.language.scoring import next_token_loss
from companion.nn.moe import routings
from companion.text.grok import Grok, GrokConfig
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects
from tests.published import published

N, VOCAB = 9, 23
IDS = torch.randint(VOCAB, (2, N), generator=gen())
SMALL = GrokConfig(VOCAB, 40, 24, 3, heads=6, kv_heads=2, hidden=20, experts=5, init_std=0.3)


def published_mixtral(folder: Path, **more: object) -> MixtralForCausalLM:
    sizes = {
        "vocab_size": VOCAB, "max_position_embeddings": 40, "hidden_size": 24, "num_hidden_layers": 3,
        "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 10, "intermediate_size": 20, "rms_norm_eps": 1e-4,
        "num_local_experts": 5, "num_experts_per_tok": 2, "bos_token_id": 0, "eos_token_id": 0,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
    }  # fmt: skip
    return published(MixtralForCausalLM(MixtralConfig(**sizes | more)), folder)


VARIANTS = [
    {},
    {"num_experts_per_tok": 3, "num_key_value_heads": 6},
    {"num_experts_per_tok": 1, "num_local_experts": 2, "num_key_value_heads": 1, "head_dim": None},
    {"tie_word_embeddings": True, "num_experts_per_tok": 5},
]


def close(got: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("more", VARIANTS, ids=str)
def test_reads_mixtrals_format_and_gives_the_same_logits(tmp_path: Path, more: dict) -> None:
    """At once, with padding in front, and in pieces with a state."""
    theirs, real = published_mixtral(tmp_path, **more), torch.ones(2, N, dtype=torch.bool)
    ours = Grok.from_pretrained(tmp_path)
    real[0, :4] = False
    with torch.no_grad():
        want, padded = theirs(IDS).logits, theirs(IDS, attention_mask=real.long()).logits
        close(ours(IDS), want)
        close(ours(IDS, attention_mask=real)[real], padded[real])
        assert (padded[0, -1] - want[0, -1]).abs().max() > 1e-3
        plain, masked = ours.new_state(2), ours.new_state(2)
        parts = [(slice(a, b), b) for a, b in ((0, 5), (5, 6), (6, 9))]
        close(torch.cat([ours(IDS[:, part], plain) for part, _ in parts], 1), want)
        close(torch.cat([ours(IDS[:, part], masked, real[:, :b]) for part, b in parts], 1)[real], padded[real])


def test_gradients_agree(tmp_path: Path) -> None:
    theirs = published_mixtral(tmp_path)
    ours = Grok.from_pretrained(tmp_path)
    ours(IDS).pow(2).mean().backward()
    theirs(IDS).logits.pow(2).mean().backward()
    mine, other = ours.blocks[1].mlp, theirs.model.layers[1].mlp
    pairs = [
        (ours.tokens.weight.grad, theirs.model.embed_tokens.weight.grad),
        (mine.router.weight.grad, other.gate.weight.grad),
        (mine.experts[3].down.weight.grad, other.experts.down_proj.grad[3]),
        (mine.experts[1].gate.weight.grad, other.experts.gate_up_proj.grad[1, :20]),
        (mine.experts[1].up.weight.grad, other.experts.gate_up_proj.grad[1, 20:]),
    ]
    for one, wanted in pairs:
        torch.testing.assert_close(one, wanted, rtol=1e-4, atol=1e-4)


def test_greedy_text_is_the_librarys(tmp_path: Path) -> None:
    theirs = published_mixtral(tmp_path)
    real = torch.ones(2, 7, dtype=torch.long)
    real[1, :3] = 0
    want = theirs.generate(
        IDS[:, :7], attention_mask=real, max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    got = generate(Grok.from_pretrained(tmp_path), IDS[:, :7], 12, attention_mask=real.bool())
    assert torch.equal(got, want)


def started(**more: object) -> Grok:
    torch.manual_seed(0)
    model = Grok(replace(SMALL, **more)).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.ndim == 1:  # gains, which start at 1
            parameter.normal_(1.0, 0.3)
    return model


def as_published(model: Grok, ids: Tensor) -> Tensor:
    """One text through Grok-1's published code, written a second time, token by token and expert by expert, in double."""
    w = {name: value.double() for name, value in model.state_dict().items()}

    def norm(x: Tensor, name: str) -> Tensor:
        return w[f"{name}.weight"] * x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()

    def rotate(x: Tensor) -> Tensor:  # (places, heads, 4): the first half of a head goes with the second
        angle = torch.arange(len(x)).double()[:, None] / 10_000 ** (torch.arange(0, 4, 2).double() / 4)
        angle = angle.repeat(1, 2)[:, None]
        return x * angle.cos() + torch.cat([-x[..., 2:], x[..., :2]], -1) * angle.sin()

    h = w["tokens.weight"][ids] * math.sqrt(24)
    for i in range(3):
        at, x = f"blocks.{i}", norm(h, f"blocks.{i}.attention_norm")
        q, k, v = ((x @ w[f"{at}.attention.{c}.weight"].T).unflatten(-1, (-1, 4)) for c in "qkv")
        q, k, out = rotate(q), rotate(k), []
        for head in range(6):
            scores = 30 * ((q[:, head] @ k[:, head // 3].T) * 4**-0.5 / 30).tanh()
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -1e30)
            out.append(scores.softmax(-1) @ v[:, head // 3])
        seen = torch.cat(out, -1) @ w[f"{at}.attention.out.weight"].T
        h = h + norm(seen, f"{at}.attention_out_norm")
        x, mixed = norm(h, f"{at}.mlp_norm"), []
        for token in x:
            p, total = (w[f"{at}.mlp.router.weight"] @ token).softmax(-1), 0
            for e in p.argsort(descending=True)[:2].tolist():
                expert = f"{at}.mlp.experts.{e}"
                bent = F.gelu(w[f"{expert}.gate.weight"] @ token, approximate="tanh")
                total = total + p[e] * (w[f"{expert}.down.weight"] @ (bent * (w[f"{expert}.up.weight"] @ token)))
            mixed.append(total)
        h = h + norm(torch.stack(mixed), f"{at}.mlp_out_norm")
    return norm(h, "norm") @ w["tokens.weight"].T * 0.5773502691896257


def test_it_is_grok_1s_published_code_written_a_second_time() -> None:
    model = started()
    with torch.no_grad():
        model.blocks[0].attention.q.weight *= 8  # scores beyond the cap
    for row in range(2):
        torch.testing.assert_close(model(IDS)[row].double(), as_published(model, IDS[row]), rtol=1e-5, atol=1e-5)


MIXTRALS = {
    "renormalised": True, "score_cap": None, "sandwich": False, "bend": "silu", "tied": False, "embedding_scale": 1.0,
    "logit_scale": 1.0, "rope_base": 1_000_000.0,
}  # fmt: skip


@pytest.mark.parametrize("switch", MIXTRALS, ids=str)
def test_each_switch_changes_the_numbers(switch: str) -> None:
    rest = {"sandwich": False} if switch == "renormalised" else {}
    model, other = started(**rest), started(**rest, **{switch: MIXTRALS[switch]})
    other.load_state_dict(model.state_dict(), strict=False)
    if switch == "tied":
        other.out.weight.add_(1)
    if switch == "score_cap":
        for one in (model, other):
            one.blocks[0].attention.q.weight *= 8
    assert (model(IDS) - other(IDS)).abs().max() > 1e-3


def test_the_norm_behind_the_experts_makes_the_sum_of_their_gates_irrelevant() -> None:
    """A token's gates are divided by one number, and so is what the experts add: a norm takes that out again."""
    model, other = started(), started(renormalised=True)
    other.load_state_dict(model.state_dict())
    with routings(model) as seen:
        torch.testing.assert_close(model(IDS), other(IDS), rtol=0, atol=1e-3)
    assert min(float(one.gates.sum(-1).min()) for one in seen) < 0.8


def test_one_expert_is_the_dense_model() -> None:
    """As in the published code, there is no router then."""
    dense, wide = started(experts=1, active=1, hidden=12), started(experts=2, active=2, hidden=12, renormalised=True)
    assert not any("router" in name for name, _ in dense.named_parameters())
    for one, two in zip(dense.blocks, wide.blocks, strict=True):
        for expert in two.mlp.experts:
            expert.load_state_dict(one.mlp.state_dict())
    rest = {name: value for name, value in dense.state_dict().items() if ".mlp." not in name}
    wide.load_state_dict(rest, strict=False)
    close(wide(IDS), dense(IDS))


@pytest.mark.parametrize("nudged", [False, True])
@pytest.mark.parametrize("chunks", [(1,) * N, (3, 1, 5)])
def test_with_a_state_the_logits_are_the_same_I22_I23(chunks: tuple[int, ...], nudged: bool) -> None:
    model = started(nudged=nudged)
    state = model.new_state(2)
    got = torch.cat([model(part, state) for part in IDS.split(list(chunks), dim=1)], 1)
    close(got, model(IDS))
    assert state.length == N


def test_padding_in_front_changes_nothing_behind_it_I24() -> None:
    model = started()
    ids, real = torch.cat([torch.randint(VOCAB, (2, 4), generator=gen(5)), IDS], 1), torch.arange(N + 4) >= 4
    close(model(ids, attention_mask=real.expand(2, -1))[:, 4:], model(IDS))
    got = generate(model, ids, 6, attention_mask=real.expand(2, -1).clone())
    assert torch.equal(got[:, 4:], generate(model, IDS, 6))


def test_the_future_and_other_texts_cannot_be_seen_I18_I21() -> None:
    model, changed = started(), IDS.clone()
    changed[0, 5] = (changed[0, 5] + 1) % VOCAB
    differ = ((model(changed) - model(IDS)).abs() > 1e-5).any(-1)
    assert not differ[:, :5].any() and not differ[1].any()
    assert differ[0, 5:].all()


def test_matrices_start_with_the_spread_that_the_configuration_names_and_gains_at_one() -> None:
    model = Grok(GrokConfig(300, 8, 64, 2, 4, 2, hidden=50, init_std=0.3))
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            assert float(parameter.detach().std()) == pytest.approx(0.3, rel=0.1), name
        else:
            assert name.endswith("norm.weight") and (parameter == 1).all(), name
    assert len([*model.parameters()]) == 1 + 2 * (4 + 4 + 1 + 8 * 3) + 1, "one table, four norms a block, no biases"


def test_it_learns_two_languages_each_with_a_rule_of_its_own() -> None:
    """In one, numbers rise; in the other they fall: knowing both rules, the loss is near ln 4 / 11, of the noise."""
    first = torch.randint(11, (60, 1), generator=gen(2))
    step = torch.where(torch.arange(60) < 30, 1, -1)[:, None]
    texts = (first + step * torch.arange(9)) % 11 + torch.where(step > 0, 0, 11)
    torch.manual_seed(0)
    model = Grok(GrokConfig(22, 8, 16, 1, heads=2, kv_heads=1, hidden=12, experts=4, init_std=0.25))
    config = TrainConfig(steps=60, batch_size=12, lr=0.02, warmup=0.1)
    train(model, next_token_loss, (texts,), config)
    loss = float(next_token_loss(model.eval(), (texts,)).detach())
    assert loss < 0.3 < math.log(22)
    with routings(model) as seen:
        model(texts[:, :-1])
    assert len(seen) == 1


def test_bad_input(tmp_path: Path) -> None:
    with rejects("rotary turns pairs"):
        GrokConfig(vocab_size=5, context=4, width=9, layers=1, heads=3, kv_heads=3, hidden=4)
    with rejects("0 to 22"):
        started()(torch.tensor([[23]]))
    published_mixtral(tmp_path)
    about = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**about, "num_local_experts": 6}))
    with rejects("missing: model.layers.0.block_sparse_moe.experts.5.w1.weight"):
        Grok.from_pretrained(tmp_path)
