"""nanoGPT's whole recipe for a laptop against ours: the same text, the same core, by turns; a matter of minutes."""

import pytest
import torch

from companion.data import shakespeare
from companion.overview.ngram import encode
from companion.text.pretraining import MODERN, NANOGPT, race


@pytest.mark.parametrize(
    ("limit", "what"),
    [
        (1_000_000, "Shakespeare by the character: one million, read one and a half times"),
        (None, "Shakespeare by the character: four million, read less than half"),
    ],
)
def test_whole_recipe_against_nanogpt(benchmark, limit: int | None, what: str) -> None:
    """Nats a character on plays that neither has seen, after nanoGPT's 2,000 steps and about as much time of ours."""
    torch.set_num_threads(1)
    text = shakespeare("train", limit=limit).text
    alphabet = "".join(sorted(set(text)))
    known = set(alphabet)
    valid = "".join(c for c in shakespeare("valid").text if c in known)[:100_000]
    texts = encode(text, alphabet), encode(valid, alphabet)
    theirs, ours = benchmark.pedantic(
        race, args=([NANOGPT, MODERN], *texts, len(alphabet)), kwargs={"judgements": 4}, rounds=1, iterations=1
    )
    sizes = [sum(p.numel() for p in run.model.parameters()) for run in (theirs, ours)]
    assert sizes[1] <= sizes[0], sizes
    assert ours.seconds[-1] < 1.15 * theirs.seconds[-1], (ours.seconds[-1], theirs.seconds[-1])
    benchmark.extra_info.update(
        what=what,
        against="nanoGPT's laptop recipe",
        wanted=0.2,
        lower=round(theirs.valid[-1] - ours.valid[-1], 3),
        ours_nats=round(ours.valid[-1], 3),
        theirs_nats=round(theirs.valid[-1], 3),
        ours_seconds=round(ours.seconds[-1]),
        theirs_seconds=round(theirs.seconds[-1]),
    )
