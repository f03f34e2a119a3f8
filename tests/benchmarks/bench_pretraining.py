"""nanoGPT's whole recipe for a laptop against ours: the same text, the same core, by turns; a matter of minutes."""

import statistics

import torch

from companion.data import shakespeare
from companion.language.ngrams import encode
from companion.text.gpt.pretraining import NANOGPT, race
from companion.text.modern_block import MODERN

SEEDS = (0, 1, 2)


def test_whole_recipe_against_nanogpt(benchmark) -> None:
    """Nats a character on plays that neither has seen, after nanoGPT's 2,000 steps and as much time of ours."""
    torch.set_num_threads(1)
    text = shakespeare("train").text
    alphabet = "".join(sorted(set(text)))
    known = set(alphabet)
    valid = "".join(c for c in shakespeare("valid").text if c in known)[:100_000]
    texts = encode(text, alphabet), encode(valid, alphabet)

    def races() -> list:
        return [race([NANOGPT, MODERN], *texts, len(alphabet), judgements=4, seed=seed) for seed in SEEDS]

    theirs, ours = zip(*benchmark.pedantic(races, rounds=1, iterations=1), strict=True)
    sizes = [sum(p.numel() for p in runs[0].model.parameters()) for runs in (theirs, ours)]
    assert sizes[1] <= sizes[0], sizes
    seconds = [statistics.median(run.seconds[-1] for run in runs) for runs in (theirs, ours)]
    assert seconds[1] < 1.1 * seconds[0], seconds
    nats = [statistics.median(run.valid[-1] for run in runs) for runs in (theirs, ours)]
    lower = [other.valid[-1] - own.valid[-1] for other, own in zip(theirs, ours, strict=True)]
    benchmark.extra_info.update(
        what="Shakespeare by the character, four million of them",
        against="nanoGPT's laptop recipe",
        wanted=0.2,
        lower=round(statistics.median(lower), 3),
        low=round(min(lower), 3),
        high=round(max(lower), 3),
        ours_nats=round(nats[1], 3),
        theirs_nats=round(nats[0], 3),
        ours_seconds=round(seconds[1]),
        theirs_seconds=round(seconds[0]),
    )
