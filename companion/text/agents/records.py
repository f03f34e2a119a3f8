"""A table's row in words: rows and sentences as tokens, templates, and a check of every number that a sentence says.

A row reads <name> <twh> 1 5 4 <share> hydro 8 9 <share> wind 1 0 … with numbers digit by digit; in a sentence, too,
the country is the token <name>, which the program that asked fills in (`spelled`). The course's own templates make
the sentences to learn from, three for countries with two sources or more and one for those with a single one. A
sentence is then read back: each number in it must be the row's, and stand at its place (`checked_sentence`). To
compare a sentence with its table fact by fact is from Wiseman et al., "Challenges in Data-to-Document Generation",
2017, arXiv:1707.08052.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from companion.data.energy_mix import SOURCES, Mix
from companion.text.t5.text_to_text import END

TEMPLATES = (
    "{name} made {twh} TWh , {a} % of it from {A} and {b} % from {B} .",
    "{A} gave {a} % of the {twh} TWh of {name} , {B} gave {b} % .",
    "Of {twh} TWh in {name} , {a} % came from {A} and {b} % from {B} .",
)
SINGLE = "{name} made {twh} TWh , {a} % of it from {A} ."
LARGEST = 5  # sources of a row
_WORDS = sorted({word for text in (*TEMPLATES, SINGLE) for word in text.split() if not word.startswith("{")})
VOCABULARY = ("<pad>", "<end>", "<name>", "<twh>", "<share>", *SOURCES, *_WORDS, *"0123456789")
_PLACE = {token: i for i, token in enumerate(VOCABULARY)}


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a sentence.

    Attributes:
        form: it has the form of one of the templates.
        invented: numbers that the row does not have.
        misplaced: numbers that the row has, and that are said of something else.
        sources: it names the largest sources, the largest first.
        numbers: how many the sentence has.
    """

    form: bool
    invented: int
    misplaced: int
    sources: bool
    numbers: int

    @property
    def right(self) -> bool:
        """Nothing is wrong."""
        return self.form and self.sources and not self.invented and not self.misplaced


def terawatt_hours(mix: Mix) -> str:
    """The total as rows and sentences write it: one decimal below a hundred, else none."""
    return f"{mix.twh:.1f}" if mix.twh < 100 else f"{mix.twh:.0f}"


def sentence(mix: Mix, template: int) -> str:
    """A country's sentence by one of the three templates; by the fourth if it has a single source."""
    return _filled(mix, template, mix.country)


def row_tokens(mix: Mix) -> list[int]:
    """A country's row, with its five largest sources at most."""
    tokens = ["<name>", "<twh>", *terawatt_hours(mix)]
    for source, share in mix.shares[:LARGEST]:
        tokens += ["<share>", source, *str(share)]
    return [_PLACE[token] for token in tokens]


def sentence_tokens(mix: Mix, template: int) -> list[int]:
    """A country's sentence, with the end token."""
    found = []
    for word in _filled(mix, template, "<name>").split():
        found += [word] if word in _PLACE else list(word)
    return [*(_PLACE[token] for token in found), END]


def spelled(ids: Sequence[int] | Int[Tensor, "tokens"], mix: Mix) -> str:
    """Tokens up to the end token as a text, with the country's name; digits are joined to numbers."""
    tokens = [VOCABULARY[int(i)] for i in ids]
    tokens = tokens[: tokens.index("<end>")] if "<end>" in tokens else tokens
    text = " ".join(tokens)
    return re.sub(r"(?<=[\d.]) (?=\d)|(?<=\d) (?=\. \d)", "", text).replace("<name>", mix.country)


def checked_sentence(text: str, mix: Mix) -> Verdict:
    """Hold a sentence against its row."""
    shares = {source: str(share) for source, share in mix.shares}
    table = {terawatt_hours(mix), *shares.values()}
    numbers = re.findall(r"\d[\d.]*\d|\d", text.replace(mix.country, ""))
    invented = sum(number not in table for number in numbers)
    said = next((m.groupdict() for m in (form.match(text) for form in _FORMS) if m), None)
    if said is None or said["name"] != mix.country:
        return Verdict(False, invented, 0, False, len(numbers))
    told = [(said["twh"], terawatt_hours(mix)), (said["a"], shares.get(said["A"]))]
    named = [said["A"]]
    if "B" in said:
        told.append((said["b"], shares.get(said["B"])))
        named.append(said["B"])
    misplaced = sum(number in table and number != wanted for number, wanted in told)
    return Verdict(True, invented, misplaced, named == [source for source, _ in mix.shares[:2]], len(numbers))


def _filled(mix: Mix, template: int, name: str) -> str:
    (first, share), *rest = mix.shares
    values = {"name": name, "twh": terawatt_hours(mix), "A": first, "a": share}
    if not rest:
        return SINGLE.format(**values)
    return TEMPLATES[template].format(**values, B=rest[0][0], b=rest[0][1])


_SLOTS = {"name": ".+?", "twh": r"[\d.]+", "a": r"[\d.]+", "b": r"[\d.]+", "A": r"\w+", "B": r"\w+"}
_FORMS = [
    re.compile("".join(f"(?P<{word[1:-1]}>{_SLOTS[word[1:-1]]})" if word[0] == "{" else re.escape(word)
                       for word in re.split(r"(\{\w+\})", text) if word) + "$")
    for text in (*TEMPLATES, SINGLE)
]  # fmt: skip
