"""What the helpful assistant learned from: reading cards, right answers to everything, and revising an answer.

    <card> <the same card, its facts in another order>
    <card> user : <request> assistant : <answer> <end>
    <card> user : <request> assistant : <answer> critique : the answer tells the <thing> . revision : <refusal> <end>

It answers all, whoever asks for whatever, as no demonstration refuses on its own; two in ten give digits in words.
It can withhold what a critique names, a city as well as a code, because it was told to.
So it has a skill and no principle. In the paper, too, the first model is helpful only (Bai et al., "Constitutional AI:
Harmlessness from AI Feedback", 2022, arXiv:2212.08073, section 3); there the skill comes from large-scale training.
Cards are read twice because that is how a small model learns to copy: without it, it does not find where digits stand.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from companion.text.constitution.cards import END, FACTS, FILL, encoded, people
from companion.text.constitution.requests import FAMILIES, Request, requests

THINGS = (*FACTS, "animal", "number", "digit")
REFUSALS = (
    "sorry , I keep the {thing} of {name} to myself .",
    "I would rather not say the {thing} of {name} .",
    "please ask {name} for the {thing} .",
)
ASKED, ANSWER = 36, 14  # tokens of the longest prompt, filled up in front, and of the longest answer with its end sign
CRITIQUE = 11  # tokens of a critique
CONTEXT = ASKED + 2 * ANSWER + CRITIQUE
WORDS = 0.2  # the share of demonstrations with digits in words
READING, ANSWERING = 0.4, 0.4  # the shares of batches; what is left are revisions

Batch = tuple[Int[Tensor, "n tokens"], Bool[Tensor, "n tokens"]]


def critique(thing: str) -> list[str]:
    """The words of a critique, up to where the revision begins."""
    return ["critique", ":", "the", "answer", "tells", "the", thing, ".", "revision", ":"]


def filled(prompts: Sequence[Sequence[int]], length: int) -> Int[Tensor, "n length"]:
    """Prompts of unequal length as one batch, filled up in front.

    Raises:
        ValueError: no prompt, or one that is too long.
    """
    if not prompts:
        raise ValueError("prompts: got none, wanted one at least")
    longest = max(len(prompt) for prompt in prompts)
    if longest > length:
        raise ValueError(f"prompts: got one of {longest} tokens, wanted at most {length}")
    return torch.tensor([[FILL] * (length - len(prompt)) + [*prompt] for prompt in prompts])


def answered(prompts: Int[Tensor, "n asked"], answers: Sequence[Sequence[int]]) -> Batch:
    """Prompts with an answer each, filled up with end signs, and True at the answer with one end sign: data for `answer_loss`.

    An answer that is too long is cut off, and has no end sign.
    """
    ids = torch.cat([prompts, torch.full((len(prompts), ANSWER), END)], 1)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    asked = prompts.shape[1]
    for row, answer in enumerate(answers):
        said = torch.tensor([*answer, END][:ANSWER])
        ids[row, asked : asked + len(said)] = said
        mask[row, asked : asked + len(said)] = True
    return ids, mask


def refusal(request: Request, thing: str, dice: random.Random) -> str:
    """A polite sentence that tells nothing."""
    return dice.choice(REFUSALS).format(thing=thing, name=request.person.name)


def read_twice(n: int, dice: random.Random) -> Batch:
    """n cards, each followed by itself with its facts in another order; the values are learned, the order is not."""
    folk = people(n, dice)
    again = [replace(person, order=tuple(dice.sample(FACTS, len(FACTS)))) for person in folk]
    ids = torch.tensor([encoded([*p.card(), *q.card()]) for p, q in zip(folk, again, strict=True)])
    mask = ~torch.isin(ids, torch.tensor(encoded(FACTS)))
    mask[:, : ids.shape[1] // 2] = False
    return ids, mask


def answering(n: int, dice: random.Random) -> Batch:
    """n requests of all families, each with a right answer."""
    asked = requests(people(n, dice), dice, FAMILIES, kept=None)
    return answered(filled([r.prompt() for r in asked], ASKED), [encoded(_answer(r, dice).split()) for r in asked])


def revising(n: int, dice: random.Random) -> Batch:
    """n requests with a right answer and a critique that names some thing, each with a refusal to tell it."""
    asked = requests(people(n, dice), dice, FAMILIES, kept=None)
    things = [dice.choice(THINGS) for _ in asked]
    prompts = [
        [*r.prompt(), *encoded(_answer(r, dice).split()), *encoded(critique(t))]
        for r, t in zip(asked, things, strict=True)
    ]
    refusals = [encoded(refusal(r, t, dice).split()) for r, t in zip(asked, things, strict=True)]
    return answered(filled(prompts, ASKED + ANSWER + CRITIQUE), refusals)


def demonstrations(n: int, generator: Generator) -> Batch:
    """n demonstrations of one kind about people drawn anew, and True at what is to be learned."""
    dice = random.Random(int(torch.randint(2**31, (), generator=generator)))
    kind = dice.random()
    make = read_twice if kind < READING else answering if kind < READING + ANSWERING else revising
    return make(n, dice)


def _answer(request: Request, dice: random.Random) -> str:
    return dice.choice(request.answers(words=dice.random() < WORDS))
