"""Qwen2.5 as published: equal to transformers, biases included; its prompts."""

from pathlib import Path

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from companion.code.qwen import Qwen, file_prompt, repository_prompt
from companion.text.llama import LlamaConfig
from tests.conftest import rejects
from tests.published import published

IDS = torch.randint(23, (2, 7), generator=torch.Generator().manual_seed(0))


def published_qwen(folder: Path, *, tied: bool = True, kv_heads: int = 2, **more: object) -> Qwen2ForCausalLM:
    """A Qwen2 by transformers with random weights and biases, saved to a folder."""
    config = Qwen2Config(
        vocab_size=23, max_position_embeddings=11, hidden_size=24, num_hidden_layers=2, num_attention_heads=6,
        num_key_value_heads=kv_heads, intermediate_size=20, rms_norm_eps=1e-4, tie_word_embeddings=tied,
        bos_token_id=0, eos_token_id=0,         rope_parameters={"rope_type": "default", "rope_theta": 700.0}, **more,
    )  # fmt: skip
    return published(Qwen2ForCausalLM(config), folder)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_reads_the_published_format_and_gives_the_same_logits(tmp_path: Path, tied: bool, kv_heads: int) -> None:
    theirs = published_qwen(tmp_path, tied=tied, kv_heads=kv_heads)
    ours = Qwen.from_pretrained(tmp_path)
    torch.testing.assert_close(ours(IDS), theirs(IDS).logits, rtol=0, atol=1e-5)


def test_each_of_the_three_biases_counts(tmp_path: Path) -> None:
    """Forgetting the biases is the usual mistake. A bias on the keys counts too, since positions turn it."""
    published_qwen(tmp_path)
    for name in ("q", "k", "v"):
        model = Qwen.from_pretrained(tmp_path)
        with torch.no_grad():
            whole = model(IDS)
            getattr(model.blocks[0].attention, name).bias.zero_()
            assert (model(IDS) - whole).abs().max() > 1e-3, name
        assert model.blocks[0].attention.out.bias is None


def test_with_a_cache_the_logits_are_the_same() -> None:
    model = Qwen(LlamaConfig(23, 11, 24, 2, 6, 2, 20)).eval()
    with torch.no_grad():
        for block in model.blocks:
            block.attention.k.bias.normal_()
        caches = model.new_state(2)
        got = torch.cat([model(part, caches) for part in IDS.split([3, 1, 3], dim=1)], 1)
        torch.testing.assert_close(got, model(IDS), rtol=0, atol=1e-5)


@pytest.mark.parametrize("std", [0.02, 0.5])
def test_matrices_start_with_the_spread_that_the_configuration_names(std: float) -> None:
    model = Qwen(LlamaConfig(300, 8, width=64, layers=2, heads=4, kv_heads=2, hidden=200, init_std=std))
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            assert float(parameter.detach().std()) == pytest.approx(std, rel=0.1), name
        elif name.endswith("bias"):
            assert not parameter.any(), name
    assert model.config.qkv_bias and model.blocks[0].attention.out.bias is None


def test_other_kinds_are_refused(tmp_path: Path) -> None:
    published_qwen(tmp_path / "windows", use_sliding_window=True)
    with rejects("windows"):
        Qwen.from_pretrained(tmp_path / "windows")


def test_prompts_end_where_the_middle_begins() -> None:
    assert file_prompt("a", "b") == "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>"
    whole = repository_prompt("shop", {"tax.py": "RATE = 7"}, "main.py", "a", "b")
    assert whole == "<|repo_name|>shop\n<|file_sep|>tax.py\nRATE = 7\n<|file_sep|>main.py\n" + file_prompt("a", "b")
