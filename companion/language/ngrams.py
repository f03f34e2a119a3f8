r"""A model of text that learns by counting: which character follows the last few?

- autoregression (eq-overview-chain): :math:`p(x_1 \dots x_n) = \prod_i p(x_i \mid x_1 \dots x_{i-1})`; here only the last
  ``order`` characters count.
- Witten-Bell smoothing (eq-overview-ngram):
  :math:`p_k(c \mid h_k) = \frac{N(h_k c) + T(h_k)\, p_{k-1}(c \mid h_{k-1})}{N(h_k) + T(h_k)}`

N counts occurrences in the training text, T(h) is how many different characters were seen after the last k characters
:math:`h_k`; the recursion ends at the uniform distribution over the alphabet.

Sources: Shannon, "A mathematical theory of communication", 1948, section 3 (text from counted n-grams); Witten & Bell, "The
zero-frequency problem", IEEE Trans. Information Theory 37(4), 1991, method C.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.validate import check_count, check_number


@dataclass(frozen=True)
class NGram:
    """Counts of character sequences.

    Attributes:
        alphabet: every character of the training text, sorted.
        order: how many characters the model looks back.
        grams: for k = 0 … order, the distinct sequences of k + 1 characters as sorted numbers.
        before: for each k, how many occurrences stand before each of them in that order, and the total at the end.
    """

    alphabet: str
    order: int
    grams: tuple[Int[Tensor, "_"], ...]
    before: tuple[Int[Tensor, "_"], ...]

    def next(self, context: str) -> Float[Tensor, "characters"]:
        """p(next character | context), one probability for each character of the alphabet (eq-overview-ngram)."""
        v = len(self.alphabet)
        recent = encode(context[len(context) - min(self.order, len(context)) :], self.alphabet).tolist()
        p = torch.full((v,), 1 / v, dtype=torch.float64)
        for k in range(min(self.order, len(recent)) + 1):
            code = 0
            for character in recent[len(recent) - k :]:
                code = code * v + character
            first, last = torch.searchsorted(self.grams[k], torch.tensor([code * v, (code + 1) * v])).tolist()
            if first == last:
                break  # this context was never seen, so no longer one was
            counts = torch.zeros(v, dtype=torch.float64)
            counts[self.grams[k][first:last] - code * v] = self.before[k][first : last + 1].diff().double()
            kinds = last - first
            p = (counts + kinds * p) / (counts.sum() + kinds)
        return p

    def bits_per_character(self, text: str) -> float:
        """The mean of -log2 p(character | those before it) over a text: what it costs to write down with this model."""
        x = encode(text, self.alphabet)
        if not len(x):
            raise ValueError("text: got no characters, wanted at least one")
        v = len(self.alphabet)
        p = torch.full((len(x),), 1 / v, dtype=torch.float64)
        for k in range(min(self.order, len(x) - 1) + 1):
            sequences = _codes(x, k + 1, v)
            context = sequences // v
            first = torch.searchsorted(self.grams[k], context * v)
            last = torch.searchsorted(self.grams[k], (context + 1) * v)
            place = torch.searchsorted(self.grams[k], sequences).clamp(max=len(self.grams[k]) - 1)
            seen = self.grams[k][place] == sequences
            count = torch.where(seen, self.before[k][place + 1] - self.before[k][place], 0).double()
            total, kinds = (self.before[k][last] - self.before[k][first]).double(), (last - first).double()
            shorter = p[k:]
            p[k:] = torch.where(kinds > 0, (count + kinds * shorter) / (total + kinds).clamp(min=1), shorter)
        return float(-p.log2().mean())

    def sample(self, characters: int, generator: torch.Generator, *, prompt: str = "", temperature: float = 1.0) -> str:
        """Write ``characters`` more after the prompt, one at a time, each drawn from `next`; the answer begins with the prompt.

        Args:
            temperature: probabilities are raised to 1 / temperature: below 1 the likely becomes likelier.
        """
        check_count("characters", characters, low=0)
        check_number("temperature", temperature, low=0, open_low=True)
        text = prompt
        for _ in range(characters):
            p = self.next(text) ** (1 / temperature)
            text += self.alphabet[int(torch.multinomial(p, 1, generator=generator))]
        return text


def fit_ngram(text: str, order: int) -> NGram:
    """Count all sequences of 1 to ``order`` + 1 characters.

    Raises:
        ValueError: an empty text, a negative order, or so long an order that a sequence has no number of 63 bits.
    """
    check_count("order", order, low=0)
    if len(text) <= order:
        raise ValueError(f"text: got {len(text)} characters, wanted more than the order, {order}")
    alphabet = "".join(sorted(set(text)))
    if len(alphabet) ** (order + 1) >= 2**62:
        raise ValueError(f"order: got {order} with {len(alphabet)} different characters, wanted a smaller order")
    x = encode(text, alphabet)
    grams, before = [], []
    for k in range(order + 1):
        distinct, counts = torch.unique(_codes(x, k + 1, len(alphabet)), return_counts=True)
        grams.append(distinct)
        before.append(torch.cat([counts.new_zeros(1), counts.cumsum(0)]))
    return NGram(alphabet, order, tuple(grams), tuple(before))


def encode(text: str, alphabet: str) -> Int[Tensor, "characters"]:
    """Each character's place in the alphabet."""
    strange = sorted(set(text) - set(alphabet))
    if strange:
        raise ValueError(f"text: got {''.join(strange)!r}, wanted only characters of the training text: {alphabet!r}")
    place = {character: i for i, character in enumerate(alphabet)}
    return torch.tensor([place[character] for character in text], dtype=torch.int64)


def longest_copy(text: str, source: str) -> int:
    """The length of the longest passage of ``text`` that stands in ``source``."""
    best = 0
    for start in range(len(text)):
        while start + best < len(text) and text[start : start + best + 1] in source:
            best += 1
    return best


def _codes(x: Int[Tensor, "n"], length: int, v: int) -> Int[Tensor, "m"]:
    """Every sequence of ``length`` characters in a row as one number in base v."""
    codes = torch.zeros(len(x) - length + 1, dtype=torch.int64)
    for i in range(length):
        codes = codes * v + x[i : len(x) - length + 1 + i]
    return codes
