"""Modes: evaluation is left as it was entered, also after an error."""

import pytest
import torch
from torch import nn

from companion.training import evaluating


def test_evaluating_puts_each_module_back_in_its_own_mode_I27():
    model = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5)))
    model[1].eval()
    model[1][1].train()
    before = [m.training for m in model.modules()]
    x = torch.ones(4, 3)
    with evaluating(model) as same:
        assert same is model and not any(m.training for m in model.modules())
        assert torch.equal(model(x), model(x)) and not torch.is_grad_enabled()
    assert [m.training for m in model.modules()] == before and torch.is_grad_enabled()
    with pytest.raises(KeyError), evaluating(model):
        raise KeyError
    assert [m.training for m in model.modules()] == before, "also after an error"
