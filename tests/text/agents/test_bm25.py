"""BM25 against its formula written out, ranks and their fusion by hand."""

import math

import pytest
import torch

from companion.text.agents.bm25 import BM25, best_rank, fused, ranks, trigrams, words

PAGES = ["The cat saw the dog.", "A dog!", "the bird, the bird and the cat; birds fly over it all"]


def by_hand(question: list[str], page: list[str], pages: list[list[str]], k: float = 1.2, b: float = 0.75) -> float:
    """Robertson and Zaragoza's equation 3.15, word for word, with the one of Lucene in the logarithm."""
    mean, score = sum(map(len, pages)) / len(pages), 0.0
    for word in question:
        n = sum(word in other for other in pages)
        if n:
            idf = math.log(1 + (len(pages) - n + 0.5) / (n + 0.5))
            f = page.count(word)
            score += idf * f * (k + 1) / (f + k * (1 - b + b * len(page) / mean))
    return score


@pytest.mark.parametrize("terms", [words, trigrams])
@pytest.mark.parametrize(("k", "b"), [(1.2, 0.75), (0.1, 0.3), (2.0, 0.0), (0.7, 1.0)])
def test_scores_are_the_formula(terms, k: float, b: float) -> None:
    asked = ["the cat", "dog dog bird", "over and over", "zebra"]
    split = [terms(page) for page in PAGES]
    wanted = [[by_hand(terms(q), page, split, k, b) for page in split] for q in asked]
    assert torch.allclose(BM25(PAGES, terms, k=k, b=b).scores(asked), torch.tensor(wanted), atol=1e-5)


def test_no_word_counts_less_than_nothing() -> None:
    """Without the one, "the" in two of three pages would have a negative weight."""
    assert bool((BM25(PAGES).idf > 0).all())


def test_words_and_runs_of_characters() -> None:
    assert words("It's a U-Net, naïve: 2 x_1!") == ["it", "s", "a", "u", "net", "naïve", "2", "x", "1"]
    assert trigrams("cats a") == ["<ca", "cat", "ats", "ts>", "<a>"]


def test_a_misspelled_word_keeps_some_runs_and_no_word() -> None:
    """ "brid" is no word of the pages; of its runs "<b…" no page has one, of "birdd" several."""
    assert float(BM25(PAGES).scores(["birdd"]).max()) == 0
    assert int(BM25(PAGES, trigrams).scores(["birdd"]).argmax()) == 2


def test_matched_is_a_share_of_the_most() -> None:
    index = BM25(PAGES)
    shares = index.matched(["the cat", "cat zebra zebra", "zebra", ""])
    assert shares[0] > shares[1] > shares[2] == shares[3] == 0
    rarest = math.log(1 + (3 + 0.5) / 0.5)
    cat = float(index.scores(["cat"]).max())
    assert float(shares[1]) == pytest.approx(cat / (float(index.idf[index.places["cat"]]) + 2 * rarest), rel=1e-5)


def test_ranks_fusion_and_best_rank_by_hand() -> None:
    scores = torch.tensor([[0.1, 0.9, 0.5, 0.5]])
    assert ranks(scores).tolist() == [[4, 1, 2, 3]]
    both = fused([ranks(scores), ranks(-scores)], constant=1.0)
    assert torch.allclose(both, torch.tensor([[1 / 5 + 1 / 2, 1 / 2 + 1 / 5, 1 / 3 + 1 / 3, 1 / 4 + 1 / 4]]))
    assert best_rank(scores, [(0, 3)]).tolist() == [3]


def test_what_cannot_be_ranked() -> None:
    with pytest.raises(ValueError, match="pages"):
        BM25(["!", ""])
    with pytest.raises(ValueError, match="answers"):
        best_rank(torch.zeros(2, 3), [(0,), ()])
    with pytest.raises(ValueError, match="b:"):
        BM25(PAGES, b=1.5)
