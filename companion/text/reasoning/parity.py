"""The parity of some bits, asked of a model that has seen few others think.

A question is d bits and a sign that asks; the answer is 1 if the number of ones is odd. A demonstration answers in
one of two ways:

    1011=1.      at once                                                   with probability 1 - p
    1011=1101.   the parity of the first bit, of the first two, … of all   with probability p   (eq-reasoning-demonstrations)

Both begin with a digit, so a model finds out only at the second token of an answer which of the two it is writing.
Long answers begin with the first bit; of the short ones, which a model cannot tell from coins, one in two does.
After the first bit an answer goes on with

    q = p / (p + (1 - p)/2) = 2p / (1 + p),                                                     (eq-reasoning-goes-on)

more than one half if p > 1/3: then the likeliest answer is a long one. Tsilivis et al., 2025, arXiv:2510.11495,
whose task this is; they count from p < 1/3 on as too few. Departure: they have 50 bits, and all tokens of a text
are learned, not only the answer's.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from companion.text.reasoning.tasks import Answers, written
from companion.training.random import rand, randint
from companion.validate import Count, Share, checked

ASKS, END = 2, 3


@checked
@dataclass(frozen=True)
class Parity:
    """The task (`companion.text.reasoning.tasks.Task`).

    Attributes:
        bits: d, how many a question has.
        thinking: p, the share of demonstrations that write the parities of all beginnings (eq-reasoning-demonstrations).
    """

    bits: Count
    thinking: Share = 0.2
    vocab_size = 4
    end = END

    @property
    def asked(self) -> int:
        """Tokens of a question: d bits and the sign that asks."""
        return self.bits + 1

    @property
    def context(self) -> int:
        """Tokens of the longest text: a question, d parities, the end sign."""
        return 2 * self.bits + 2

    def questions(self, n: int, generator: Generator) -> Int[Tensor, "n asked"]:
        """n questions of random bits."""
        bits = randint(2, (n, self.bits), generator, device="cpu")
        return torch.nn.functional.pad(bits, (0, 1), value=ASKS)

    def demonstrations(
        self, n: int, generator: Generator
    ) -> tuple[Int[Tensor, "n context"], Bool[Tensor, "n context"]]:
        """n answered questions, filled up with end signs, and True at the answers' tokens."""
        questions = self.questions(n, generator)
        parities = running_parity(questions[:, : self.bits])
        at_once = torch.full_like(parities, END)
        at_once[:, 0] = parities[:, -1]
        thinks = rand((n, 1), generator, device="cpu") < self.thinking
        ids = torch.cat([questions, torch.where(thinks, parities, at_once), torch.full((n, 1), END)], dim=1)
        return ids, self.judge(ids).mask

    def judge(self, ids: Int[Tensor, "rows tokens"]) -> Answers:
        """Read what was written after questions; the last digit before the end sign is the answer."""
        length, ended, mask = written(ids, self.asked, END)
        last = ids.gather(1, (self.asked + length - 1)[:, None])[:, 0]
        given = torch.where(ended & (length > 0) & (last < ASKS), last, -1)
        return Answers(given, given == ids[:, : self.bits].sum(1) % 2, length, length == self.bits, mask)

    def spelled(self, ids: Int[Tensor, "tokens"]) -> str:
        """A text as it is read, up to its first end sign."""
        text = "".join("01=."[i] for i in ids.tolist())
        return text[: text.find(".") + 1] if "." in text else text


def running_parity(bits: Int[Tensor, "*batch d"]) -> Int[Tensor, "*batch d"]:
    """The parity of the first bit, of the first two, … of all."""
    return bits.cumsum(-1) % 2


def goes_on(thinking: float) -> float:
    """q, how likely an answer that begins with the first bit goes on (eq-reasoning-goes-on)."""
    return 2 * thinking / (1 + thinking)
