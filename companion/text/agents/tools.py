"""Questions about a table, and two tools to answer them with: a search and a calculator.

A question asks for one entry of the table, for the sum of two fields of a country, or for the difference of two
countries in a field. What is written after it is a *run*: calls, what the tools returned, and in the end an answer:

    wind DEU + solar DEU ?  search( wind DEU ) 2 7 ;  search( solar DEU ) 1 2 ;  calc( 2 7 + 1 2 ) 3 9 ;  say 3 9 .

The model writes names of tools, letters, digits and signs; what stands from a closing bracket to the semicolon the
tools have written. A search for what the table does not have, or a calculation of what are no two numbers, returns
``!``.
"""

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Int
from torch import Generator, Tensor

from companion.data.energy_mix import Grid, Mix
from companion.training.random import randint
from companion.validate import Count, checked

FIELDS = ("grams", "hydro", "wind", "solar", "coal", "gas")
TOKENS = (
    "·",
    ".",
    "?",
    "!",
    ";",
    ")",
    "+",
    "-",
    "search(",
    "calc(",
    "say",
    *FIELDS,
    *"0123456789",
    *"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
)
NUMBER = {token: i for i, token in enumerate(TOKENS)}
BLANK, END, ASKS, ERROR, RETURNED, CLOSE = range(6)
SEARCH, CALC, SAY = (NUMBER[token] for token in ("search(", "calc(", "say"))
ASKED = 10  # tokens of a question: two terms of four, a sign, and ?
SIGNS = {"+": operator.add, "-": operator.sub}
Term = tuple[str, str]  # a field and a country's three letters


@runtime_checkable
class Table(Protocol):
    """Where a search looks."""

    def look_up(self, term: Term) -> int | None:
        """An entry; None where there is none."""
        ...


@dataclass(frozen=True)
class Question:
    """What is asked: one term, or two with a sign between them."""

    terms: tuple[Term, ...]
    sign: str = ""

    def tokens(self) -> list[int]:
        """As a model reads it, filled up in front."""
        text = _term(self.terms[0]) if not self.sign else [*_term(self.terms[0]), self.sign, *_term(self.terms[1])]
        return [BLANK] * (ASKED - 1 - len(text)) + [NUMBER[token] for token in (*text, "?")]


class Energy:
    """The table of the energy mix: grams of CO2 equivalents a kilowatt-hour, and the per cent that some sources gave.

    Args:
        grids: from `companion.data.energy_mix.national_grids`.
        mixes: from `companion.data.energy_mix.national_mixes`; only countries of both are in the table.
    """

    def __init__(self, grids: Sequence[Grid], mixes: Sequence[Mix]) -> None:
        grams = {grid.code: round(grid.grams_per_kwh) for grid in grids}
        self.entries = {
            (field, mix.code): grams[mix.code] if field == "grams" else dict(mix.shares).get(field, 0)
            for mix in mixes
            if mix.code in grams
            for field in FIELDS
        }
        self.countries = sorted({code for _, code in self.entries})

    def look_up(self, term: Term) -> int | None:
        """An entry of the table."""
        return self.entries.get(term)

    def questions(self, n: int, countries: Sequence[str], generator: Generator) -> list[Question]:
        """n questions about some of the countries, none of them about an entry that is 0."""
        found: list[Question] = []
        while len(found) < n:
            drawn = drawn_questions(countries, n, generator)
            found += [question for question in drawn if all(self.look_up(term) for term in question.terms)]
        return found[:n]


@checked
def drawn_questions(countries: Sequence[str], n: Count, generator: Generator) -> list[Question]:
    """n questions about some countries: one in five about a single entry, two about a sum, two about a difference."""
    found = []
    for kind, first, second, here, there in zip(
        *(randint(high, (n,), generator, device="cpu").tolist() for high in (5, 6, 5, len(countries), len(countries) - 1)),
        strict=True,
    ):  # fmt: skip
        field, country = FIELDS[first], countries[here]
        if kind == 0:
            found.append(Question(((field, country),)))
        elif kind < 3:
            shares = [name for name in FIELDS[1:] if name != field]
            found.append(Question(((field if first else "gas", country), (shares[second % 4], country)), "+"))
        else:
            other = countries[there + (there >= here)]
            found.append(Question(((field, country), (field, other)), "-"))
    return found


def answer(question: Question, table: Table) -> int | None:
    """The right answer; None where the table lacks an entry."""
    values = [table.look_up(term) for term in question.terms]
    if None in values:
        return None
    return SIGNS[question.sign](*values) if question.sign else values[0]


def call(tokens: Sequence[int], table: Table) -> list[int]:
    """What a tool returns for a call, from its name to the closing bracket: a number's tokens, or ``!``."""
    name, *text, _ = (TOKENS[i] for i in tokens)
    value = (
        _calculated("".join(text)) if name == "calc(" else table.look_up((text[0] if text else "", "".join(text[1:])))
    )
    return [ERROR] if value is None else number_tokens(value)


def number_tokens(value: int) -> list[int]:
    """A whole number, digit by digit."""
    return [NUMBER[digit] for digit in str(value)]


def said(tokens: Sequence[int]) -> int | None:
    """The number that a model's own tokens give as their answer, or None: the last ``say``, digits, and the end."""
    text = [TOKENS[i] for i in tokens]
    before, end, _ = "".join(text).partition(".")
    number = before.rpartition("say")[2] if "say" in before else ""
    return int(number) if end and number.removeprefix("-").isdecimal() else None


def spelled(tokens: Sequence[int] | Int[Tensor, "n"]) -> str:
    """Tokens as a text, up to the first end sign."""
    text = [TOKENS[int(i)] for i in tokens]
    text = text[: text.index(".") + 1] if "." in text else text
    joined = " ".join(token for token in text if token != "·")
    return re.sub(r"(?<=\b[A-Z0-9]) (?=[A-Z0-9]\b)", "", joined)


def _calculated(text: str) -> int | None:
    for sign, operation in SIGNS.items():
        first, found, second = text.partition(sign)
        if found and first.isdecimal() and second.isdecimal():
            return operation(int(first), int(second))
    return None


def _term(term: Term) -> list[str]:
    field, country = term
    return [field, *country]
