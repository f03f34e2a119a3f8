"""The mixed text: a third each, every character labelled, splits apart."""

import torch

from companion.text.grok.mixture import PIECE, Mixture, alphabet, mixture
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


def test_more_than_there_is() -> None:
    with rejects("pieces"):
        mixture("valid", 5_000)
