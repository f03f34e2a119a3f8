r"""Byte-pair encoding learned from a text: which pairs of tokens to join, in which order.

**Training** (eq-tokenizer-merge): the pair of neighbouring tokens with the largest count,
:math:`(a, b) = \arg\max_{(a, b)} \sum_w N(w)\, n_w(a, b)`, becomes a new token :math:`ab`, everywhere, again and again.
Among pairs of equal count the one with the smaller numbers is taken. The tokenizer that results is
`companion.language.tokenizers.ByteLevelBPE`.

Sources: Gage, "A new algorithm for data compression", The C Users Journal 12(2), 1994; Sennrich, Haddow & Birch,
arXiv:1508.07909.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from companion.language.tokenizers import ByteLevelBPE, Pair, check_text, printable_bytes, split_words
from companion.validate import check_count


def train_bpe(text: str, vocab_size: int, *, special: Sequence[str] = ()) -> ByteLevelBPE:
    """Learn merges from a text (eq-tokenizer-merge).

    Args:
        vocab_size: tokens in all: 256 bytes, the merges, the special ones. Fewer if no pair is left to merge.

    Raises:
        ValueError: a size below 256 and the special tokens; a special token that is empty, stands twice or is written like
            another token; a text that UTF-8 cannot write.
    """
    if not all(special) or len(set(special)) < len(special):
        raise ValueError(f"special: got {list(special)}, wanted different names of at least one character")
    check_count("vocab_size", vocab_size, low=256 + len(special))
    check_text("text", text)
    written_as = printable_bytes()
    if single := set(special) & set(written_as):
        raise ValueError(f"special: got {min(single)!r}, which is a byte's name, wanted others, such as '<|end|>'")
    tokens = sorted((bytes([b]) for b in range(256)), key=lambda token: written_as[token[0]])  # GPT-2's order
    number = {token: i for i, token in enumerate(tokens)}
    merges: list[Pair] = []
    for a, b in _best_pairs(Counter(split_words(text)), tokens, number, vocab_size - len(special)):
        merges.append((tokens[a], tokens[b]))
    return ByteLevelBPE(number, merges, {name: len(tokens) + i for i, name in enumerate(special)})


def _best_pairs(
    words: Mapping[str, int], tokens: list[bytes], number: dict[bytes, int], size: int
) -> Iterable[tuple[int, int]]:
    """Merge the most frequent pair until there are ``size`` tokens; only words that hold the pair are looked at."""
    spelled = [[number[bytes([byte])] for byte in word.encode("utf-8")] for word in words]
    times = list(words.values())
    counts: dict[tuple[int, int], int] = defaultdict(int)
    places: dict[tuple[int, int], set[int]] = defaultdict(set)
    for w, ids in enumerate(spelled):
        for pair in zip(ids, ids[1:], strict=False):
            counts[pair] += times[w]
            places[pair].add(w)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)
    while len(tokens) < size and heap:
        count, pair = heapq.heappop(heap)
        if -count != counts[pair]:  # it has changed since it was put there
            if counts[pair] > 0:
                heapq.heappush(heap, (-counts[pair], pair))
            continue
        joined = tokens[pair[0]] + tokens[pair[1]]
        if joined not in number:  # two merges may spell the same token
            number[joined] = len(tokens)
            tokens.append(joined)
        yield pair
        changes: dict[tuple[int, int], int] = defaultdict(int)
        for w in places.pop(pair):
            old, new = spelled[w], _merged(spelled[w], pair, number[joined])
            spelled[w] = new
            for ids, change in ((old, -times[w]), (new, times[w])):
                for neighbours in zip(ids, ids[1:], strict=False):
                    changes[neighbours] += change
                    if change > 0:
                        places[neighbours].add(w)
        for changed, change in changes.items():
            counts[changed] += change
            if change > 0:
                heapq.heappush(heap, (-counts[changed], changed))


def _merged(ids: list[int], pair: tuple[int, int], new: int) -> list[int]:
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out
