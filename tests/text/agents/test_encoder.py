"""The encoder: what its scores are made of, InfoNCE against cross-entropy, twins, and that it learns beyond its start."""

import math

import pytest
import torch
from torch.nn import functional as F

from companion.text.agents.bm25 import best_rank
from companion.text.agents.encoder import Encoder, contrastive, info_nce, parts
from companion.training import TrainConfig, train
from tests.conftest import gen

PAGES = ["the cat saw the dog", "a dog", "birds fly"]


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=gen(seed)), dim=-1)


def test_a_text_is_the_sum_of_its_terms_weighted_by_the_root_of_their_rarity() -> None:
    encoder = Encoder(PAGES, gen(0), width=7)
    known = [term for term in parts("dog cat dog zebra") if term in encoder.places]
    pages = [parts(page) for page in PAGES]
    total = sum(
        math.sqrt(math.log(4 / sum(term in page for page in pages))) * encoder.table[encoder.places[term]]
        for term in known
    )
    got = encoder(encoder.prepared(["x", "dog cat dog zebra"]))[1]
    assert torch.allclose(got, total / total.norm(), atol=1e-5)
    assert "dog " in known and "<do" in known and "zeb" not in encoder.places


def test_padding_and_order_change_nothing() -> None:
    encoder = Encoder(PAGES, gen(0))
    alone = encoder(encoder.prepared(["a dog"]))
    together = encoder(encoder.prepared(["a dog", "the cat saw the dog and birds"]))
    assert torch.allclose(alone[0], together[0], atol=1e-6)
    assert torch.allclose(encoder(encoder.prepared(["dog a"])), alone, atol=1e-6)
    assert float(encoder.scores(["a dog"], PAGES)[0, 1]) == pytest.approx(1, abs=1e-5)


def test_info_nce_is_cross_entropy_over_the_batch() -> None:
    asked, read = unit(5, 3), unit(5, 3, seed=1)
    wanted = -sum(torch.log_softmax(asked[i] @ read.T / 0.3, 0)[i] for i in range(5)) / 5
    assert torch.allclose(info_nce(asked, read, torch.arange(5), 0.3), wanted, atol=1e-6)


def test_a_twin_is_no_wrong_answer() -> None:
    """Pairs 0 and 2 have the same passage: neither stands in the other's sum."""
    asked, read = unit(3, 4), unit(3, 4, seed=1)
    scores = asked @ read.T
    row0 = -torch.log_softmax(scores[0, [0, 1]], 0)[0]
    row1 = -torch.log_softmax(scores[1], 0)[1]
    row2 = -torch.log_softmax(scores[2, [1, 2]], 0)[1]
    assert torch.allclose(info_nce(asked, read, torch.tensor([7, 8, 7]), 1.0), (row0 + row1 + row2) / 3, atol=1e-6)


def test_it_learns_that_two_words_mean_the_same() -> None:
    """Questions share no term with their page; chance is 1 in 6 for the first place."""
    pages = ["ant alder", "bee birch", "cow cedar", "dog dogwood", "elk elm", "fox fir"]
    asked = ["uno", "dos", "tres", "quatro", "cinco", "seis"]
    encoder = Encoder([*pages, *asked], gen(0), width=24)
    data = (encoder.prepared(asked * 8), encoder.prepared(pages * 8), torch.arange(6).repeat(8))
    trained = train(
        encoder, contrastive(0.2), data, TrainConfig(steps=60, batch_size=12, lr=1e-2, weight_decay=0.0)
    ).model
    assert best_rank(trained.scores(asked, pages), [(i,) for i in range(6)]).tolist() == [1] * 6


def test_no_terms() -> None:
    with pytest.raises(ValueError, match="pages"):
        Encoder(["!"], gen(0))
    with pytest.raises(ValueError, match="temperature"):
        contrastive(0.0)
