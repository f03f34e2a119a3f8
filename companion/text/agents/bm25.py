r"""Looking pages up by the words that they share with a question: BM25.

    score(q, d) = Σ_{w in q} idf(w) · f (k + 1) / (f + k (1 - b + b n_d / mean n_d))             (eq-agents-bm25)
    idf(w) = ln(1 + (N - n_w + ½) / (n_w + ½))                                                  (eq-agents-idf)

with f how often the word w stands in the page d, n_d the page's number of words, N pages and n_w of them with the
word. A word that stands in the question twice counts twice. Robertson and Zaragoza, "The Probabilistic Relevance
Framework: BM25 and Beyond", 2009, doi:10.1561/1500000019, section 3. Departure: one is added inside the logarithm, as
in Lucene, so that no word counts less than nothing.

Two lists are joined by the ranks alone, Cormack et al., "Reciprocal Rank Fusion", 2009, doi:10.1145/1571941.1572114:

    fused(d) = Σ_lists 1 / (60 + rank of d)                                                     (eq-agents-fusion)
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.validate import NonNegative, Positive, Share, checked

Terms = Callable[[str], list[str]]


def words(text: str) -> list[str]:
    """The words and numbers of a text, in small letters."""
    return re.findall(r"[^\W_]+", text.lower())


def trigrams(text: str) -> list[str]:
    """All runs of three characters of each word, with a sign for where it begins and ends: ``cats`` is <ca, cat, ats, ts>."""
    return [f"<{word}>"[i : i + 3] for word in words(text) for i in range(len(word))]


def bm25_weight(
    count: Float[Tensor, "pages words"],
    length: Float[Tensor, "pages 1"],
    mean_length: float,
    idf: Float[Tensor, "words"],
    k: float = 1.2,
    b: float = 0.75,
) -> Float[Tensor, "pages words"]:
    """What a word of the question adds to a page's score (eq-agents-bm25)."""
    return idf * count * (k + 1) / (count + k * (1 - b + b * length / mean_length))


class BM25:
    """An index of pages.

    Args:
        pages: their texts.
        terms: what a text is made of: `words`, or `trigrams`.
        k: how soon more of the same word stops to count.
        b: how much a long page is held back, from 0 to 1.

    Raises:
        ValueError: no pages, or none with a term.
    """

    @checked
    def __init__(self, pages: Sequence[str], terms: Terms = words, *, k: Positive = 1.2, b: Share = 0.75) -> None:
        counts = [Counter(terms(page)) for page in pages]
        self.terms, self.places = terms, {}
        for count in counts:
            for term in count:
                self.places.setdefault(term, len(self.places))
        if not self.places:
            raise ValueError(f"pages: got {len(pages)} pages without a term, wanted one with a term at least")
        table = torch.zeros(len(pages), len(self.places))
        for row, count in zip(table, counts, strict=True):
            row[[self.places[term] for term in count]] = torch.tensor([*map(float, count.values())])
        holding = (table > 0).sum(0)
        self.idf = torch.log1p((len(pages) - holding + 0.5) / (holding + 0.5))
        length = table.sum(1, keepdim=True)
        self.weights = bm25_weight(table, length, float(length.mean()), self.idf, k, b)

    def scores(self, questions: Sequence[str]) -> Float[Tensor, "questions pages"]:
        """The score of every page for each question (eq-agents-bm25); 0 where they share no term."""
        found = torch.zeros(len(questions), len(self.weights))
        for row, question in zip(found, questions, strict=True):
            known = [self.places[term] for term in self.terms(question) if term in self.places]
            row += self.weights[:, known].sum(1)
        return found

    def matched(self, questions: Sequence[str]) -> Float[Tensor, "questions"]:
        """The best page's score as a share of the most that a page could get: every term, often, on a page of length 0.

        A term that no page has counts as the rarest would.
        """
        rarest = math.log1p((len(self.weights) + 0.5) / 0.5)
        most = []
        for question in questions:
            known = [self.places.get(term) for term in self.terms(question)]
            most.append(sum(rarest if place is None else float(self.idf[place]) for place in known))
        return self.scores(questions).amax(1) / torch.tensor(most).clamp(min=1e-9)


@checked
def ranks(scores: Float[Tensor, "questions pages"]) -> Int[Tensor, "questions pages"]:
    """The rank of each page for each question: 1 for the highest score; of equals the first comes first."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    return order.argsort(1) + 1


@checked
def fused(
    rankings: Sequence[Int[Tensor, "questions pages"]], constant: NonNegative = 60.0
) -> Float[Tensor, "questions pages"]:
    """Scores of several rankings together (eq-agents-fusion)."""
    return sum(1 / (constant + ranking) for ranking in rankings)


@checked
def best_rank(scores: Float[Tensor, "questions pages"], answers: Sequence[Sequence[int]]) -> Int[Tensor, "questions"]:
    """The rank of the highest of the pages that answer each question; recall@k is the share that is k at most.

    Raises:
        ValueError: not a page at least for each question.
    """
    if len(answers) != len(scores) or not all(answers):
        raise ValueError(f"answers: got {len(answers)} lists, wanted {len(scores)}, none of them empty")
    found = ranks(scores)
    return torch.stack([found[i, list(pages)].min() for i, pages in enumerate(answers)])
