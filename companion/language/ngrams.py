r"""Language models that learn by counting: which token followed the last few?

- autoregression (eq-overview-chain): :math:`p(x_1 \dots x_n) = \prod_i p(x_i \mid x_1 \dots x_{i-1})`; here only the last
  ``order`` tokens count.
- Witten-Bell smoothing (eq-overview-ngram):
  :math:`p_k(c \mid h_k) = \frac{N(h_k c) + T(h_k)\, p_{k-1}(c \mid h_{k-1})}{N(h_k) + T(h_k)}`

- Kneser-Ney smoothing, where a ``discount`` D is given:
  :math:`p_k(c \mid h_k) = \frac{N(h_k c) - D + D\, T(h_k)\, p_{k-1}(c \mid h_{k-1})}{N(h_k)}`, the first two terms only where
  :math:`h_k c` was seen. Below the longest context N counts not occurrences but the different tokens before: a token that
  only ever follows one other says little about a new place. With N - D for N it is Witten and Bell's step, T weighed by D.

N counts occurrences in the training text, T(h) is how many different tokens were seen after the last k tokens :math:`h_k`; the
recursion ends at the uniform distribution over the V tokens. So a single token has
:math:`p_0(c) = (N(c) + a) / (N + aV)` with a = T/V. Where a is given (``add``), this is add-k smoothing, as in the draft of
speculative decoding: then a token that was never seen is not impossible.

The counts of all sequences of k + 1 tokens are one sorted list of whole numbers: number of the first k tokens among the
different sequences of k, times V, plus the last token. No such number is larger than V times the length of the training text,
however long the sequences.

`NGram` is a `companion.language.contract.LanguageModel` of token numbers; `CharacterNGram` is one with an alphabet, for text.

Sources: Shannon, "A mathematical theory of communication", 1948, section 3 (text from counted n-grams); Witten & Bell, "The
zero-frequency problem", IEEE Trans. Information Theory 37(4), 1991, method C; Kneser & Ney, "Improved backing-off for m-gram
language modeling", ICASSP 1995, in the interpolated form of Chen & Goodman, 1998.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.language.contract import check_tokens
from companion.language.states import TokenState
from companion.validate import Count, Positive, Range, check_count, check_labels, checked

UNSEEN = -1  # the number of a sequence that does not stand in the training text
_FEW = 8  # places up to which one after the other is faster than all at once


@checked
@dataclass(frozen=True)
class NGramConfig:
    """The sizes of an `NGram`.

    Attributes:
        vocab_size: how many tokens there are, V.
        order: how many tokens the model looks back.
        add: a, what each single token is counted more than it was seen; Witten and Bell's T/V if not given.
        context: the longest text it can be asked to continue; counts have no limit of their own.
        discount: D of Kneser and Ney, at most 1; Witten and Bell's smoothing if not given.
    """

    vocab_size: Count
    order: Annotated[int, Range(0)] = 2
    add: Positive | None = None
    context: Count = 1_000_000
    discount: Annotated[float, Range(0, 1, open_low=True)] | None = None


def witten_bell(p: Float[Tensor, "*places"], count: Tensor, total: Tensor, lean: Tensor) -> Float[Tensor, "*places"]:
    """One step of eq-overview-ngram: the share of a token after a context, leaning on its probability p after a shorter one.

    Args:
        p: p(c | h_{k-1}).
        count: N(h_k c).
        total: N(h_k); where it is 0 the context was never seen, and p stays.
        lean: T(h_k), how much weight p has.
    """
    return torch.where(total > 0, (count + lean * p) / (total + lean).clamp(min=1e-9), p)


class NGram(nn.Module):
    """Counts of token sequences as a language model (eq-overview-ngram).

    Args:
        ids: the training text, one row of token numbers.
        config: the sizes.

    Raises:
        ValueError: numbers out of range, or no more tokens than the order.
    """

    @checked
    def __init__(self, ids: Int[Tensor, "tokens"], config: NGramConfig) -> None:
        super().__init__()
        check_labels("ids", ids, config.vocab_size)
        if len(ids) <= config.order:
            raise ValueError(f"ids: got {len(ids)} tokens, wanted more than the order, {config.order}")
        self.config, self.levels = config, nn.ModuleList()
        number = torch.zeros(len(ids) + 1, dtype=torch.int64, device=ids.device)
        sequences, counted = [], []
        for k in range(config.order + 1):
            # number[i] is that of the k tokens that end before token k + i; at first of none
            shorter = number[1:]
            codes, number, counts = torch.unique(
                number[: len(ids) - k] * config.vocab_size + ids[k:], return_inverse=True, return_counts=True
            )
            if config.discount is not None and k > 0:
                ends = torch.empty_like(codes).scatter_(0, number, shorter)  # each sequence without its first token
                before = ends.bincount(minlength=len(sequences[-1]))
                counted[-1] = before.clamp(min=1)  # the start of the text stands before its first tokens
            sequences.append(codes)
            counted.append(counts)
        for k, (codes, counts) in enumerate(zip(sequences, counted, strict=True)):
            add = config.add * config.vocab_size if k == 0 and config.add is not None else None
            contexts = len(sequences[k - 1]) if k else 1
            self.levels.append(_Level(codes, counts, contexts, config.vocab_size, add, config.discount))

    @property
    def sequences(self) -> int:
        """How many different sequences were counted."""
        return sum(len(level.codes) for level in self.levels)

    def probabilities(self, past: Sequence[int] | Int[Tensor, "n"]) -> Float[Tensor, "vocab"]:
        """p(next token | the tokens before it, oldest first) for each token, in float64."""
        return self._after_text(torch.as_tensor(past, dtype=torch.int64).tolist())

    @checked
    def token_probabilities(self, ids: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
        """p(x_i | x_1 … x_{i-1}) of each token of a text, the first one included, in float64."""
        context = torch.zeros_like(ids)
        p = torch.full(ids.shape, 1 / self.config.vocab_size, dtype=torch.float64, device=ids.device)
        for level in self.levels:
            found = level.find(context, ids)
            p = witten_bell(p, level.count(found), *level.seen(context))
            context = F.pad(found[:-1], (1, 0), value=UNSEEN)
        return p

    def new_state(self, batch: int) -> TokenState:
        """Nothing read yet; the state is the text itself."""
        check_count("batch", batch)
        return TokenState(torch.zeros(batch, 0, dtype=torch.int64, device=self.levels[0].codes.device))

    def forward(
        self,
        input_ids: Int[Tensor, "batch n"],
        past_key_values: TokenState | None = None,
        attention_mask: Bool[Tensor, "batch read"] | None = None,
    ) -> Float[Tensor, "batch n vocab"]:
        """Logits of the next token at each position, as `companion.language.contract.LanguageModel` says.

        Their softmax gives the probabilities back.
        """
        check_tokens(input_ids, past_key_values, self.config.vocab_size)
        text, n = input_ids, input_ids.shape[1]
        if past_key_values is not None:
            past_key_values.append(input_ids)
            text = past_key_values.ids
        if attention_mask is None and input_ids.numel() <= _FEW:
            rows = text[:, -(n + self.config.order) :].tolist()
            p = [self._after_text(row[: len(row) - n + i + 1]) for row in rows for i in range(n)]
            return torch.stack(p).view(*input_ids.shape, -1).log().float()
        contexts = self._contexts(*(
            None if part is None else part[:, -(n + self.config.order) :] for part in (text, attention_mask)
        ))  # fmt: skip
        return self._after(contexts[:, :, -n:]).log().float()

    def _contexts(self, ids: Tensor, real: Tensor | None = None) -> Int[Tensor, "levels batch n"]:
        """The numbers of the last 0, 1, … order tokens at each place of a text; of padding only that of none."""
        numbers = [torch.zeros_like(ids)]
        for k, level in enumerate(self.levels[:-1]):
            before = F.pad(numbers[-1][:, :-1], (1, 0), value=UNSEEN if k else 0)
            number = level.find(before, ids)
            numbers.append(number if real is None else number.masked_fill(~real, UNSEEN))
        return torch.stack(numbers)

    def _after_text(self, past: Sequence[int]) -> Float[Tensor, "vocab"]:
        """p of each next token after one text (eq-overview-ngram); as `_after`, but only what followed it is touched."""
        v, levels = self.config.vocab_size, [*self.levels]
        p = torch.full((v,), 1 / v, dtype=torch.float64, device=levels[0].codes.device)
        for k in range(min(self.config.order, len(past)) + 1):
            context = 0
            for level, token in zip(levels, past[len(past) - k :], strict=False):
                context = level.find_one(context, token)
                if context == UNSEEN:
                    return p  # what was never seen is part of nothing longer
            p = levels[k].lean_on(p, context)
        return p

    def _after(self, contexts: Int[Tensor, "levels batch n"]) -> Float[Tensor, "batch n vocab"]:
        """p of each next token after these contexts, from the shortest to the longest (eq-overview-ngram)."""
        v = self.config.vocab_size
        p = torch.full((*contexts.shape[1:], v), 1 / v, dtype=torch.float64, device=contexts.device)
        for level, context in zip(self.levels, contexts, strict=True):
            p = witten_bell(p, level.followers(context), *(part[..., None] for part in level.seen(context)))
        return p


class _Level(nn.Module):
    """The different sequences of k + 1 tokens in the training text: each a context of k tokens, by its number, and a token.

    Args:
        codes: context · V + token, sorted.
        counts: how often each stands there.
        contexts: how many different sequences of k tokens there are.
        vocab_size: the number V of tokens.
        lean: how much a shorter context weighs; as much as different tokens follow a context if not given.
        discount: what each count and each different token that follows lose and weigh instead of 0 and 1.
    """

    def __init__(
        self,
        codes: Tensor,
        counts: Tensor,
        contexts: int,
        vocab_size: int,
        lean: float | None,
        discount: float | None = None,
    ) -> None:
        super().__init__()
        self.vocab_size, self.lean = vocab_size, lean
        self.each = 1 if discount is None else discount  # the weight of a different token that follows
        if discount is not None:
            counts = counts.double() - discount
        ends = torch.arange(contexts + 1, device=codes.device) * vocab_size
        before = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        self.register_buffer("codes", codes, persistent=False)
        self.register_buffer("tokens", codes % vocab_size, persistent=False)
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("first", torch.searchsorted(codes, ends), persistent=False)  # of each context's followers
        self.register_buffer("totals", before[self.first].diff(), persistent=False)

    def find(self, context: Tensor, token: Tensor) -> Tensor:
        """The numbers of these sequences among all of this length, `UNSEEN` where there is none."""
        code = context * self.vocab_size + token
        place = torch.searchsorted(self.codes, code).clamp(max=len(self.codes) - 1)
        return torch.where((context != UNSEEN) & (self.codes[place] == code), place, UNSEEN)

    def find_one(self, context: int, token: int) -> int:
        """The same for one sequence."""
        code = context * self.vocab_size + token
        place = int(torch.searchsorted(self.codes, code))
        return place if place < len(self.codes) and int(self.codes[place]) == code else UNSEEN

    def count(self, number: Tensor) -> Float[Tensor, "*places"]:
        """N(h c) of sequences by their numbers."""
        return torch.where(number == UNSEEN, 0, self.counts[number]).double()

    def seen(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """N(h) and T(h) of contexts, 0 for one that was never seen."""
        known = context != UNSEEN
        total = torch.where(known, self.totals[context], 0).double()
        if self.lean is not None:
            return total, torch.full_like(total, self.lean)
        return total, self.each * torch.where(known, self.first[context + 1] - self.first[context], 0).double()

    def followers(self, context: Tensor) -> Float[Tensor, "*places vocab"]:
        """N(h c) of every token c after each context."""
        places = context.flatten()
        known = places != UNSEEN
        first = self.first[places]
        kinds = torch.where(known, self.first[places + 1] - first, 0)
        row = torch.arange(len(places), device=places.device).repeat_interleave(kinds)
        rank = torch.arange(len(row), device=places.device) - (kinds.cumsum(0) - kinds)[row]  # among its context's
        number = first[row] + rank
        counts = torch.zeros(len(places), self.vocab_size, dtype=torch.float64, device=places.device)
        counts[row, self.tokens[number]] = self.counts[number].double()
        return counts.view(*context.shape, self.vocab_size)

    def lean_on(self, p: Float[Tensor, "vocab"], context: int) -> Float[Tensor, "vocab"]:
        """`witten_bell` after one context, from the probabilities after the shorter one."""
        first, last = self.first[context : context + 2].tolist()
        if first == last:  # it ends the text and is followed by nothing
            return p
        lean = self.each * (last - first) if self.lean is None else self.lean
        counted = (lean * p).index_add_(0, self.tokens[first:last], self.counts[first:last].double())
        return counted.div_(self.totals[context] + lean)


@dataclass(frozen=True)
class CharacterNGram:
    """An `NGram` whose tokens are characters.

    Attributes:
        alphabet: every character of the training text, sorted.
        model: the counts.
    """

    alphabet: str
    model: NGram

    def next(self, context: str) -> Float[Tensor, "characters"]:
        """p(next character | context), one probability for each character of the alphabet (eq-overview-ngram)."""
        recent = context[len(context) - min(self.model.config.order, len(context)) :]
        return self.model.probabilities(encode(recent, self.alphabet))

    def bits_per_character(self, text: str) -> float:
        """The mean of -log2 p(character | those before it) over a text: how many bits the model needs to write it down."""
        if not text:
            raise ValueError("text: got no characters, wanted at least one")
        return float(-self.model.token_probabilities(encode(text, self.alphabet)).log2().mean())

    @checked
    def sample(
        self,
        characters: Annotated[int, Range(0)],
        generator: torch.Generator,
        *,
        prompt: str = "",
        temperature: Positive = 1.0,
    ) -> str:
        """Write ``characters`` more after the prompt, one at a time, each drawn from `next`; the answer begins with the prompt.

        Args:
            temperature: probabilities are raised to 1 / temperature: below 1 the likely becomes likelier.
        """
        text = prompt
        for _ in range(characters):
            p = self.next(text) ** (1 / temperature)
            text += self.alphabet[int(torch.multinomial(p, 1, generator=generator))]
        return text


@checked
def fit_ngram(text: str, order: Annotated[int, Range(0)], *, discount: Positive | None = None) -> CharacterNGram:
    """Count all sequences of 1 to ``order`` + 1 characters; with a discount smoothed as Kneser and Ney do.

    Raises:
        ValueError: a text that is not longer than the order, or a negative order.
    """
    if len(text) <= order:
        raise ValueError(f"text: got {len(text)} characters, wanted more than the order, {order}")
    alphabet = "".join(sorted(set(text)))
    config = NGramConfig(len(alphabet), order, discount=discount)
    return CharacterNGram(alphabet, NGram(encode(text, alphabet), config))


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
