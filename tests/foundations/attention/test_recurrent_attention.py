"""Attention between two recurrent networks, as its equation is printed; what all translators must do is in `test_seq2seq`."""

import torch
from torch import Tensor

from companion.foundations.attention.recurrent_attention import RecurrentAttentionConfig, RecurrentAttentionTranslator
from tests.conftest import rejects

SOURCES, TARGETS, HIDDEN = 9, 6, 10


def model_of() -> RecurrentAttentionTranslator:
    return RecurrentAttentionTranslator(RecurrentAttentionConfig(SOURCES, TARGETS, width=7, hidden=HIDDEN)).eval()


def test_eq_rnn_attention_as_printed_I60() -> None:
    model = model_of().double()
    source, target = torch.tensor([[3, 1, 4, 1]]), torch.tensor([[0, 2, 5]])
    h, _ = model.reader(model.embed_source(source))
    s, _ = model.writer(model.embed_target(target))
    keys, values = model.cross.k(h[0]), model.cross.v(h[0])
    logits, maps = model.decode_with_maps(model.encode(source), target)
    for t in range(3):
        scores = keys @ model.cross.q(s[0, t]) / HIDDEN**0.5
        a = scores.exp() / scores.exp().sum()
        c = model.cross.out(a @ values)
        torch.testing.assert_close(maps[0, 0, 0, t], a, rtol=0, atol=1e-10)
        torch.testing.assert_close(logits[0, t], model.head(torch.cat([s[0, t], c])), rtol=0, atol=1e-10)


def test_all_it_knows_of_the_source_comes_through_attention() -> None:
    model, target = model_of(), torch.tensor([[0, 2, 5]])
    one, other = (model.encode(torch.tensor([source])) for source in ([3, 1, 4, 1], [2, 7, 1, 8]))
    assert not torch.allclose(model.decode(one, target), model.decode(other, target))
    torch.nn.init.zeros_(model.cross.v.weight)
    torch.testing.assert_close(model.decode(one, target), model.decode(other, target), rtol=0, atol=1e-6)


def test_weights_of_padding_are_zero_and_rows_sum_to_one_I18() -> None:
    model, source = model_of(), torch.tensor([[3, 1, 4, 1], [2, 7, 0, 0]])
    maps: Tensor = model.decode_with_maps(model.encode(source), torch.tensor([[0, 2], [0, 1]]))[1]
    assert maps.shape == (2, 1, 1, 2, 4)
    assert (maps[1, ..., 2:] == 0).all()
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 1, 1, 2))


def test_bad_sources_are_refused() -> None:
    with rejects("padding alone"):
        model_of().encode(torch.zeros(1, 3, dtype=torch.long))
    with rejects("source"):
        model_of().encode(torch.tensor([[SOURCES]]))
