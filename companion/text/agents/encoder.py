r"""Looking pages up by a learned encoder: texts become vectors, and near vectors are meant to be about the same.

Each term (a word, or a run of three characters of a word) has a vector; a text is the sum of its terms', each times
the root of how rare it is (so that a shared term counts by its rarity once), scaled to length 1. Of a batch of pairs
(q_i, d_i), a text and its passage, each q should find its own d among all d of the batch:

    L = -1/n Σ_i log exp(q_i · d_i / τ) / Σ_j exp(q_i · d_j / τ)                               (eq-agents-infonce)

where the sum leaves out other copies of passage i. Van den Oord et al. 2018, arXiv:1807.03748, named it InfoNCE; that
the other passages of the batch serve as wrong answers is from Karpukhin et al., "Dense Passage Retrieval", 2020,
arXiv:2004.04906. Departures: theirs are two BERTs of 110 million weights each, and every question also gets a wrong
passage that BM25 ranks high. Runs of characters as parts of a word's vector: Bojanowski et al. 2016,
arXiv:1607.04606.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from companion.text.agents.bm25 import check_texts, trigrams, words
from companion.training.contrastive import info_nce_of_scores
from companion.training.random import randn
from companion.validate import Count, Positive, checked


def parts(text: str) -> frozenset[str]:
    """The words of a text, and their runs of three characters."""
    return frozenset(f"{word} " for word in words(text)) | frozenset(trigrams(text))


class Encoder(nn.Module):
    """Texts in, unit vectors out.

    Args:
        pages: where it learns which terms there are, and how rare; a term that no page has is not read.
        generator: draws the first vectors.
        width: of the vectors.

    Raises:
        ValueError: pages without a term, or one text in place of a list.
    """

    @checked
    def __init__(self, pages: Sequence[str], generator: Generator, *, width: Count = 256) -> None:
        super().__init__()
        check_texts("pages", pages)
        holding = Counter(term for page in pages for term in parts(page))
        if not holding:
            raise ValueError(f"pages: got {len(pages)} pages without a term, wanted one with a term at least")
        self.places = {term: i for i, term in enumerate(sorted(holding), 1)}  # 0 pads
        self._read: dict[str, Tensor] = {}  # texts are read again and again
        rarity = [0.0, *(math.sqrt(math.log((1 + len(pages)) / holding[term])) for term in self.places)]
        self.register_buffer("rarity", torch.tensor(rarity))
        self.table = nn.Parameter(randn((len(rarity), width), generator) * width**-0.5)

    def prepared(self, texts: Sequence[str]) -> Int[Tensor, "texts longest"]:
        """The terms of each text by their numbers, filled up with 0: what `forward` reads."""
        check_texts("texts", texts)
        rows = [self._numbers(text) for text in texts]
        found = torch.zeros(len(rows), max(1, *map(len, rows)), dtype=torch.int64)
        for place, row in zip(found, rows, strict=True):
            place[: len(row)] = row
        return found

    def _numbers(self, text: str) -> Int[Tensor, "terms"]:
        if text not in self._read:
            known = sorted(self.places[term] for term in parts(text) if term in self.places)
            self._read[text] = torch.tensor(known, dtype=torch.int64)
        return self._read[text]

    def forward(self, terms: Int[Tensor, "texts longest"]) -> Float[Tensor, "texts width"]:
        """Texts as unit vectors."""
        summed = F.embedding_bag(terms, self.table, mode="sum", per_sample_weights=self.rarity[terms])
        return F.normalize(summed, dim=-1)

    def scores(self, questions: Sequence[str], pages: Sequence[str]) -> Float[Tensor, "questions pages"]:
        """The cosine of every page with each question."""
        device = self.table.device
        with torch.inference_mode():
            asked, read = (self(self.prepared(texts).to(device)) for texts in (questions, pages))
            return (asked @ read.T).cpu()


@checked
def info_nce(
    asked: Float[Tensor, "n width"],
    read: Float[Tensor, "n width"],
    passage: Int[Tensor, "n"],
    temperature: Positive,
) -> Float[Tensor, ""]:
    """The contrastive loss of a batch (eq-agents-infonce), in nats.

    Args:
        asked: unit vectors of questions.
        read: of the passage of each.
        passage: its number; pairs with the same one do not serve each other as wrong answers.
        temperature: τ.
    """
    return info_nce_of_scores(asked @ read.T / temperature, passage)


@checked
def contrastive(temperature: Positive = 0.1) -> Callable[..., Tensor]:
    """The loss as `companion.training.train` calls it: of prepared questions, prepared passages and their numbers."""

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor], generator: Generator | None = None) -> Tensor:
        asked, read, passage = batch
        return info_nce(model(asked), model(read), passage, temperature)

    return loss
