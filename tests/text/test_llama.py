"""Llama as published: equal to transformers, with grouped queries, tied or not, and the same with a cache."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig as TheirConfig
from transformers import LlamaForCausalLM

from companion.nn.llama_block import llama_block
from companion.nn.positions import Rotary
from companion.text.llama import Llama, LlamaConfig
from tests.conftest import rejects
from tests.published import published

IDS = torch.randint(23, (2, 7), generator=torch.Generator().manual_seed(0))
SMALL = LlamaConfig(vocab_size=23, context=11, width=24, layers=2, heads=6, kv_heads=2, hidden=20)


def published_llama(folder: Path, *, tied: bool, kv_heads: int = 2, **rope: float) -> LlamaForCausalLM:
    """A Llama by transformers with random weights, saved to a folder."""
    config = TheirConfig(
        vocab_size=23,
        max_position_embeddings=11,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=kv_heads,
        intermediate_size=20,
        rms_norm_eps=1e-4,
        tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": rope.get("base", 10_000.0)},
        bos_token_id=0,
        eos_token_id=0,
    )
    return published(LlamaForCausalLM(config), folder)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_reads_the_published_format_and_gives_the_same_logits(tmp_path: Path, tied: bool, kv_heads: int) -> None:
    theirs = published_llama(tmp_path, tied=tied, kv_heads=kv_heads, base=500.0)
    ours = Llama.from_pretrained(tmp_path)
    assert (ours.out.weight is ours.tokens.weight) == tied
    torch.testing.assert_close(ours(IDS), theirs(IDS).logits, rtol=0, atol=1e-5)


def test_gradients_agree(tmp_path: Path) -> None:
    theirs = published_llama(tmp_path, tied=True)
    ours = Llama.from_pretrained(tmp_path)
    ours(IDS).pow(2).mean().backward()
    theirs(IDS).logits.pow(2).mean().backward()
    other = theirs.model.layers[0]
    for mine, wanted in (
        (ours.tokens.weight, theirs.model.embed_tokens.weight),
        (ours.blocks[0].attention.k.weight, other.self_attn.k_proj.weight),
        (ours.blocks[0].mlp.gate.weight, other.mlp.gate_proj.weight),
    ):
        torch.testing.assert_close(mine.grad, wanted.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("chunks", [(1,) * 7, (3, 1, 3)])
def test_with_a_cache_the_logits_are_the_same(chunks: tuple[int, ...], gated: bool) -> None:
    torch.manual_seed(0)
    model = Llama(replace(SMALL, gated_attention=gated)).eval()
    with torch.no_grad():
        caches = model.new_state(2)
        got = torch.cat([model(part, caches) for part in IDS.split(list(chunks), dim=1)], 1)
        torch.testing.assert_close(got, model(IDS), rtol=0, atol=1e-6)
    assert caches[0].k.shape == (2, 2, 7, 4)  # two shared heads, not six


@pytest.mark.parametrize("gated", [False, True])
def test_the_future_cannot_be_seen(gated: bool) -> None:
    torch.manual_seed(0)
    model = Llama(replace(SMALL, gated_attention=gated)).eval()
    changed = IDS.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 23
    before, after = model(IDS), model(changed)
    assert torch.equal(before[:, :4], after[:, :4])
    assert (before[:, 4:] != after[:, 4:]).any(-1).all()


def test_only_distances_count_I30() -> None:
    """A block sees relative positions alone: padding in front that is masked changes nothing behind it."""
    torch.manual_seed(0)
    block = llama_block(24, 6, 20, Rotary(4), kv_heads=2).eval()
    x = torch.randn(2, 5, 24)
    padded = torch.cat([torch.randn(2, 3, 24), x], 1)
    real = torch.arange(8) >= 3
    torch.testing.assert_close(block(padded, key_mask=real.expand(2, 8))[:, 3:], block(x), rtol=0, atol=1e-5)


def test_bad_input(tmp_path: Path) -> None:
    with rejects("rotary turns pairs"):
        LlamaConfig(vocab_size=5, context=4, width=9, layers=1, heads=3, kv_heads=3, hidden=4)
    with rejects("0 to 22"):
        Llama(SMALL)(torch.tensor([[23]]))
    published_llama(tmp_path, tied=False)
    about = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**about, "num_hidden_layers": 3}))
    with rejects("missing: model.layers.2.input_layernorm.weight"):
        Llama.from_pretrained(tmp_path)
    rope = {**about["rope_parameters"], "rope_type": "llama3"}
    (tmp_path / "config.json").write_text(json.dumps({**about, "rope_parameters": rope}))
    with rejects("llama3"):
        Llama.from_pretrained(tmp_path)


@pytest.mark.parametrize("std", [0.02, 0.3])
def test_matrices_start_with_the_spread_that_the_configuration_names(std: float) -> None:
    model = Llama(
        LlamaConfig(300, 8, width=64, layers=2, heads=4, kv_heads=2, hidden=200, init_std=std, gated_attention=True)
    )
    assert model.blocks[1].attention.gate.weight.shape == (64, 64)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            assert float(parameter.detach().std()) == pytest.approx(std, rel=0.1), name
    with rejects("init_std"):
        LlamaConfig(vocab_size=3, context=8, width=8, layers=1, heads=1, kv_heads=1, hidden=8, init_std=0.0)
