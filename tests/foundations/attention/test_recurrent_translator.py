"""The recurrent translator, as its equation is printed; what both translators must do is in `test_seq2seq`."""

import torch
from torch import Tensor, nn

from companion.foundations.attention.recurrent_translator import RecurrentConfig, RecurrentTranslator

SOURCES, TARGETS = 9, 6


def recurrent_model() -> RecurrentTranslator:
    return RecurrentTranslator(RecurrentConfig(SOURCES, TARGETS, width=7, hidden=10)).eval()


def test_eq_rnn_as_printed_I60() -> None:
    model = recurrent_model().double()
    source, target = torch.tensor([[3, 1, 4]]), torch.tensor([[0, 2, 5]])

    def gru(cell: nn.GRU, x: Tensor, h: Tensor, tail: str = "") -> Tensor:
        w_i, w_h = getattr(cell, f"weight_ih_l0{tail}"), getattr(cell, f"weight_hh_l0{tail}")
        b_i, b_h = getattr(cell, f"bias_ih_l0{tail}"), getattr(cell, f"bias_hh_l0{tail}")
        (r_i, z_i, n_i), (r_h, z_h, n_h) = (w_i @ x + b_i).chunk(3), (w_h @ h + b_h).chunk(3)
        r, z = torch.sigmoid(r_i + r_h), torch.sigmoid(z_i + z_h)
        return (1 - z) * torch.tanh(n_i + r * n_h) + z * h

    forth = back = torch.zeros(10, dtype=torch.float64)
    for i in range(3):
        forth = gru(model.reader, model.embed_source.weight[source[0, i]], forth)
        back = gru(model.reader, model.embed_source.weight[source[0, 2 - i]], back, "_reverse")
    c = torch.tanh(model.summary(torch.cat([forth, back])))
    s = c
    for t in range(3):
        s = gru(model.writer, torch.cat([model.embed_target.weight[target[0, t]], c]), s)
        torch.testing.assert_close(model(source, target)[0, t], model.head(s), rtol=0, atol=1e-10)
