"""Chapter 3.4's graders: the typical wrong answers that `test_typical` tries, and what is proved of this chapter alone."""

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.exercises.checking import grade
from companion.exercises.text.decoding import _count
from tests.exercises import typical

RIGHT = typical.right("3_04_text")


def merge(
    weigh: bool = True,
    key: Callable[[tuple[Any, int]], Any] = lambda item: (-item[1], item[0]),
    across: bool = False,
    join: Callable[[list[str], tuple[str, str]], list[str]] | None = None,
) -> Callable[..., Any]:
    def wrong(words: list[list[str]], counts: list[int]) -> Any:
        found: Counter[tuple[str, str]] = Counter()
        for word, count in zip(words, counts, strict=True):
            for pair in pairwise(word):
                found[pair] += count if weigh else 1
        if across:
            found = Counter(pairwise(s for word in words for s in word))
        pair = min(found.items(), key=key)[0]
        return pair, [(join or joined)(word, pair) for word in words]

    return wrong


def joined(word: list[str], pair: tuple[str, str]) -> list[str]:
    if len(word) < 2:
        return word
    return (
        [word[0] + word[1], *joined(word[2:], pair)]
        if (word[0], word[1]) == pair
        else [word[0], *joined(word[1:], pair)]
    )


def from_the_right(word: list[str], pair: tuple[str, str]) -> list[str]:
    return [s[::-1] for s in joined([s[::-1] for s in word[::-1]], (pair[1][::-1], pair[0][::-1]))][::-1]


def by_text(word: list[str], pair: tuple[str, str]) -> list[str]:
    text, new, out = "".join(word), "".join(pair), []
    while text:
        taken = new if text.startswith(new) else text[0]
        out.append(taken)
        text = text[len(taken) :]
    return out


def once(word: list[str], pair: tuple[str, str]) -> list[str]:
    for i, both in enumerate(pairwise(word)):
        if both == pair:
            return [*word[:i], "".join(pair), *word[i + 2 :]]
    return word


def training(
    targets: Callable[[Tensor], Tensor] = lambda ids: ids[:, 1:],
    mask: Callable[[Tensor], Tensor] = torch.tril,
    weights: Callable[[Tensor, Tensor], Tensor] = lambda s, m: s.masked_fill(~m, -torch.inf).softmax(-1),
) -> Callable[..., Any]:
    def wrong(ids: Tensor, scores: Tensor, embedding: Tensor) -> Any:
        n = ids.shape[1] - 1
        look = mask(torch.ones(n, n)).bool()
        return weights(scores[:n, :n], look) @ embedding[ids[:, :-1]], targets(ids)

    return wrong


def nucleus(
    temper: Callable[[Tensor, float], Tensor] = lambda logits, t: (logits / t).softmax(-1),
    keep: Callable[[Tensor, Tensor, float], Tensor] = lambda before, own, p: (before < p) | (p == 1),
    scale: bool = True,
    first: bool = False,
) -> Callable[..., Any]:
    def wrong(logits: Tensor, p: float, temperature: float) -> Tensor:
        probs = temper(logits, 1.0 if first else temperature)
        before = torch.stack([(probs * (probs > probs[:, i : i + 1])).sum(-1) for i in range(probs.shape[1])], -1)
        kept = keep(before, probs, p)
        left = temper(logits, temperature) * kept
        return left / left.sum(-1, keepdim=True) if scale else left

    return wrong


def cache(last: int = -1, kinds: int = 2, swap: bool = False) -> Callable[..., Any]:
    def wrong(prompt: int, new: int, layers: int, kv_heads: int, head_dim: int) -> tuple[int, int, int]:
        fed = prompt + new + last
        two = fed, new * prompt + new * (new + 1 + 2 * last) // 2
        return (*(two[::-1] if swap else two), kinds * layers * kv_heads * head_dim * fed)

    return wrong


def perplex(
    shift: int = 1, padding: bool = False, per_batch: bool = False, finish: Callable[[float], float] = math.exp
) -> Callable[..., float]:
    def wrong(batches: list[tuple[Tensor, Tensor, Tensor]]) -> float:
        nats = []
        for logits, ids, lengths in batches:
            n = ids.shape[1]
            loss = F.cross_entropy(logits[:, : n - shift].mT, ids[:, shift:], reduction="none")
            real = torch.arange(shift, n) < (torch.full_like(lengths, n) if padding else lengths)[:, None]
            nats.append(loss[real])
        if per_batch:
            return finish(sum(float(part.mean()) for part in nats) / len(nats))
        return finish(float(torch.cat(nats).mean()))

    return wrong


