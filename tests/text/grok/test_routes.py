"""Who reads what: choices of a model set by hand, counts, and mutual information in cases where it is known."""

import math

import pytest
import torch

from companion.text.grok import Grok, GrokConfig
from companion.text.grok.routes import choices, counts, information
from tests.conftest import gen


def test_choices_of_a_model_that_tells_two_kinds_of_characters_apart() -> None:
    """Embeddings and routers set by hand: numbers below 4 go to experts 1 and 0, the others to 2 and 0; then reversed."""
    model = Grok(GrokConfig(6, 4, 4, 2, heads=1, kv_heads=1, hidden=3, experts=3)).train()
    rows = torch.tensor([[1.0, 1, 0, 0], [2, -2, 0, 0], [-2, 2, 0, 0]])
    with torch.no_grad():
        model.tokens.weight.zero_()
        model.tokens.weight[:4, 0] = model.tokens.weight[4:, 1] = 1.0
        for block, turn in zip(model.blocks, (1, -1), strict=True):
            block.attention.out.weight.zero_()
            for expert in block.mlp.experts:
                expert.down.weight.zero_()
            block.mlp.router.weight.copy_(rows * torch.tensor([[1.0], [turn], [turn]]))
    got = choices(model, torch.tensor([[0, 3, 4], [5, 1, 1]]))
    assert got[0].tolist() == [[[1, 0], [1, 0], [2, 0]], [[2, 0], [1, 0], [1, 0]]]
    assert got[1].tolist() == [[[2, 0], [2, 0], [1, 0]], [[1, 0], [2, 0], [2, 0]]]
    assert model.training


def test_counts() -> None:
    chosen = torch.tensor([[[0, 1], [1, 2]], [[1, 0], [1, 3]]])
    table = counts(chosen, torch.tensor([[0, 2], [0, 0]]), 4)
    assert table.tolist() == [[2, 3, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0]]


def test_information_where_it_is_known() -> None:
    assert information(torch.tensor([[2.0, 4.0, 6.0], [1, 2, 3]])) == pytest.approx(0, abs=1e-12)
    assert information(torch.eye(5)) == pytest.approx(math.log(5))
    assert information(torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]])) == pytest.approx(math.log(2))
    assert information(torch.tensor([[2.0, 1], [1, 0]])) == pytest.approx(
        0.5 * math.log(0.5 / 0.5625) + 0.5 * math.log(0.25 / 0.1875)
    )


def test_a_finer_kind_never_tells_less() -> None:
    character, source = torch.randint(4, (500,), generator=gen(1)), torch.randint(3, (500,), generator=gen(2))
    chosen = torch.stack([(character + source) % 5, (character + 2) % 5], 1)
    coarse, fine = (information(counts(chosen, kind, 5)) for kind in (character, 3 * character + source))
    assert 0 < coarse < fine
    assert information(counts(chosen, source, 5)) < fine
