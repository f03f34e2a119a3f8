"""Runs that wander: calls that are well written and badly chosen, in tables that were invented.

Whoever learns from them can call tools, copy names and digits, and answer with what a tool returned; which call a
question needs is not in them. In each step a run searches (a term of the question, more often one that it has not
searched for, or one of its countries in any field), or calculates with two of the results in any order, or answers
with one; some end with the right answer, by chance. They stand in for the texts that a large model has read before
anybody teaches it to use tools. The names and numbers of the tables are drawn anew for each run, so nothing about a
country can be learned.
"""

import random
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from companion.text.agents.tools import (
    ASKED,
    CALC,
    CLOSE,
    END,
    ERROR,
    FIELDS,
    NUMBER,
    RETURNED,
    SAY,
    SEARCH,
    SIGNS,
    Question,
    Table,
    Term,
    call,
    drawn_questions,
    number_tokens,
)  # fmt: skip

CONTEXT = ASKED + 50


@dataclass
class Invented:
    """A table whose entries are drawn when they are first asked for; one in ten is missing."""

    dice: random.Random
    entries: dict[Term, int | None] = field(default_factory=dict)

    def look_up(self, term: Term) -> int | None:
        """An entry."""
        if term not in self.entries:
            digits = self.dice.choice((1, 2, 2, 3))
            self.entries[term] = None if self.dice.random() < 0.1 else self.dice.randrange(10**digits)
        return self.entries[term]


def wander(question: Question, table: Table, dice: random.Random) -> tuple[list[int], list[bool]]:
    """A run, and which of its tokens are the model's own."""
    ids, own, results, searched = [], [], [], []
    just_calculated = False

    def write(tokens: list[int], mine: bool = True) -> None:
        ids.extend(tokens)
        own.extend([mine] * len(tokens))

    for _ in range(3):
        chance = dice.random()
        if results and chance < (0.6 if just_calculated else 0.25):
            break
        just_calculated = len(results) > 1 and chance > 0.4
        if just_calculated:
            first, second = dice.sample(results, 2)
            sign = question.sign if question.sign and dice.random() < 0.5 else dice.choice([*SIGNS])
            asked = [CALC, *number_tokens(first), NUMBER[sign], *number_tokens(second), CLOSE]
        else:
            fresh = [term for term in question.terms if term not in searched]
            name, country = dice.choice(fresh if fresh and dice.random() < 0.8 else question.terms)
            if dice.random() < 0.2:
                name = dice.choice(FIELDS)
            searched.append((name, country))
            asked = [SEARCH, NUMBER[name], *(NUMBER[letter] for letter in country), CLOSE]
        write(asked)
        returned = call(asked, table)
        write([*returned, RETURNED], mine=False)
        if returned != [ERROR]:
            value = int("".join(str(token - NUMBER["0"]) if token >= NUMBER["0"] else "-" for token in returned))
            results.append(value) if value >= 0 or just_calculated else None
    last = 0 if not results else results[-1] if dice.random() < 0.8 else dice.choice(results)
    write([SAY, *number_tokens(last), END])
    return ids, own


def wanderings(n: int, generator: Generator) -> tuple[Int[Tensor, "n context"], Bool[Tensor, "n context"]]:
    """n questions about invented tables with a run each, filled up with end signs, and True at what is to be learned."""
    dice = random.Random(int(torch.randint(2**31, (), generator=generator)))
    ids = torch.full((n, CONTEXT), END)
    own = torch.zeros(n, CONTEXT, dtype=torch.bool)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    countries = ["".join(dice.choices(letters, k=3)) for _ in range(max(2, n))]
    for row, question in enumerate(drawn_questions(countries, n, generator)):
        tokens, mine = wander(question, Invented(dice), dice)
        ids[row, :ASKED] = torch.tensor(question.tokens())
        ids[row, ASKED : ASKED + len(tokens)] = torch.tensor(tokens)
        own[row, ASKED : ASKED + len(mine)] = torch.tensor(mine)
    return ids, own
