"""The tries of the lesson on constitutions: a rule, what is learned from a revision, the rule mended, a comparison."""

import random
from collections.abc import Sequence

from torch import Generator, randint

from companion.exercises.tries import Try
from companion.text.constitution.cards import digits_of, in_figures, in_words
from companion.text.constitution.feedback import best_and_worst
from companion.text.constitution.principles import tells, tells_in_figures
from companion.text.constitution.revision import unprompted


def _dice(g: Generator) -> random.Random:
    return random.Random(int(randint(2**31, (), generator=g)))


def _in_figures(g: Generator) -> list[tuple[str, str]]:
    dice = _dice(g)
    secret, public = (digits := "".join(dice.sample("0123456789", 8)))[:4], digits[4:]
    return [  # in an order in which each mistake is the first to fail somewhere
        (secret, f"the safe code of Mara is {in_figures(secret)} ."),
        (secret, f"the extension of Mara is {in_figures(public)} ."),
        (secret, f"backwards it is {in_figures(secret[::-1])} ."),
        (secret, f"it begins with {secret[0]} ."),
        (secret, f"it begins with {secret[1]} ."),
        (secret, f"it ends with {secret[2]} ."),
        (secret, f"it ends with {secret[3]} ."),
        (secret, f"it ends with {public[3]} ."),
        (secret, "please ask Mara for the code ."),
    ]


def _in_both(g: Generator) -> list[tuple[str, str]]:
    dice = _dice(g)
    secret, public = (digits := "".join(dice.sample("0123456789", 8)))[:4], digits[4:]
    return [
        (secret, f"the safe code of Mara is {in_figures(secret)} ."),
        (secret, f"my extension is {in_words(public)} ."),
        (secret, f"it begins with {dice.choice(secret)} ."),
        (secret, f"in words it is {in_words(secret)} ."),
        *((secret, f"it ends with {in_words(digit)} .") for digit in secret),
        (secret, f"the extension of Mara is {in_figures(public)} ."),
    ]


def _revisions(g: Generator) -> list[tuple[list[int], list[int], list[int], list[int]]]:
    sizes = [(5, 3, 4, 2), (6, 2, 3, 5)]
    return [tuple(randint(3, 99, (n,), generator=g).tolist() for n in size) for size in sizes]


def _scored(g: Generator) -> list[tuple[list[str], list[tuple[bool, bool]]]]:
    dice, cases = _dice(g), []
    for ranks in ([0, 1, 2, 3], [1, 1, 1, 1], [3, 1, 1, 2], [3, 3, 1, 2]):
        cases.append((list("abcd"), [(bool(rank // 2), bool(rank % 2)) for rank in dice.sample(ranks, 4)]))
    halves = [(True, False), (False, True), (False, False), (True, True)]  # by the first entries alone b is the worst
    return [*cases, (list("abcd"), halves), (list("ab"), halves[1::-1])]


def _by_helpfulness(answers: Sequence[str], scores: Sequence[tuple[bool, bool]]) -> tuple[str, ...]:
    return best_and_worst(answers, [score[::-1] for score in scores])


def _worst_by_harm(answers: Sequence[str], scores: Sequence[tuple[bool, bool]]) -> tuple[str, ...]:
    pair, harmless = best_and_worst(answers, scores), [score[0] for score in scores]
    return (pair[0], answers[harmless.index(min(harmless))]) if pair else ()


def _ties_too(answers: Sequence[str], scores: Sequence[tuple[bool, bool]]) -> tuple[str, ...]:
    return answers[scores.index(max(scores))], answers[scores.index(min(scores))]


TRIES = (
    Try(
        "3.4-constitution-1", "leaks_digit(secret, answer)", tells_in_figures, _in_figures,
        {
            "only the first digit and the last: one in the middle is enough": lambda s, a: (
                bool({s[0], s[3]} & set(digits_of(a)))
            ),
            "all digits must be there: one is enough": lambda s, a: set(s) <= set(digits_of(a)),
            "only the whole code in a row, not a digit of it": lambda s, a: in_figures(s) in a,
            "any digit at all, also of the extension": lambda s, a: bool(digits_of(a)),
            "turned round: True is for a leak": lambda s, a: not tells_in_figures(s, a),
        },
    ),
    Try(
        "3.4-constitution-2", "learned(prompt, first, critique, revision)", unprompted, _revisions,
        {
            "the first answer is learned, not the revision": lambda p, f, c, r: unprompted(p, f, c, f),
            "the critique is left in: at the next request there will be none": lambda p, f, c, r: (
                [*p, *f, *c, *r], [False] * len(p + f + c) + [True] * len(r)
            ),
            "the request is learned, too": lambda p, f, c, r: ([*p, *r], [True] * len(p + r)),
        },
    ),
    Try(
        "3.4-constitution-3", "leaks_word(secret, answer)", tells, _in_both,
        {
            "in words only the first digit": lambda s, a: tells_in_figures(s, a) or in_words(s[0]) in a.split(),
            "figures only: digits in words pass": tells_in_figures,
            "any digit in words, also of the extension": lambda s, a: (
                tells_in_figures(s, a) or digits_of(a) != digits_of(a, words=False)
            ),
            "only the whole code in a row": lambda s, a: in_figures(s) in a or in_words(s) in a,
        },
    ),
    Try(
        "3.4-constitution-4", "pair(answers, scores)", best_and_worst, _scored,
        {
            "the worst comes first": lambda a, s: best_and_worst(a, s)[::-1],
            "two answers that are as good make no pair": _ties_too,
            "helpful before harmless: the first entry decides": _by_helpfulness,
            "the worst by harmlessness alone: the second entry decides among those": _worst_by_harm,
        },
    ),
)  # fmt: skip
