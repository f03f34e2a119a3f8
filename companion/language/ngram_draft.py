r"""A draft that costs next to nothing: a table of which token followed the last one or two, as a language model.

Speculative decoding (`companion.language.speculative`) gains by a draft that is cheap and often right. Any model will do, and
the cheapest is a table. The share of each next token after the last m tokens is mixed with that after the last m - 1,
(Witten & Bell, 1991; Chen & Goodman, 1999, section 2.6),

- :math:`q_m(x) = \frac{c_m(x) + k_m\, q_{m-1}(x)}{n_m + k_m}` (eq-realtime-table)

where the context of m tokens was seen :math:`n_m` times, :math:`c_m(x)` times before x, and :math:`k_m` is how many different
tokens were seen after it. At the bottom, :math:`q_0` counts each token once more than it was seen, so nothing is impossible.

`NGramDraft` has a language model's interface, so that `speculate` needs to know nothing of tables. It even has a key-value
cache, in which it keeps what it needs of the past: the tokens themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.nn.kv_cache import KVCache
from companion.validate import check_count, check_labels, check_shapes


@dataclass(frozen=True)
class NGramConfig:
    """The sizes of an `NGramDraft`.

    Attributes:
        vocab_size: how many tokens there are.
        context: the longest text it can be asked to continue; a table has no limit of its own.
        look_back: m, the most tokens that the next one is guessed from.
        layers: caches that it needs.
    """

    vocab_size: int
    context: int = 1_000_000
    look_back: int = 2
    layers: int = 1

    def __post_init__(self) -> None:
        check_count("vocab_size", self.vocab_size)
        check_count("context", self.context)
        check_count("look_back", self.look_back, high=4)
        check_count("layers", self.layers, high=1)


class NGramDraft(nn.Module):
    """Token counts as a language model (eq-realtime-table).

    Args:
        ids: the text to count in, one row of token numbers.
        config: the sizes.
    """

    def __init__(self, ids: Int[Tensor, "tokens"], config: NGramConfig) -> None:
        super().__init__()
        check_shapes(ids=(ids, "tokens"))
        check_labels("ids", ids, config.vocab_size)
        if len(ids) <= config.look_back:
            raise ValueError(f"ids: got {len(ids)} tokens, wanted more than look_back = {config.look_back}")
        self.config = config
        seen = torch.bincount(ids, minlength=config.vocab_size).float() + 1
        self.register_buffer("unigram", seen / seen.sum())
        # For each m: context (as one number) -> (next tokens, their counts, n_m + k_m)
        self.tables = [self._count(ids, m) for m in range(1, config.look_back + 1)]

    def _count(self, ids: Int[Tensor, "tokens"], m: int) -> dict[int, tuple[Tensor, Tensor, float]]:
        size = self.config.vocab_size
        codes = torch.zeros(len(ids) - m, dtype=torch.int64)
        for i in range(m + 1):
            codes = codes * size + ids[i : len(ids) - m + i]
        codes, counts = torch.unique(codes, return_counts=True)
        contexts, after = torch.unique_consecutive(codes // size, return_counts=True)
        parts = zip((codes % size).split(after.tolist()), counts.float().split(after.tolist()), strict=True)
        return {
            context: (tokens, count, float(count.sum()) + len(tokens))
            for context, (tokens, count) in zip(contexts.tolist(), parts, strict=True)
        }

    def probabilities(self, past: Sequence[int]) -> Float[Tensor, "vocab"]:
        """q after the last tokens of a text, oldest first; of a short past, what there is."""
        q, context = self.unigram, 0
        for m in range(1, min(self.config.look_back, len(past)) + 1):
            context += past[-m] * self.config.vocab_size ** (m - 1)
            found = self.tables[m - 1].get(context)
            if found is None:
                return q  # a context that was never seen is part of no longer one
            tokens, counts, total = found
            q = (q * (len(tokens) / total)).index_add(0, tokens, counts / total)
        return q

    def forward(
        self, input_ids: Int[Tensor, "batch n"], past_key_values: Sequence[KVCache] | None = None
    ) -> Float[Tensor, "batch n vocab"]:
        """Logits of the next token at each position; the softmax gives the table's shares back."""
        check_shapes(input_ids=(input_ids, "batch n"))
        text, read = input_ids, 0
        if past_key_values is not None:
            (cache,), new = past_key_values, input_ids[:, None, :, None].double()
            read = cache.length
            cache.append(new, new)
            text = cache.k[:, 0, :, 0].long()
        rows = [
            [
                self.probabilities(row[max(0, end - self.config.look_back) : end])
                for end in range(read + 1, len(row) + 1)
            ]
            for row in text.tolist()
        ]
        return torch.stack([torch.stack(row) for row in rows]).log()
