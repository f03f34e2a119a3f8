"""The product of two numbers of two digits, at once or by way of two smaller products.

    47×86=4042.                    at once                                                     with probability 1 - p
    47×86=~282376 4042.            47 × 6 = 282 and 47 × 8 = 376, each backwards, then the product   with probability p

    (without the blank; here ``~`` says that the answer thinks)                                (eq-reasoning-products)

Of the 8,100 questions 1,000 are held out: no demonstration and no reward is ever given for them.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from companion.text.reasoning.tasks import Answers, written
from companion.training.random import rand, randint
from companion.validate import Share, checked

TIMES, ASKS, THINKS, END = 10, 11, 12, 13
HELD_OUT = 1_000
_PLACES = {2: torch.tensor([10, 1]), 3: torch.tensor([100, 10, 1]), 4: torch.tensor([1000, 100, 10, 1])}


@checked
@dataclass(frozen=True)
class Products:
    """The task (`companion.text.reasoning.tasks.Task`).

    Attributes:
        thinking: p, the share of demonstrations that write the two smaller products (eq-reasoning-products).
        held_out: ask the questions that are held out, not the others.
    """

    thinking: Share = 0.25
    held_out: bool = False
    vocab_size = 14
    end = END
    asked = 6
    context = 6 + 12

    def questions(self, n: int, generator: Generator) -> Int[Tensor, "n 6"]:
        """n questions, drawn with replacement."""
        pairs = _pairs(self.held_out)
        return _asked(pairs[randint(len(pairs), (n,), generator, device="cpu")])

    def all_questions(self) -> Int[Tensor, "n 6"]:
        """Each question once, in an order that is always the same."""
        return _asked(_pairs(self.held_out))

    def demonstrations(self, n: int, generator: Generator) -> tuple[Int[Tensor, "n 18"], Bool[Tensor, "n 18"]]:
        """n answered questions, filled up with end signs, and True at the answers' tokens."""
        questions = self.questions(n, generator)
        thinks = rand((n, 1), generator, device="cpu") < self.thinking
        ids = torch.cat([questions, torch.where(thinks, thought(questions), at_once(questions))], dim=1)
        return ids, self.judge(ids).mask

    def judge(self, ids: Int[Tensor, "rows tokens"]) -> Answers:
        """Read what was written after questions; the last four digits before the end sign are the answer."""
        length, ended, mask = written(ids, self.asked, END)
        places = (self.asked + length[:, None] + torch.arange(-4, 0, device=ids.device)).clamp(min=0)
        last = ids.gather(1, places)
        whole = ended & (length >= 4) & (last < TIMES).all(1)
        given = torch.where(whole, (last * _PLACES[4].to(ids.device)).sum(1), -1)
        first, second = factors(ids)
        return Answers(given, given == first * second, length, ids[:, self.asked] == THINKS, mask)

    def spelled(self, ids: Int[Tensor, "tokens"]) -> str:
        """A text as it is read, up to its first end sign."""
        text = "".join("0123456789×=~."[i] for i in ids.tolist())
        return text[: text.find(".") + 1] if "." in text else text


def factors(ids: Int[Tensor, "rows tokens"]) -> tuple[Int[Tensor, "rows"], Int[Tensor, "rows"]]:
    """The two numbers of each question."""
    two = _PLACES[2].to(ids.device)
    return (ids[:, :2] * two).sum(1), (ids[:, 3:5] * two).sum(1)


def at_once(questions: Int[Tensor, "n 6"]) -> Int[Tensor, "n 12"]:
    """The product and end signs."""
    first, second = factors(questions)
    return torch.cat([_digits(first * second, 4), questions.new_full((len(questions), 8), END)], dim=1)


def thought(questions: Int[Tensor, "n 6"]) -> Int[Tensor, "n 12"]:
    """The sign of thought, the first number times the second's units and times its tens (backwards), the product, the end."""
    first, second = factors(questions)
    parts = [_digits(first * digit, 3).flip(1) for digit in (second % 10, second // 10)]
    sign = questions.new_full((len(questions), 1), THINKS)
    return torch.cat([sign, *parts, _digits(first * second, 4), torch.full_like(sign, END)], dim=1)


def _digits(numbers: Int[Tensor, "n"], places: int) -> Int[Tensor, "n places"]:
    return numbers[:, None] // _PLACES[places].to(numbers.device) % 10


def _asked(pairs: Int[Tensor, "n 2"]) -> Int[Tensor, "n 6"]:
    sign = torch.ones_like(pairs[:, :1])
    return torch.cat([_digits(pairs[:, 0], 2), TIMES * sign, _digits(pairs[:, 1], 2), ASKS * sign], dim=1)


@lru_cache(maxsize=2)
def _pairs(held_out: bool) -> Int[Tensor, "n 2"]:
    """The pairs of numbers, shuffled once and for all; the first are held out."""
    numbers = torch.arange(10, 100)
    shuffled = torch.cartesian_prod(numbers, numbers)[torch.randperm(8_100, generator=Generator().manual_seed(0))]
    return shuffled[:HELD_OUT] if held_out else shuffled[HELD_OUT:]
