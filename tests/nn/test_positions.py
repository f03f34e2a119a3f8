"""Sinusoidal and rotary positions, against hand-computed values, the equations as printed, and transformers."""

import math

import pytest
import torch
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from companion.nn.positions import Rotary, frequencies, sinusoidal
from tests.conftest import rejects


def test_sinusoidal_by_hand_for_four_channels_I28() -> None:
    # With d = 4 the second pair turns 10000^(2/4) = 100 times slower.
    for p, row in enumerate(sinusoidal(5, 4)):
        by_hand = [math.sin(p), math.cos(p), math.sin(p / 100), math.cos(p / 100)]
        torch.testing.assert_close(row, torch.tensor(by_hand))


def test_eq_sinusoidal_as_printed_I60() -> None:
    n, d = 7, 10
    table = sinusoidal(n, d)
    for p in range(n):
        for i in range(d // 2):
            angle = p / 10_000 ** (2 * i / d)
            assert table[p, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[p, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_sinusoidal_starts_where_it_is_told_I23() -> None:
    torch.testing.assert_close(sinusoidal(9, 6)[4:], sinusoidal(5, 6, start=4), rtol=0, atol=0)


def test_a_shift_of_sinusoidal_positions_is_one_rotation_for_all_positions() -> None:
    table = sinusoidal(40, 8).double()
    step = torch.linalg.lstsq(table[:30], table[5:35]).solution
    torch.testing.assert_close(table[5:] @ torch.linalg.inv(step), table[:-5], rtol=0, atol=1e-4)


def test_eq_rotary_as_printed_I60() -> None:
    d, p = 6, 11
    x = torch.randn(1, 1, 1, d, dtype=torch.float64)
    got = Rotary(d)(x, torch.tensor([[p]]))[0, 0, 0]
    for i in range(d // 2):
        theta = 10_000 ** (-2 * i / d)
        a, b = x[0, 0, 0, i].item(), x[0, 0, 0, i + d // 2].item()
        assert got[i].item() == pytest.approx(a * math.cos(p * theta) - b * math.sin(p * theta), abs=1e-5)
        assert got[i + d // 2].item() == pytest.approx(a * math.sin(p * theta) + b * math.cos(p * theta), abs=1e-5)


def test_rotary_equals_transformers_llama_I30() -> None:
    batch, heads, n, d = 2, 3, 7, 10
    q, k = torch.randn(batch, heads, n, d), torch.randn(batch, heads, n, d)
    positions = torch.tensor([[0, 1, 2, 3, 4, 5, 6], [5, 6, 7, 8, 9, 10, 11]])
    angles = positions[..., None] * 10_000 ** (-torch.arange(0, d, 2) / d)
    angles = torch.cat([angles, angles], dim=-1)
    want_q, want_k = apply_rotary_pos_emb(q, k, angles.cos(), angles.sin())
    torch.testing.assert_close(Rotary(d)(q, positions), want_q, rtol=0, atol=1e-5)
    torch.testing.assert_close(Rotary(d)(k, positions), want_k, rtol=0, atol=1e-5)


def test_rotary_equals_transformers_own_angles_I30() -> None:
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    config = LlamaConfig(hidden_size=36, num_attention_heads=3, num_key_value_heads=3, max_position_embeddings=64)
    x, positions = torch.randn(2, 3, 50, 12), torch.arange(50)[None]
    cos, sin = LlamaRotaryEmbedding(config)(x, positions)
    want, _ = apply_rotary_pos_emb(x, x, cos, sin)
    torch.testing.assert_close(Rotary(12)(x, positions), want, rtol=0, atol=1e-5)


def test_the_gradient_of_a_turn_is_the_turn_back_and_has_a_gradient_itself() -> None:
    rotary, positions = Rotary(6), torch.tensor([[3, 8]])
    x = torch.randn(1, 2, 2, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: rotary(t, positions), x)
    assert torch.autograd.gradgradcheck(lambda t: rotary(t, positions).pow(3), x)
    (back,) = torch.autograd.grad(rotary(x, positions), x, rotary(x, positions))
    torch.testing.assert_close(back, x.detach())


def test_rotary_scores_depend_on_the_distance_alone_and_lengths_are_kept_I30() -> None:
    rotary, q, k = Rotary(8), torch.randn(1, 2, 1, 8).double(), torch.randn(1, 2, 1, 8).double()

    def score(m: int, n: int) -> torch.Tensor:
        return (rotary(q, torch.tensor([[m]])) * rotary(k, torch.tensor([[n]]))).sum(-1)

    torch.testing.assert_close(score(9, 4), score(105, 100), rtol=0, atol=1e-9)
    assert not torch.allclose(score(9, 4), score(9, 5))
    torch.testing.assert_close(rotary(q, torch.tensor([[77]])).norm(dim=-1), q.norm(dim=-1), rtol=0, atol=1e-9)
    torch.testing.assert_close(rotary(q, torch.tensor([[0]])), q)


def test_half_split_is_not_interleaved_but_a_permutation_of_it_I30() -> None:
    d, positions = 8, torch.arange(5)[None]
    x = torch.randn(1, 1, 5, d)
    angles = positions[0][:, None] * 10_000 ** (-torch.arange(0, d, 2) / d)
    pairs = torch.view_as_complex(x.reshape(1, 1, 5, d // 2, 2)) * torch.polar(torch.ones_like(angles), angles)
    interleaved = torch.view_as_real(pairs).flatten(-2)
    order = torch.cat([torch.arange(0, d, 2), torch.arange(1, d, 2)])
    assert not torch.allclose(Rotary(d)(x, positions), interleaved, atol=1e-2)
    torch.testing.assert_close(Rotary(d)(x[..., order], positions), interleaved[..., order])


def test_half_precision_angles_are_computed_in_single() -> None:
    x, positions = torch.randn(1, 1, 3, 8), torch.tensor([[1000, 1001, 1002]])
    exact = Rotary(8)(x.bfloat16().float(), positions)
    got = Rotary(8)(x.bfloat16(), positions)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), exact, rtol=0.01, atol=0.02)


def test_bad_input() -> None:
    with rejects("width"):
        sinusoidal(4, 5)
    with rejects("n:"):
        sinusoidal(0, 4)
    with rejects("start"):
        sinusoidal(2, 4, start=-1)
    with rejects("base"):
        sinusoidal(2, 4, base=1.0)
    with rejects("width"):
        Rotary(7)
    with rejects("x:"):
        Rotary(8)(torch.zeros(1, 1, 3, 6), torch.arange(3)[None])
    with rejects("positions"):
        Rotary(8)(torch.zeros(2, 1, 3, 8), torch.arange(4)[None])


def test_each_axis_turns_its_own_pairs_as_in_flux() -> None:
    from diffusers.models.embeddings import apply_rotary_emb
    from diffusers.models.transformers.transformer_flux import FluxPosEmbed

    axes = (4, 6, 8)
    positions = torch.randint(0, 9, (7, 3))
    x = torch.randn(2, 3, 7, 18)
    cos, sin = FluxPosEmbed(10_000, axes)(positions)  # neighbours make a pair
    interleaved = apply_rotary_emb(x, (cos, sin))
    order = torch.cat([torch.arange(0, 18, 2), torch.arange(1, 18, 2)])
    got = Rotary(18, axes=axes)(x[..., order], positions[None])
    torch.testing.assert_close(got, interleaved[..., order], rtol=0, atol=1e-5)


def test_on_axes_scores_depend_on_the_differences_alone_and_each_axis_counts() -> None:
    rotary, q, k = Rotary(12, axes=(2, 4, 6)), torch.randn(1, 2, 1, 12).double(), torch.randn(1, 2, 1, 12).double()

    def score(m: tuple[int, ...], n: tuple[int, ...]) -> torch.Tensor:
        return (rotary(q, torch.tensor([[m]])) * rotary(k, torch.tensor([[n]]))).sum(-1)

    here = score((3, 5, 2), (1, 2, 7))
    torch.testing.assert_close(score((13, 25, 32), (11, 22, 37)), here, rtol=0, atol=1e-6)
    for other in ((4, 5, 2), (3, 6, 2), (3, 5, 3)):
        assert not torch.allclose(score(other, (1, 2, 7)), here)
    one = Rotary(12, axes=(12,))
    assert torch.equal(one(q, torch.tensor([[4]])), Rotary(12)(q, torch.tensor([[4]])))


def test_frequencies_stay_in_single_precision_when_a_model_is_made_bfloat16() -> None:
    model = torch.nn.ModuleList([Rotary(8)]).bfloat16()
    assert torch.equal(model[0].frequencies, Rotary(8).frequencies)
    assert model.to("meta")[0].frequencies.device.type == "meta"


def test_frequencies_as_printed() -> None:
    got = frequencies(5, 100.0, shift=1)
    assert got.tolist() == pytest.approx([100 ** (-i / 4) for i in range(5)])
    with rejects("shift"):
        frequencies(3, 100.0, shift=3)
    with rejects("axes"):
        Rotary(8, axes=(4, 2))
    with rejects("positions"):
        Rotary(8, axes=(4, 4))(torch.zeros(1, 1, 3, 8), torch.arange(3)[None])


def test_a_stretch_presses_positions_together_as_transformers_linear_type_does() -> None:
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    x, far = torch.randn(2, 3, 5, 12), torch.tensor([[0, 8, 16, 80, 800]])
    torch.testing.assert_close(Rotary(12, stretch=8.0)(x, far), Rotary(12)(x, far // 8), rtol=0, atol=1e-5)
    rope = {"rope_type": "linear", "rope_theta": 500.0, "factor": 8.0}
    config = LlamaConfig(hidden_size=36, num_attention_heads=3, num_key_value_heads=3, rope_parameters=rope)
    want, _ = apply_rotary_pos_emb(x, x, *LlamaRotaryEmbedding(config)(x, far))
    torch.testing.assert_close(Rotary(12, base=500.0, stretch=8.0)(x, far), want, rtol=0, atol=1e-5)
    for bad in (0.0, -2.0):
        with rejects("stretch"):
            Rotary(8, stretch=bad)
