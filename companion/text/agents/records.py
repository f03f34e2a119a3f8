"""A table's row in words: rows and sentences as tokens, templates, and a check of every number that a sentence says.

A row of the electricity of countries reads <name> <twh> 1 5 4 <share> hydro 8 9 <share> wind 1 0 … with numbers digit
by digit; in a sentence, too, the country is the token <name>, which the program that asked fills in (`spelled`). The
course's own templates make the sentences to learn from, three for countries with two sources or more and one for those
with a single one; three more are for the course's own table, what each of its lessons was measured to cost. A sentence
is then read back: each number in it must be the row's, and stand at its place (`checked_sentence`). To compare a
sentence with its table fact by fact is from Wiseman et al., "Challenges in Data-to-Document Generation", 2017,
arXiv:1707.08052.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from companion.data.course_costs import Cost
from companion.data.energy_mix import SOURCES, Mix
from companion.text.t5.text_to_text import END

COUNTRY = (
    "{name} made {twh} TWh , {a} % of it from {A} and {b} % from {B} .",
    "{A} gave {a} % of the {twh} TWh of {name} , {B} gave {b} % .",
    "Of {twh} TWh in {name} , {a} % came from {A} and {b} % from {B} .",
)
SINGLE = "{name} made {twh} TWh , {a} % of it from {A} ."
LESSON = (
    "{name} took {seconds} s and {memory} MB for {claims} claims .",
    "In {seconds} s {name} checked {claims} claims , with {memory} MB .",
    "The {claims} claims of {name} took {seconds} s and {memory} MB .",
)
LARGEST = 5  # sources of a row
_WORDS = sorted({word for text in (*COUNTRY, SINGLE) for word in text.split() if not word.startswith("{")})
VOCABULARY = ("<pad>", "<end>", "<name>", "<twh>", "<share>", *SOURCES, *_WORDS, *"0123456789")
_PLACE = {token: i for i, token in enumerate(VOCABULARY)}
Record = Mix | Cost


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a sentence.

    Attributes:
        form: it has the form of one of its table's templates.
        invented: numbers that the row does not have.
        misplaced: numbers that the row has, and that are said of something else; 0 where there is no form, since
            nobody can tell then what is said of what.
        sources: it names the largest sources, the largest first; of a lesson there are none to name.
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


def name_of(record: Record) -> str:
    """What a row is about: a country, or a lesson."""
    return record.lesson if isinstance(record, Cost) else record.country


def facts(record: Record) -> dict[str, str]:
    """What a row says, as rows and sentences write it; terawatt-hours have one decimal below a hundred, else none."""
    if isinstance(record, Cost):
        return {
            "seconds": f"{record.seconds:.1f}",
            "memory": str(record.memory_mb),
            "claims": str(record.claims),
        }
    total = f"{record.twh:.1f}" if record.twh < 100 else f"{record.twh:.0f}"
    return {"twh": total} | {source: str(share) for source, share in record.shares}


def sentence(record: Record, template: int) -> str:
    """A row's sentence by one of its table's three templates; by a fourth for a country with a single source."""
    return _filled(record, template, name_of(record))


def row_tokens(mix: Mix) -> list[int]:
    """A country's row, with its five largest sources at most."""
    total, *shares = facts(mix).items()
    tokens = ["<name>", "<twh>", *total[1]]
    for source, share in shares[:LARGEST]:
        tokens += ["<share>", source, *share]
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


def checked_sentence(text: str, record: Record) -> Verdict:
    """Hold a sentence against its row."""
    table, sources = facts(record), _sources(record)
    numbers = re.findall(r"\d[\d.]*\d|\d", text.replace(name_of(record), ""))
    invented = sum(number not in table.values() for number in numbers)
    said = next((m.groupdict() for m in (form.match(text) for form in _FORMS[type(record)]) if m), None)
    if said is None or said["name"] != name_of(record):
        return Verdict(False, invented, 0, False, len(numbers))
    told = [(said.get(slot.upper(), slot), said[slot]) for slot in said if slot.islower() and slot != "name"]
    misplaced = sum(number in table.values() and number != table.get(what) for what, number in told)
    named = [said[slot] for slot in "AB" if slot in said]
    return Verdict(True, invented, misplaced, named == sources, len(numbers))


def _sources(record: Record) -> list[str]:
    return [] if isinstance(record, Cost) else [source for source, _ in record.shares[:2]]


def _filled(record: Record, template: int, name: str) -> str:
    table, sources = facts(record), _sources(record)
    values = {"name": name} | table
    for slot, source in zip("AB", sources, strict=False):
        values |= {slot: source, slot.lower(): table[source]}
    single = len(sources) == 1
    return (SINGLE if single else (COUNTRY if sources else LESSON)[template]).format(**values)


_SLOTS = {"name": ".+?", "A": r"\w+", "B": r"\w+"}


def _form(text: str) -> re.Pattern[str]:
    parts = [part for part in re.split(r"(\{\w+\})", text) if part]
    slots = [(part[1:-1], _SLOTS.get(part[1:-1], r"[\d.]+")) if part[0] == "{" else part for part in parts]
    return re.compile("".join(re.escape(s) if isinstance(s, str) else f"(?P<{s[0]}>{s[1]})" for s in slots) + "$")


_FORMS = {Mix: [*map(_form, (*COUNTRY, SINGLE))], Cost: [*map(_form, LESSON)]}
