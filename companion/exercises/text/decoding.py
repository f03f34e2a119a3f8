"""The checks of exercises 3.4.3, 3.4.4 and 3.4.6: temperature with top-p, what a cache saves, and beam search.

A nucleus is judged by its definition, beam search by enumeration of every sequence, and the cache by counting. Ids such as
I36 are those of the course's list of known mistakes.
"""

import math
from collections.abc import Callable
from itertools import product

import torch
from torch import Generator, Tensor

from companion.exercises.answers import Answer, Wrong, plain
from companion.exercises.checking import Exercise, Property, compare, compare_numbers, depends_on, same, sizes

_Step = Callable[[tuple[int, ...]], Tensor]


def _kept(answer: Answer, logits: Tensor, p: float, temperature: float) -> Tensor:
    result = answer(logits, p, temperature)
    if isinstance(result, Tensor) and result.is_floating_point() and result.isnan().any() and p < 1:
        raise Wrong(f"with p = {p:g} no token is left: got NaN", "the token that crosses p is dropped (I36)")
    return answer.tensor(logits, p, temperature, shape=tuple(logits.shape))


def _temperature(answer: Answer, g: Generator) -> str:
    batch, vocab = sizes(g, 2, low=4)
    logits, said = 2 * torch.randn(batch, vocab, generator=g), ""
    for temperature in (0.6, 1.7):
        mistakes = {
            "multiplied by the temperature, not divided (I38)": (logits * temperature).softmax(-1),
            "the temperature is ignored": logits.softmax(-1),
            "softmax over the batch": (logits / temperature).softmax(0),
        }
        said = compare(_kept(answer, logits, 1.0, temperature), (logits / temperature).softmax(-1), mistakes)
    return said


def _judge_set(probs: Tensor, kept: Tensor, p: float) -> str:
    """Whether each row keeps the fewest tokens whose mass reaches p, and these the likeliest."""
    for row, keeps in zip(probs, kept, strict=True):
        if not keeps.any():
            raise Wrong("no token is left", "the token that crosses p is dropped (I36)")
        inside = row[keeps]
        if (~keeps).any() and inside.min() < row[~keeps].max():
            raise Wrong("an unlikely token is kept and a likelier one is not", "not put back from sorted order")
        if float(inside.sum()) < p - 1e-6:
            raise Wrong(f"the kept tokens have less than p = {p:g}", "the token that crosses p is dropped (I36)")
        if len(inside) > 1 and float(inside.sum() - inside.min()) >= p + 1e-6:
            raise Wrong(f"{len(inside)} tokens are kept where fewer reach p = {p:g}", "more is kept than reaches p")
    return "the fewest tokens that reach p"


def _set(answer: Answer, g: Generator) -> str:
    batch, vocab = sizes(g, 2, low=5)
    logits, said = 2 * torch.randn(batch, vocab, generator=g), ""
    for p in (1e-3, 0.35, 0.6, 0.8, 0.95):
        said = _judge_set(logits.softmax(-1), _kept(answer, logits, p, 1.0) > 0, p)
    if not (_kept(answer, logits, 1.0, 1.0) > 0).all():
        raise Wrong("with p = 1 tokens are missing", "rounding: p = 1 must keep all")
    return said


def _renormalised(answer: Answer, g: Generator) -> str:
    batch, vocab = sizes(g, 2, low=5)
    logits = 0.7 * torch.randn(batch, vocab, generator=g)
    got, probs = _kept(answer, logits, 0.7, 1.0), logits.softmax(-1)
    inside = torch.where(got > 0, probs, 0.0)
    return compare(got, inside / inside.sum(-1, keepdim=True), {"the kept ones do not add up to one": inside})


