"""The mixed text: a third each, every character labelled, splits apart; and the table of who reads what."""

import torch

from companion.text.grok import Grok, GrokConfig
from companion.text.grok.mixture import PIECE, SOURCES, Mixture, alphabet, mixture, shares
from tests.conftest import rejects


def text_of(ids: torch.Tensor) -> str:
    return "".join(alphabet()[i] for i in ids.tolist())


def test_the_sources_take_turns_and_each_character_knows_its_own() -> None:
    text = mixture("valid", 3)
    assert len(text.ids) == len(text.source) == 3 * 3 * PIECE
    assert text.source.view(9, PIECE).unique(dim=1).flatten().tolist() == [0, 1, 2] * 3
    each = [text_of(text.ids[text.source == number]) for number in range(3)]
    assert "SCENE" in each[0] and "import" in each[1] and each[2].count(" = ") > 20
    assert "import" not in each[0] and " = 19" in each[2]


def test_splits_do_not_share_a_piece() -> None:
    train, valid = (mixture(split, 10).ids.view(-1, PIECE) for split in ("train", "valid"))
    assert not {tuple(row) for row in train.tolist()} & {tuple(row) for row in valid.tolist()}


def test_passages_within_one_source() -> None:
    text = Mixture(torch.arange(14), torch.tensor([0] * 5 + [1] * 9))
    ids, source = text.passages(3)
    assert ids.tolist() == [[0, 1, 2], [6, 7, 8], [9, 10, 11]] and source.tolist() == [0, 1, 1]


def test_shares_of_a_model_that_tells_the_sources_by_a_character() -> None:
    """Embeddings and routers set by hand: numbers below 4 go to experts 0 and 1, the others to 2 and 0."""
    model = Grok(GrokConfig(6, 4, 4, 2, heads=1, kv_heads=1, hidden=3, experts=3))
    with torch.no_grad():
        model.tokens.weight.zero_()
        model.tokens.weight[:4, 0] = model.tokens.weight[4:, 1] = 1.0
        for block in model.blocks:
            block.attention.out.weight.zero_()
            for expert in block.mlp.experts:
                expert.down.weight.zero_()
            block.mlp.router.weight.copy_(torch.tensor([[1.0, 1, 0, 0], [2, -2, 0, 0], [-2, 2, 0, 0]]))
    text = Mixture(torch.tensor([0, 1, 2, 3, 4, 5, 4, 5]), torch.tensor([0] * 4 + [2] * 4))
    got = shares(model, text)
    assert got.shape == (2, len(SOURCES), 3)
    for layer in got:
        assert layer[0].tolist() == [0.5, 0.5, 0.0] and layer[2].tolist() == [0.5, 0.0, 0.5]


def test_more_than_there_is() -> None:
    with rejects("pieces"):
        mixture("valid", 5_000)
