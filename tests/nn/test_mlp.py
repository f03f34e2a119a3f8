"""The dense half of a block: equal to transformers' GPT-2 and Llama, position by position."""

import math

import torch
from transformers import Gemma2Config, GPT2Config, LlamaConfig
from transformers.activations import QuickGELUActivation
from transformers.models.gemma2.modeling_gemma2 import Gemma2MLP
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP
from transformers.models.llama.modeling_llama import LlamaMLP

from companion.nn.mlp import MLP, GatedMLP, GeGLU, QuickGELU
from tests.conftest import rejects

X = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))


def test_equals_gpt2s_mlp() -> None:
    ours, theirs = MLP(6, 11), GPT2MLP(11, GPT2Config(n_embd=6, resid_pdrop=0.0))
    with torch.no_grad():
        for mine, other in ((ours.widen, theirs.c_fc), (ours.narrow, theirs.c_proj)):
            other.weight.copy_(mine.weight.T)
            other.bias.copy_(mine.bias)
    torch.testing.assert_close(ours(X), theirs(X), rtol=0, atol=1e-6)


def test_the_gelu_is_the_tanh_approximation_of_gpt2() -> None:
    mlp = MLP(1, 1)
    for linear in (mlp.widen, mlp.narrow):
        torch.nn.init.ones_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    x = torch.linspace(-3, 3, 13)[:, None]
    printed = 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    torch.testing.assert_close(mlp(x), printed)
    assert (mlp(x) - torch.nn.functional.gelu(x)).abs().max() > 1e-4


def test_equals_llamas_and_gemmas_gated_mlps() -> None:
    sizes = {"hidden_size": 6, "intermediate_size": 11, "num_attention_heads": 2}
    for ours, theirs in (
        (GatedMLP(6, 11), LlamaMLP(LlamaConfig(**sizes))),
        (GeGLU(6, 11), Gemma2MLP(Gemma2Config(**sizes))),
    ):
        gated_alike(ours, theirs)


def gated_alike(ours: GatedMLP, theirs: torch.nn.Module) -> None:
    with torch.no_grad():
        for mine, other in ((ours.gate, theirs.gate_proj), (ours.up, theirs.up_proj), (ours.down, theirs.down_proj)):
            other.weight.copy_(mine.weight)
    x = 3 * X  # where the two kinds of gate differ
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-6)


def test_two_thirds_of_the_hidden_width_cost_a_gated_mlp_as_many_weights() -> None:
    plain = sum(p.numel() for p in MLP(12, 48).parameters() if p.ndim == 2)
    assert sum(p.numel() for p in GatedMLP(12, 32).parameters()) == plain


def test_each_position_stands_alone() -> None:
    for mlp in (MLP(6, 11), GatedMLP(6, 11), GeGLU(6, 11)):
        changed = X.clone()
        changed[0, 2] += 1
        moved = (mlp(changed) - mlp(X)).abs().sum(-1) > 0
        assert moved.nonzero().tolist() == [[0, 2]]


def test_bad_input() -> None:
    for kind in (MLP, GatedMLP, GeGLU):
        with rejects("width"):
            kind(0, 4)
        with rejects("hidden"):
            kind(4, 0)


def test_equals_clips_quick_gelu_and_is_no_gelu() -> None:
    x = torch.linspace(-4, 4, 17)
    torch.testing.assert_close(QuickGELU()(x), QuickGELUActivation()(x), rtol=0, atol=0)
    assert 0.005 < (QuickGELU()(x) - torch.nn.functional.gelu(x)).abs().max() < 0.03