def _together(answer: Answer, g: Generator) -> str:
    batch, vocab = sizes(g, 2, low=6, high=12)
    logits = 2 * torch.randn(batch, vocab, generator=g)
    for temperature in (0.4, 2.5):
        kept = _kept(answer, logits, 0.7, temperature) > 0
        try:
            _judge_set((logits / temperature).softmax(-1), kept, 0.7)
        except Wrong as wrong:
            mistake = wrong.mistake if "(I36)" in wrong.mistake else ""
            try:
                _judge_set(logits.softmax(-1), kept, 0.7)
                mistake = "the nucleus is chosen before the temperature"
            except Wrong:
                pass
            raise Wrong(wrong.what, mistake) from wrong
    return "the nucleus of the tempered distribution"


def _count(prompt: int, new: int, layers: int, heads: int, width: int) -> tuple[int, int, int]:
    """Generate for show: what passes through the network with and without a cache, and the numbers that are kept."""
    length, cached, with_cache, without = prompt, 0, 0, 0
    for _ in range(new):
        with_cache += length - cached
        without += length
        cached, length = length, length + 1
    return with_cache, without, sum(cached * width for _ in range(layers) for _ in range(heads) for _ in ("k", "v"))


def _runs(g: Generator) -> list[tuple[int, int, int, int, int]]:
    draw = torch.rand(2, 5, generator=g)
    return [tuple((torch.tensor([20, 30, 3, 2, 8]) * (1 + row)).int().tolist()) for row in draw]  # type: ignore[misc]


def _cache(which: int) -> Callable[[Answer, Generator], str]:
    def test(answer: Answer, g: Generator) -> str:
        for run in _runs(g):
            prompt, new, layers, heads, width = run
            wanted = _count(*run)
            end = prompt + new
            mistakes = (
                {
                    "the prompt is forgotten": new,
                    "the last new token is counted, which nobody feeds back": end,
                    "with and without a cache are swapped": wanted[1],
                },
                {
                    "with and without a cache are swapped": wanted[0],
                    "the prompt is read once": prompt + new * (new + 1) // 2,
                    "every step is counted at full length": new * end,
                    "the last new token is counted, which nobody feeds back": new * prompt + new * (new + 1) // 2,
                },
                {
                    "keys are kept, and values too": wanted[2] // 2,
                    "the last new token is counted, which nobody feeds back": 2 * layers * heads * width * end,
                    "each layer has a cache of its own": wanted[2] // layers,
                    "each head has keys and values of its own": wanted[2] // heads,
                },
            )[which]
            got = answer.numbers(*run, count=3)[which]
            try:
                compare_numbers(got, wanted[which], mistakes, rel=1e-9)
            except Wrong as wrong:
                raise Wrong(f"not what is counted for prompt {prompt}, new {new}", wrong.mistake) from wrong
        return "exactly"

    return test


class _Tree:
    """A model over a few tokens, every sequence of which can be listed."""

    def __init__(self, g: Generator, vocab: int, length: int) -> None:
        self.vocab, self.length = vocab, length
        self.table: dict[tuple[int, ...], Tensor] = {}
        self.score: dict[tuple[int, ...], float] = {(): 0.0}
        self.added: dict[tuple[int, ...], float] = {(): 0.0}  # what adding probabilities would give
        for n in range(length):
            rows = (1.5 * torch.randn(vocab**n, vocab, generator=g)).log_softmax(-1)
            for ids, row, values in zip(product(range(vocab), repeat=n), rows, rows.tolist(), strict=True):
                self.table[ids] = row
                for token, log_prob in enumerate(values):
                    self.score[(*ids, token)] = self.score[ids] + log_prob
                    self.added[(*ids, token)] = self.added[ids] + math.exp(log_prob)

    def __call__(self, ids: tuple[int, ...]) -> Tensor:
        return self.table[tuple(int(i) for i in ids)].clone()

    def every(self) -> list[tuple[int, ...]]:
        return list(product(range(self.vocab), repeat=self.length))

    def best(self, width: int, score: dict[tuple[int, ...], float] | None = None) -> tuple[int, ...]:
        """The best of those sequences all of whose beginnings are among the best ``width`` of their length."""
        score = score or self.score
        alive: list[tuple[int, ...]] = [()]
        for _ in range(self.length):
            born = [(*ids, token) for ids in alive for token in range(self.vocab)]
            alive = sorted(born, key=lambda ids: -score[ids])[:width]
        return alive[0]


