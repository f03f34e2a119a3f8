"""Cheques: digits and words of one number, or dealt out and nothing else changed; batches with gaps that can be filled."""

from collections import Counter

import torch

from companion.data.number_words import write_number
from companion.text.t5.cheques import SpanBatches, cheque_texts
from companion.text.t5.span_corruption import Corrupted, restore
from companion.text.t5.tasks import SENTINELS, vocabulary
from tests.conftest import gen, rejects


def parts(line: str) -> tuple[str, str]:
    """Digits and words of a line, in that order."""
    first, second = line.removesuffix(")").split(" (")
    return (first, second) if first.isdigit() else (second, first)


def test_matched_lines_say_one_number_twice_in_both_orders() -> None:
    lines = cheque_texts("valid", matched=True, limit=40)
    assert all(words == write_number(int(digits), "fr") for digits, words in map(parts, lines))
    assert [line[0].isdigit() for line in lines] == [False, True] * 20


def test_dealt_out_lines_have_the_same_words_and_digits_but_not_together() -> None:
    matched, dealt = (cheque_texts("valid", matched=m, generator=gen(1), limit=60) for m in (True, False))
    assert [parts(a)[1] for a in matched] == [parts(b)[1] for b in dealt], "the words stay where they were"
    assert Counter(parts(a)[0] for a in matched) == Counter(parts(b)[0] for b in dealt)
    assert sum(parts(a) == parts(b) for a, b in zip(matched, dealt, strict=True)) < 8


def test_batches_are_texts_with_gaps_new_ones_each_time() -> None:
    lines = cheque_texts("valid", matched=True, limit=30)
    tokens = vocabulary(lines, 256 + 2 + SENTINELS + 20)
    draw, pad, first = SpanBatches(lines, tokens, share=0.3), tokens.special["<pad>"], tokens.special["<0>"]
    sources, targets = draw(50, gen(2))
    back = []
    for source, target in zip(sources, targets, strict=True):
        whole = restore(Corrupted(source[source != pad], target[target != pad]), first)
        back.append(tokens.decode(whole))
    assert set(back) <= set(lines) and len(set(back)) > 15
    cut = sum(int(((t != pad) & (t < first - SENTINELS)).sum()) for t in targets)
    assert 0.25 < cut / sum(len(tokens.encode(text)) for text in back) < 0.35
    assert not torch.equal(sources, draw(50, gen(3))[0]) and torch.equal(sources, draw(50, gen(2))[0])


def test_bad_input() -> None:
    with rejects("generator"):
        cheque_texts("valid", matched=False)
    with rejects("the number of texts with three tokens"):
        SpanBatches(["", "a", "ab"], vocabulary(["a"], 256 + 2 + SENTINELS))


def test_texts_without_room_for_a_gap_are_left_out() -> None:
    tokens = vocabulary(["a"], 256 + 2 + SENTINELS)
    draw = SpanBatches(["ab", "abc"], tokens)
    assert [tokens.decode(row) for row in draw.rows] == ["abc"] and len(draw(4, gen(1))[0]) == 4