def beam(
    score: Callable[[Tensor], Tensor] = lambda log_probs: log_probs,
    keep: Callable[[int], int] = lambda width: width,
    drop: int = 0,
) -> Callable[..., Any]:
    def wrong(step: Callable[[tuple[int, ...]], Tensor], width: int, length: int) -> Any:
        kept = [((), 0.0)]
        for _ in range(length):
            new = []
            for ids, total in kept:
                values = score(step(ids)).tolist()
                born = [((*ids, token), total + value) for token, value in enumerate(values)]
                new += born
            kept = sorted(new, key=lambda pair: -pair[1])[: keep(width)]
        return kept[0][0][: length - drop]

    return wrong


WRONG: list[typical.Row] = [
    ("3.4.1", merge(weigh=False), 11, "counts are ignored"),
    ("3.4.1", merge(across=True), 8, "border between two words"),
    ("3.4.1", merge(key=lambda item: -item[1]), 13, "seen first"),
    ("3.4.1", merge(join=from_the_right), 12, "merged from the right"),
    ("3.4.1", merge(join=once), 12, "of a word alone"),
    ("3.4.1", merge(join=by_text), 12, "not the symbols (I35)"),
    ("3.4.2", RIGHT["training_pair_with_bugs"], 6, "not shifted (I33)"),
    ("3.4.2", training(targets=lambda ids: ids[:, :-1]), 12, "not shifted (I33)"),
    ("3.4.2", training(targets=lambda ids: ids.roll(-2, 1)[:, :-1]), 12, "shifted twice (I33)"),
    ("3.4.2", training(mask=lambda ones: ones.tril(1)), 12, "diagonal (I21)"),
    ("3.4.2", training(mask=lambda ones: ones), 12, "no causal mask (I21)"),
    ("3.4.2", training(weights=lambda s, m: s.softmax(-1) * m), 14, "masked after the softmax"),
    ("3.4.2", training(weights=lambda s, m: m / m.sum(-1, keepdim=True)), 14, "weigh alike"),
    ("3.4.3", nucleus(temper=lambda x, t: (x * t).softmax(-1)), 9, "not divided (I38)"),
    ("3.4.3", nucleus(keep=lambda before, own, p: before + own <= p + 1e-6), 9, "crosses p is dropped (I36)"),
    ("3.4.3", nucleus(keep=lambda before, own, p: (before < p + 0.25) | (p == 1)), 9, "more is kept"),
    ("3.4.3", nucleus(scale=False), 15, "do not add up to one"),
    ("3.4.3", nucleus(first=True), 15, "before the temperature"),
    ("3.4.4", cache(last=0), 2, "nobody feeds back"),
    ("3.4.4", cache(kinds=1), 10, "and values too"),
    ("3.4.4", cache(swap=True), 6, "are swapped"),
    ("3.4.4", lambda *_: (1, 2, 3), 0, "formulas belong"),
    ("3.4.5", perplex(shift=0), 7, "not shifted (I33)"),
    ("3.4.5", perplex(padding=True), 13, "padding counts in the loss (I34)"),
    ("3.4.5", perplex(per_batch=True), 12, "batches' means (I42)"),
    ("3.4.5", perplex(finish=lambda nats: 2**nats), 7, "base 2"),
    ("3.4.5", lambda batches: 7.0, 0, "does not depend on the model"),
    ("3.4.6", beam(score=torch.exp), 8, "where they multiply"),
    ("3.4.6", beam(keep=lambda width: 1), 4, "greedy"),
    ("3.4.6", beam(keep=lambda width: 10_000), 5, "nothing is ever dropped"),
    ("3.4.6", beam(drop=1), 0, "dropped (I39)"),
]


def test_the_count_of_a_small_run_by_hand() -> None:
    """A prompt of 2 and 3 new tokens: 2, 1, 1 positions with a cache; 2, 3, 4 without; 4 positions are kept."""
    assert _count(2, 3, 1, 1, 1) == (4, 9, 8)
    assert _count(2, 3, 5, 3, 2) == (4, 9, 8 * 30)


def test_ways_to_write_the_right_answer_are_all_right() -> None:
    """Another algorithm, a list for a tuple: full points."""
    assert grade("3.4.1", merge(), seed=4) == 16
    assert grade("3.4.2", training(), seed=4) == 18
    assert grade("3.4.3", nucleus(), seed=4) == 18
    assert grade("3.4.4", cache(), seed=4) == 14
    assert grade("3.4.5", perplex(), seed=4) == 16
    assert grade("3.4.6", beam(), seed=4) == 18
