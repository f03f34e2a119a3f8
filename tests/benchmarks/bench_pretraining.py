"""nanoGPT's whole recipe for a laptop against ours: the same text, the same core, by turns; a matter of minutes."""

import torch

from companion.data import shakespeare
from companion.overview.ngram import encode
from companion.text.pretraining import MODERN, NANOGPT, race


def test_whole_recipe_against_nanogpt(benchmark) -> None:
    """Nats a character on plays that neither has seen, after 2,000 steps of nanoGPT's and at most the same time of ours."""
    torch.set_num_threads(1)
    text = shakespeare("train", limit=1_000_000).text
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
        what="Shakespeare by the character, 0.8 million parameters",
        against="nanoGPT's laptop recipe",
        wanted=0.2,
        lower=round(theirs.valid[-1] - ours.valid[-1], 3),
        ours_nats=round(ours.valid[-1], 3),
        theirs_nats=round(theirs.valid[-1], 3),
        ours_seconds=round(ours.seconds[-1]),
        theirs_seconds=round(theirs.seconds[-1]),
    )
