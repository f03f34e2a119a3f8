"""A table's row in words: rows and sentences as tokens, templates, and a check of every number that a sentence says.

A row reads  <name> N o r w a y <twh> 1 5 4 <share> hydro 8 9 <share> wind 1 0 …  with names and numbers spelled, and a sentence
is made of words, letters and digits. The course's own templates make the sentences to learn from, three for countries with two sources
or more and one for those with a single one. A sentence is then read back: each number and each name in it must be the
table's, and stand at its place (`checked_sentence`). That tables and sentences can be compared fact by fact is from Wiseman et al.,
"Challenges in Data-to-Document Generation", 2017, arXiv:1707.08052.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from companion.data.energy_mix import Mix, SOURCES
from companion.text.t5.text_to_text import END, padded
from companion.training.random import randint
from companion.validate import checked

TEMPLATES = (
    "{name} made {twh} TWh , {a} % of it from {A} and {b} % from {B} .",
    "{A} gave {a} % of the {twh} TWh of {name} , {B} gave {b} % .",
    "Of {twh} TWh in {name} , {a} % came from {A} and {b} % from {B} .",
)
SINGLE = "{name} made {twh} TWh , {a} % of it from {A} ."
_WORDS = sorted({word for text in (*TEMPLATES, SINGLE) for word in text.split() if not word.startswith("{")})
_FIELDS = ("<pad>", "<end>", "<name>", "<twh>", "<share>")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz '-()_"
VOCABULARY = (*_FIELDS, *SOURCES, *(word for word in _WORDS if len(word) > 1), *",.%", *"0123456789", *_LETTERS)
_PLACE = {token: i for i, token in enumerate(VOCABULARY)}


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a sentence.

    Attributes:
        form: it has the form of one of the templates.
        invented: numbers that the row does not have.
        misplaced: numbers that the row has, and that are said of something else.
        name: the country is the row's.
        sources: so are the sources, in their order.
        numbers: how many the sentence has.
    """

    form: bool
    invented: int
    misplaced: int
    name: bool
    sources: bool
    numbers: int

    @property
    def right(self) -> bool:
        """Nothing is wrong."""
        return self.form and self.name and self.sources and not self.invented and not self.misplaced


def terawatt_hours(mix: Mix) -> str:
    """The total as rows and sentences write it: one decimal below a hundred, else none."""
    return f"{mix.twh:.1f}" if mix.twh < 100 else f"{mix.twh:.0f}"


def sentence(mix: Mix, template: int) -> str:
    """A country's sentence by one of the three templates; by the fourth if it has a single source."""
    (first, share), *rest = mix.shares
    values = {"name": mix.country, "twh": terawatt_hours(mix), "A": first, "a": share}
    if not rest:
        return SINGLE.format(**values)
    return TEMPLATES[template].format(**values, B=rest[0][0], b=rest[0][1])


def row_tokens(mix: Mix) -> list[int]:
    """A country's row."""
    tokens = ["<name>", *_spelled(mix.country), "<twh>", *terawatt_hours(mix)]
    for source, share in mix.shares:
        tokens += ["<share>", source, *str(share)]
    return [_PLACE[token] for token in tokens]


def sentence_tokens(mix: Mix, template: int) -> list[int]:
    """A country's sentence, with the end token."""
    text = sentence(mix, template).replace(mix.country, "\0")
    tokens: list[str] = []
    for word in text.split():
        if word == "\0":
            tokens += _spelled(mix.country)
        elif word in _PLACE:
            tokens.append(word)
        else:
            tokens += word
    return [*(_PLACE[token] for token in tokens), END]


def spelled(ids: Sequence[int] | Int[Tensor, "tokens"]) -> str:
    """Tokens as a text: letters and digits are joined to what stands before them, words stand apart."""
    text = ""
    for i in ids:
        token = VOCABULARY[int(i)]
        single = len(token) == 1 and token not in ",%"
        text += token if single and (text[-1:].isdigit() or token != ".") and _joins(text, token) else f" {token}"
    return text.replace("_", " ").strip()


def _joins(text: str, token: str) -> bool:
    """Does a letter or digit go on with the word or number before it? A capital after a small letter begins a word."""
    last = text.rsplit(" ", 1)[-1]
    if token.isdigit() or token == ".":
        return bool(re.fullmatch(r"[\d.]+", last))
    return bool(last) and last not in _WORDS and last not in SOURCES and not last[-1].isdigit()


def _spelled(name: str) -> list[str]:
    """A name letter by letter; a blank within it is written _."""
    return list(name.replace(" ", "_"))


_FORMS = [
    re.compile(
        "^" + re.escape(text).replace(r"\{", "{").replace(r"\}", "}").format(
            name=r"(?P<name>.+?)", twh=r"(?P<twh>[\d.]+)", A=r"(?P<A>\w+)", B=r"(?P<B>\w+)", a=r"(?P<a>[\d.]+)", b=r"(?P<b>[\d.]+)"
        ) + "$"
    )
    for text in (*TEMPLATES, SINGLE)
]  # fmt: skip


def checked_sentence(text: str, mix: Mix) -> Verdict:
    """Hold a sentence against its row."""
    table = {terawatt_hours(mix), *(str(share) for _, share in mix.shares)}
    numbers = re.findall(r"\d[\d.]*\d|\d", text)
    invented = sum(number not in table for number in numbers)
    match = next((m for m in (form.match(text) for form in _FORMS) if m), None)
    if match is None:
        return Verdict(False, invented, 0, mix.country in text, False, len(numbers))
    said = match.groupdict()
    shares = {source: str(share) for source, share in mix.shares}
    told = [(said["twh"], terawatt_hours(mix)), (said["a"], shares.get(said["A"]))]
    order = [said["A"] == mix.shares[0][0]]
    if "B" in said:
        told.append((said["b"], shares.get(said["B"])))
        order.append(len(mix.shares) > 1 and said["B"] == mix.shares[1][0])
    misplaced = sum(number in table and number != wanted for number, wanted in told)
    return Verdict(True, invented, misplaced, said["name"] == mix.country, all(order), len(numbers))
