"""Quantisation: the error's bound, six decibels a bit, torch's own rounding and kernel, outliers, tied matrices."""

import math

import pytest
import torch
from torch import nn

from companion.future.realtime.quantization import Quantized, QuantizedLinear, quantize, quantize_model, sqnr
from companion.text.llama import Llama, LlamaConfig
from tests.conftest import rejects


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("group", ["channel", "tensor"])
def test_no_weight_is_off_by_more_than_half_a_step(bits: int, group: str) -> None:
    w = torch.randn(7, 13).double() * torch.logspace(-2, 2, 7).double()[:, None]
    stored = quantize(w, bits, group=group)
    top = 2 ** (bits - 1) - 1
    assert stored.values.dtype == torch.int8
    assert stored.values.abs().max() == top
    assert ((stored.dequantized() - w).abs() <= stored.scale[:, None] / 2 * (1 + 1e-12)).all()
    largest = w.abs().amax(1) if group == "channel" else w.abs().max().expand(7)
    torch.testing.assert_close(stored.scale, largest / top)


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_each_bit_is_worth_six_decibels(bits: int) -> None:
    """Truth: numbers spread evenly over their range lose what the formula says."""
    w = torch.rand(4, 50_000, generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    measured = sqnr(w, quantize(w, bits).dequantized())
    assert measured == pytest.approx(20 * math.log10(2**bits - 2), abs=0.05)
    assert abs(measured - 6.02 * bits) < 1.3


def test_the_numbers_are_torchs_own() -> None:
    w = torch.randn(5, 9)
    stored = quantize(w)
    theirs = torch.fake_quantize_per_channel_affine(w, stored.scale, torch.zeros(5, dtype=torch.int32), 0, -127, 127)
    torch.testing.assert_close(theirs, stored.dequantized(), rtol=0, atol=1e-6)


def test_one_scale_for_all_lets_a_large_row_ruin_the_small_ones() -> None:
    w = torch.randn(6, 64)
    w[0] *= 300
    by_row, by_all = (quantize(w, group=group).dequantized() for group in ("channel", "tensor"))
    assert sqnr(w[1:], by_row[1:]) > 30 > 5 > sqnr(w[1:], by_all[1:])


def test_a_row_of_zeros_stays_one() -> None:
    stored = quantize(torch.tensor([[0.0, 0.0], [1.0, -0.5]]))
    assert torch.equal(stored.dequantized()[0], torch.zeros(2))
    assert stored.dequantized().isfinite().all()


@pytest.mark.parametrize("bias", [False, True])
def test_the_layer_multiplies_by_the_rounded_matrix(bias: bool) -> None:
    layer, x = nn.Linear(11, 6, bias=bias), torch.randn(2, 3, 11)
    quick = QuantizedLinear(layer)
    want = nn.functional.linear(x, quantize(layer.weight).dequantized(), layer.bias)
    torch.testing.assert_close(quick(x), want, rtol=0, atol=1e-5)
    assert not any(p.requires_grad for p in quick.parameters())


def test_torchs_kernel_gives_the_same_sum() -> None:
    layer, x = nn.Linear(64, 32, bias=False), torch.randn(3, 64)
    quick = QuantizedLinear(layer)
    torch.testing.assert_close(quick(x.bfloat16()).float(), quick(x.bfloat16().float()), rtol=0.02, atol=0.02)


def test_memory_is_the_bits_and_a_scale_a_row() -> None:
    stored = quantize(torch.randn(10, 40), 4)
    assert stored.bytes == 10 * 40 / 2 + 10 * 4
    assert isinstance(stored, Quantized)


def test_a_model_is_copied_and_an_embedding_that_shares_its_matrix_is_not_rounded() -> None:
    torch.manual_seed(0)
    model = Llama(LlamaConfig(vocab_size=19, context=8, width=12, layers=2, heads=3, kv_heads=1, hidden=16))
    before = {name: p.clone() for name, p in model.named_parameters()}
    ids = torch.randint(19, (2, 6))
    quick = quantize_model(model, 8)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert sum(isinstance(m, QuantizedLinear) for m in quick.modules()) == 2 * 7 + 1
    assert torch.equal(quick.tokens.weight, model.tokens.weight)
    with torch.no_grad():
        apart = (quick(ids) - model(ids)).abs().max()
        coarse = (quantize_model(model, 2)(ids) - model(ids)).abs().max()
    assert 0 < apart < 0.05 * coarse
    only = quantize_model(model, where=lambda name: ".mlp." in name)
    assert sum(isinstance(m, QuantizedLinear) for m in only.modules()) == 2 * 3


def test_bad_input() -> None:
    with rejects("bits"):
        quantize(torch.randn(2, 2), 9)
    with rejects("group"):
        quantize(torch.randn(2, 2), group="row")
    with rejects("weight"):
        quantize(torch.randn(4))
    with rejects("NaN"):
        quantize(torch.tensor([[math.nan, 1.0]]))
    with rejects("linear layer"):
        quantize_model(nn.Sequential(nn.ReLU()))