def _found(answer: Answer, step: _Step, width: int, length: int) -> tuple[int, ...]:
    result = plain(answer(step, width, length))
    if not isinstance(result, (tuple, list)) or not all(isinstance(token, int) for token in result):
        raise Wrong(f"got {str(result)[:60]}, wanted the {length} tokens of the best sequence")
    if len(result) != length:
        raise Wrong(f"got {len(result)} tokens, wanted {length}", "the last token is dropped (I39)")
    return tuple(result)


def _beam_greedy(answer: Answer, g: Generator) -> str:
    said, cases = "", 0
    while cases < 2:
        tree = _Tree(g, 4, 4)
        if tree.best(1) != tree.best(2):
            cases += 1
            said = same(_found(answer, tree, 1, 4), tree.best(1), {"the beam is wider than asked": tree.best(2)})
    return said


def _beam_all(answer: Answer, g: Generator) -> str:
    said, cases = "", 0
    while cases < 3:
        tree = _Tree(g, 3, 4)
        every = tree.every()
        best, most = (max(every, key=lambda ids: score[ids]) for score in (tree.score, tree.added))
        if len({best, most, tree.best(1)}) < 3:
            continue
        cases += 1
        mistakes = {
            "probabilities are added, where they multiply": most,
            "the least likely sequence": min(every, key=lambda ids: tree.score[ids]),
            "the likeliest next token at each step, which is greedy": tree.best(1),
        }
        said = same(_found(answer, tree, 81, 4), best, mistakes)
    return said


def _beam_width(answer: Answer, g: Generator) -> str:
    while True:
        tree = _Tree(g, 4, 4)
        narrow, wanted, added = tree.best(1), tree.best(2), tree.best(2, tree.added)
        if len({narrow, wanted, added}) == 3 and (wide := tree.best(256)) not in (narrow, wanted):
            break
    mistakes = {
        "nothing is ever dropped from the beam": wide,
        "the likeliest next token at each step, which is greedy": narrow,
        "probabilities are added, where they multiply": added,
        "one sequence too many is kept": tree.best(3),
    }
    return same(_found(answer, tree, 2, 4), wanted, mistakes)


def _beam_cost(answer: Answer, g: Generator) -> str:
    tree, calls = _Tree(g, 4, 5), []

    def step(ids: tuple[int, ...]) -> Tensor:
        calls.append(tuple(ids))
        return tree(ids)

    _found(answer, step, 2, 5)
    if len(calls) > 1 + 2 * 4:
        raise Wrong(
            f"step was called {len(calls)} times, wanted at most 9", "beginnings that were dropped are continued"
        )
    if len(calls) < 1 + 2 * 4:
        raise Wrong(f"step was called {len(calls)} times, wanted 9", "fewer than two beginnings are continued")
    return "step was called 9 times"


EXERCISES = (
    Exercise(
        "3.4.3",
        "nucleus(logits, p, temperature)",
        (
            Property("the temperature by itself", 6, _temperature),
            Property("which tokens are kept", 6, _set),
            Property("their probabilities", 3, _renormalised),
            Property("temperature and nucleus together", 3, _together),
        ),
    ),
    Exercise(
        "3.4.4",
        "predict(prompt, new, layers, kv_heads, head_dim)",
        (
            Property("three numbers that depend on the run", 2, depends_on(_runs, 3)),
            Property("positions computed with a cache", 4, _cache(0), after=True),
            Property("positions computed without one", 4, _cache(1), after=True),
            Property("numbers in the cache at the end", 4, _cache(2), after=True),
        ),
    ),
    Exercise(
        "3.4.6",
        "beam_search(step, width, length)",
        (
            Property("a beam of width 1", 4, _beam_greedy),
            Property("a beam wide enough for everything", 5, _beam_all),
            Property("a beam of width 2", 5, _beam_width),
            Property("how often the model is asked", 4, _beam_cost),
        ),
    ),
)
