"""Gemma 2 and 3 as published: equal to transformers past the window, padded, in steps; what it sees and what it keeps."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig

from companion.language.generation import generate
from companion.language.scoring import next_token_loss, passages
from companion.language.speculative import speculate
from companion.text.gemma import Gemma, GemmaConfig
from companion.text.gemma.model import SPARE
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects
from tests.published import published

N, VOCAB, WINDOW = 13, 23, 4
IDS = 1 + torch.randint(VOCAB - 1, (2, N), generator=gen())  # without 0, which the library trains as padding
SMALL = GemmaConfig(VOCAB, 40, 24, 3, heads=6, kv_heads=2, head_width=10, hidden=20, window=WINDOW, global_every=2)


def published_gemma(folder: Path, version: int, **more: object) -> nn.Module:
    """A Gemma by transformers with random weights, norms too, saved to a folder; every size is another one."""
    sizes = {
        "vocab_size": VOCAB, "max_position_embeddings": 16, "hidden_size": 24, "num_attention_heads": 6,
        "num_key_value_heads": 2, "head_dim": 10, "intermediate_size": 20, "rms_norm_eps": 1e-4, "query_pre_attn_scalar": 7,
        "sliding_window": WINDOW, "attn_implementation": "eager",
    }  # fmt: skip
    if version == 2:
        return published(Gemma2ForCausalLM(Gemma2Config(**sizes | {"num_hidden_layers": 3} | more)), folder)
    rope = {
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        "full_attention": {"rope_type": "linear", "rope_theta": 1_000_000.0, "factor": 8.0},
    }
    sizes |= {"num_hidden_layers": 7, "rope_parameters": rope}  # the sixth is global
    return published(Gemma3ForCausalLM(Gemma3TextConfig(**sizes | more)), folder)


VARIANTS = [
    (2, {}),
    (2, {"attn_logit_softcapping": 1.5, "final_logit_softcapping": 2.0}),  # caps that really change the numbers
    (2, {"attn_logit_softcapping": None, "final_logit_softcapping": None, "num_key_value_heads": 6}),
    (3, {}),
    (
        3,
        {"final_logit_softcapping": 2.0, "num_key_value_heads": 1, "sliding_window_pattern": 2, "num_hidden_layers": 3},
    ),
    (3, {"sliding_window": 1, "sliding_window_pattern": 2, "num_hidden_layers": 4}),
]
EACH = pytest.mark.parametrize("version", [2, 3])


def close(got: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("version", "more"), VARIANTS, ids=str)
def test_reads_the_published_format_and_gives_the_same_logits(tmp_path: Path, version: int, more: dict) -> None:
    """Past the window, with padding in front, and in pieces with a state that has forgotten what is further back."""
    theirs, real = published_gemma(tmp_path, version, **more), torch.ones(2, N, dtype=torch.bool)
    ours = Gemma.from_pretrained(tmp_path)
    real[0, :6] = False
    with torch.no_grad():
        want, padded = theirs(IDS).logits, theirs(IDS, attention_mask=real.long()).logits
        close(ours(IDS), want)
        close(ours(IDS, attention_mask=real)[real], padded[real])
        assert (padded[0, -1] - want[0, -1]).abs().max() > 1e-3
        plain, masked = ours.new_state(2), ours.new_state(2)
        ends = (5, 6, 10, 11, 13)
        parts = [(slice(a, b), b) for a, b in zip((0, *ends), ends, strict=False)]
        close(torch.cat([ours(IDS[:, part], plain) for part, _ in parts], 1), want)
        close(torch.cat([ours(IDS[:, part], masked, real[:, :b]) for part, b in parts], 1)[real], padded[real])


@EACH
def test_gradients_agree(tmp_path: Path, version: int) -> None:
    caps = {"final_logit_softcapping": 2.0} | ({"attn_logit_softcapping": 1.5} if version == 2 else {})
    theirs = published_gemma(tmp_path, version, **caps)
    ours = Gemma.from_pretrained(tmp_path)
    ours(IDS).pow(2).mean().backward()
    theirs(IDS).logits.pow(2).mean().backward()
    mine, other = ours.blocks[1], theirs.model.layers[1]
    pairs = [
        (ours.tokens.weight, theirs.model.embed_tokens.weight),  # through the input and the output
        (ours.norm.weight, theirs.model.norm.weight),
        (mine.attention.k.weight, other.self_attn.k_proj.weight),
        (mine.mlp.gate.weight, other.mlp.gate_proj.weight),
        (mine.attention_out_norm.weight, other.post_attention_layernorm.weight),
        (mine.mlp_norm.weight, other.pre_feedforward_layernorm.weight),
    ]
    if version == 3:
        pairs.append((mine.attention.q_norm.weight, other.self_attn.q_norm.weight))
    for one, wanted in pairs:
        torch.testing.assert_close(one.grad, wanted.grad, rtol=1e-4, atol=1e-5)


@EACH
def test_greedy_text_past_the_window_is_the_librarys(tmp_path: Path, version: int) -> None:
    theirs = published_gemma(tmp_path, version, max_position_embeddings=40)
    real = torch.ones(2, 7, dtype=torch.long)
    real[1, :3] = 0
    want = theirs.generate(
        IDS[:, :7], attention_mask=real, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    got = generate(Gemma.from_pretrained(tmp_path), IDS[:, :7], 6, attention_mask=real.bool())
    assert torch.equal(got, want)


@EACH
def test_what_is_read_from_the_table_is_scaled_in_the_tables_precision(tmp_path: Path, version: int) -> None:
    """√24 = 4.899 is 4.906 in bfloat16: bit by bit what the library gives to its first block."""
    theirs, ours = published_gemma(tmp_path, version), Gemma.from_pretrained(tmp_path, dtype=torch.bfloat16)
    first = []
    ours.blocks[0].register_forward_pre_hook(lambda _, given: first.append(given[0]))
    ours(IDS)
    assert first[0].dtype == torch.bfloat16
    assert torch.equal(first[0], theirs.bfloat16().model.embed_tokens(IDS))
    assert not torch.equal(first[0], ours.tokens(IDS) * math.sqrt(24))


def started(**more: object) -> Gemma:
    torch.manual_seed(0)
    return Gemma(replace(SMALL, init_std=0.4, **more)).eval().requires_grad_(False)


def test_a_local_layer_sees_the_window_and_a_global_one_all_and_nobody_the_future_I21() -> None:
    changed = IDS.clone()
    changed[:, 2] = 1 + (changed[:, 2] % (VOCAB - 1))
    for layers, every, reach in ((1, 2, WINDOW), (3, 9, 3 * (WINDOW - 1) + 1), (1, 1, N)):
        model = started(layers=layers, global_every=every)
        differ = (model(changed) != model(IDS)).any(-1)
        assert not differ[:, :2].any() and not differ[:, 2 + reach :].any()
        assert differ[:, 2 : 2 + reach].all()


def test_one_example_does_not_change_another_I18() -> None:
    changed = IDS.clone()
    changed[1] = 1 + (changed[1] % (VOCAB - 1))
    assert torch.equal(started()(IDS)[0], started()(changed)[0])


def test_local_layers_keep_the_window_alone() -> None:
    model, text = started(), torch.randint(VOCAB, (2, 37), generator=gen(1))
    state = model.new_state(2)
    for part in text.split([20, 1, 1, 9, 1, 1, 4], dim=1):
        got = model(part, state)
    close(got, model(text)[:, -4:])
    assert state.length == 37
    held = [cache.k.shape for cache in state]
    assert held == [(2, 2, WINDOW - 1 + SPARE, 10), (2, 2, 37, 10), (2, 2, WINDOW - 1 + SPARE, 10)]


@pytest.mark.parametrize("lookahead", [1, SPARE])
def test_drafted_tokens_are_taken_back_past_the_window(lookahead: int) -> None:
    target, draft = started(), started(layers=1)
    prompt = IDS[:1, :6]
    result = speculate(target, draft, prompt, 14, lookahead=lookahead)
    assert torch.equal(result.ids, generate(target, prompt, 14)) and result.kept < result.drafted


def test_matrices_start_with_the_spread_that_the_configuration_names_and_gains_at_one() -> None:
    model = Gemma(GemmaConfig(300, 8, 64, 2, 4, 2, head_width=32, hidden=200, window=3, init_std=0.3))
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            assert float(parameter.detach().std()) == pytest.approx(0.3, rel=0.1), name
        else:
            assert name.endswith("norm.weight") and not parameter.any(), name
    assert len([*model.parameters()]) == 1 + 2 * 13 + 1, "one table, and no biases"


def test_it_learns_what_stands_two_places_back() -> None:
    """Nine times in ten a token is the last but one: a table of pairs knows no more than the frequencies, ln 5 nats."""
    ids = torch.randint(5, (4000,), generator=gen(2))
    repeat = torch.rand(4000, generator=gen(3)) < 0.9
    for i in range(2, 4000):
        ids[i] = ids[i - 2] if repeat[i] else ids[i]
    torch.manual_seed(0)
    model = Gemma(GemmaConfig(5, 12, 16, 2, 2, 1, head_width=8, hidden=24, window=3, global_every=2, init_std=0.25))
    config = TrainConfig(steps=50, batch_size=8, lr=0.02, warmup=0.1)
    train(model, next_token_loss, passages(ids[:3000], 13), config)
    held_out = float(next_token_loss(model.eval(), (ids[3000:3960].view(-1, 12),)).detach())
    best = -(0.92 * math.log(0.92) + 0.08 * math.log(0.02))
    assert best < held_out < 0.5 * (best + math.log(5))


def test_bad_input(tmp_path: Path) -> None:
    with rejects("0 to 22"):
        started()(torch.tensor([[23]]))
    with rejects("a state"):
        started()(IDS, [])
    model = started()
    state = model.new_state(2)
    model(IDS, state)
    with rejects("clone the state"):
        state.truncate(2)
    assert state.length == N
    with rejects("key_mask"):
        model(IDS[:, :1], state, torch.ones(2, N, dtype=torch.bool))
    (tmp_path / "config.json").write_text('{"model_type": "gemma"}')
    with rejects("'gemma', wanted 'gemma2' or 'gemma3_text'"):
        Gemma.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError):
        Gemma.from_pretrained(tmp_path / "nowhere")
