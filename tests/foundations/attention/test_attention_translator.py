"""The translator with attention: positions, maps, cache; what both translators must do is in `test_seq2seq`."""

import pytest
import torch

from companion.foundations.attention.attention_translator import AttentionConfig, AttentionTranslator
from companion.foundations.attention.seq2seq import next_symbol_loss
from tests.foundations.attention.test_seq2seq import TARGETS, attention_model, batch, recurrent_model


def test_positions_are_really_used_I29() -> None:
    source, target = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[1, 2]])
    for positions, changes in (("rotary", True), ("sinusoidal", True), ("none", False)):
        model = attention_model(positions)
        same = torch.allclose(model(source.flip(1), target), model(source, target), atol=1e-6)
        assert same != changes
    model = recurrent_model()
    assert not torch.allclose(model(source.flip(1), target), model(source, target), atol=1e-6)


def test_the_maps_are_weights_over_the_real_characters_I25() -> None:
    model, (source, target) = attention_model(), batch()
    _, maps = model.decode_with_maps(model.encode(source), target)
    assert maps.shape == (3, 2, 2, 5, 8)
    torch.testing.assert_close(maps.sum(-1), torch.ones(3, 2, 2, 5))
    assert (maps[1, ..., 5:] == 0).all()


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal"])
def test_cached_decoding_equals_uncached_I22_I23(positions: str) -> None:
    model, (source, _) = attention_model(positions), batch()
    target = torch.randint(1, TARGETS, (3, 20))
    with torch.no_grad():
        memory = model.encode(source)
        want, maps = model.decode_with_maps(memory, target)
        state = model.new_state(3)
        parts = [model.decode_with_maps(memory, target[:, t : t + 1], state) for t in range(20)]
    torch.testing.assert_close(torch.cat([logits for logits, _ in parts], dim=1), want, rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.cat([m for _, m in parts], dim=3), maps, rtol=0, atol=1e-5)


def test_a_source_of_padding_alone_stays_finite_I24() -> None:
    model, (source, target) = attention_model(), batch()
    source[0] = 0
    loss = next_symbol_loss(model, (source, target))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_eval_switches_dropout_off_I26() -> None:
    model, (source, target) = attention_model(dropout=0.5), batch()
    assert torch.equal(model(source, target), model(source, target))
    model.train()
    assert not torch.equal(model(source, target), model(source, target))


def test_the_defaults_are_one_layer_of_four_heads() -> None:
    config = AttentionConfig(sources=9, targets=7)
    model = AttentionTranslator(config)
    assert len(model.encoder) == len(model.decoder) == 1 and config.heads == 4
