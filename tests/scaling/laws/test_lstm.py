"""The recurrent language model against its own equations, and its cost against torch's counter."""

import math

import pytest
import torch
from torch import nn

from companion.language.scoring import mean_nats
from companion.metrics.flops import count_flops
from companion.scaling.laws.family import train_to_end
from companion.scaling.laws.lstm import LSTM, LSTMConfig, lstm_flops
from tests.conftest import rejects

CONFIG = LSTMConfig(vocab_size=11, context=64, width=6, layers=2)


class Unrolled(nn.Module):
    """The same weights in torch's cells, one token and one layer after the other."""

    def __init__(self, model: LSTM) -> None:
        super().__init__()
        self.model, config = model, model.config
        self.cells = nn.ModuleList(nn.LSTMCell(config.width, config.width) for _ in range(config.layers))
        for layer, cell in enumerate(self.cells):
            for name, parameter in cell.named_parameters():
                parameter.data = getattr(model.recurrent, f"{name}_l{layer}").data

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        states = [None] * len(self.cells)
        out = []
        for token in ids.T:
            x = self.model.tokens(token)
            for layer, cell in enumerate(self.cells):
                states[layer] = cell(x, states[layer])
                x = states[layer][0]
            out.append(self.model.scale(x) @ self.model.tokens.weight.T)
        return torch.stack(out, 1)


def test_equals_torchs_cells() -> None:
    torch.manual_seed(0)
    model, ids = LSTM(CONFIG), torch.randint(11, (3, 9))
    torch.testing.assert_close(model(ids), Unrolled(model)(ids), rtol=1e-5, atol=1e-5)


def test_gates_are_those_of_the_docstring() -> None:
    """One step by hand (eq-lstm-gates, eq-lstm-memory), from a state of zero; torch's order of the gates is i, f, c, o."""
    torch.manual_seed(1)
    model = LSTM(LSTMConfig(11, 8, 6))
    x = model.tokens(torch.tensor([4]))
    inner = model.recurrent
    i, _, c, o = (x @ inner.weight_ih_l0.T + inner.bias_ih_l0 + inner.bias_hh_l0).chunk(4, -1)
    h = o.sigmoid() * (i.sigmoid() * c.tanh()).tanh()
    wanted = model.scale(h) @ model.tokens.weight.T
    torch.testing.assert_close(model(torch.tensor([[4]]))[:, 0], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("config", [CONFIG, LSTMConfig(17, 64, 10, 1), LSTMConfig(5, 64, 12, 3)])
def test_operations_are_torchs_count(config: LSTMConfig) -> None:
    ids = torch.randint(config.vocab_size, (2, 7))
    assert count_flops(lambda: Unrolled(LSTM(config))(ids)) == 2 * 7 * lstm_flops(config)


def test_never_sees_the_future() -> None:
    torch.manual_seed(2)
    model, ids = LSTM(CONFIG), torch.randint(11, (2, 8))
    changed = ids.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 11
    same = (model(ids) - model(changed)).abs().amax((0, 2)) < 1e-6
    assert same.tolist() == [True] * 5 + [False] * 3


def test_remembers_across_a_gap() -> None:
    """A mark, two new symbols, the first of them again: half of the tokens are certain for who remembers."""
    new = torch.randint(5, (1500, 2), generator=torch.Generator().manual_seed(0))
    text = torch.cat([torch.full((1500, 1), 5), new, new[:, :1]], 1).reshape(-1)
    torch.manual_seed(0)
    model = train_to_end(LSTM(LSTMConfig(6, 64, 24)), text, 120 * 512, lr=0.02, seed=0)
    forgetful = (math.log(5) * 3) / 4  # knows the mark's turn, but not what to repeat
    assert mean_nats(model, text[:1921]) < 0.8 * forgetful


def test_rejects() -> None:
    with rejects("layers"):
        LSTMConfig(11, 8, 6, 0)
    with rejects("past_key_values"):
        LSTM(CONFIG)(torch.zeros(1, 2, dtype=torch.long), [])
