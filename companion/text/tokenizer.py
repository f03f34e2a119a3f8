r"""Byte-level byte-pair encoding: text as whole numbers, as GPT-2 reads it.

1. **Bytes.** A text is its UTF-8 bytes, so 256 tokens can write everything and no character is unknown.
2. **Pre-tokens.** `split_words` cuts the text into words with the blank before them; no token spans two of them.
3. **Training** (eq-tokenizer-merge): the pair of neighbouring tokens with the largest count,
   :math:`(a, b) = \arg\max_{(a, b)} \sum_w N(w)\, n_w(a, b)`, becomes a new token :math:`ab`, everywhere, again and again.
   Among pairs of equal count the one with the smaller numbers is taken.
4. **Encoding** applies the merges in the order in which they were learned, not the longest token first.

Sources: "A new algorithm for data compression", The C Users Journal 12(2), 1994; Sennrich, Haddow & Birch,
arXiv:1508.07909; Radford et al., "Language models are unsupervised multitask learners", 2019, section 2.2 (on bytes; the
pattern is from its code).

Departures: letters and digits are those of Python's Unicode tables, so a character that is newer than Python's is cut off
its word. Special tokens have numbers after all others and are recognised only if the caller asks for it.
"""

import heapq
import json
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from companion.validate import check_count

Pair = tuple[bytes, bytes]
_REMEMBERED = 100_000  # words whose tokens are kept


def split_words(text: str) -> list[str]:
    """Cut a text into GPT-2's pre-tokens; joined, they are the text again.

    A pre-token is an English ending after an apostrophe ('s, 't, 're, …), a run of letters, of digits or of other signs
    with at most one blank before it, or white space; of several blanks before a word, the last one goes with the word.
    """
    return (_ascii_pattern if text.isascii() else _pattern)().findall(text)


def printable_bytes() -> list[str]:
    """A printable character for each byte, as GPT-2's files write them: itself, or one from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    strange = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) if byte in plain else chr(256 + strange.index(byte)) for byte in range(256)]


class ByteLevelBPE:
    """Text to numbers and back.

    Args:
        vocab: each token's number, from 0 without a gap; all 256 single bytes are there.
        merges: pairs of tokens, the first learned first; each joined pair is a token.
        special: names of further tokens, such as ``<|endoftext|>``, and their numbers.

    Attributes:
        tokens: what each number stands for; None for a special token.

    Raises:
        ValueError: numbers with gaps, a byte that is missing, or a merge of or to something that is no token.
    """

    def __init__(
        self, vocab: Mapping[bytes, int], merges: Sequence[Pair], special: Mapping[str, int] | None = None
    ) -> None:
        self.vocab, self.merges, self.special = dict(vocab), list(merges), dict(special or {})
        numbers = sorted([*self.vocab.values(), *self.special.values()])
        if numbers != list(range(len(numbers))):
            raise ValueError(f"vocab: got {len(numbers)} numbers with gaps or repeats, wanted 0 to {len(numbers) - 1}")
        missing = [token for token in (bytes([b]) for b in range(256)) if token not in self.vocab]
        missing += [part for a, b in self.merges for part in (a, b, a + b) if part not in self.vocab]
        if missing:
            raise ValueError(f"vocab: got none for {missing[0]!r}, wanted every byte and every part of a merge")
        names = {number: token for token, number in self.vocab.items()}
        self.tokens: list[bytes | None] = [names.get(i) for i in range(len(numbers))]
        self._names = {number: name for name, number in self.special.items()}
        self._ranks = {}
        for rank, (a, b) in enumerate(self.merges):
            self._ranks[self.vocab[a], self.vocab[b]] = (rank, self.vocab[a + b])
        self._known: dict[str, list[int]] = {}

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, special ones included."""
        return len(self.tokens)

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """The numbers of a text.

        Args:
            special: whether the names of special tokens in the text become those tokens. If not, they are text like
                any other: what a user types cannot end a document.
        """
        if not isinstance(text, str):
            raise ValueError(f"text: got {type(text).__name__}, wanted a string")
        if special and self.special:
            names = sorted(self.special, key=len, reverse=True)
            parts = re.split("(" + "|".join(map(re.escape, names)) + ")", text)
        else:
            parts = [text]
        ids: list[int] = []
        for i, part in enumerate(parts):
            if i % 2:
                ids.append(self.special[part])
                continue
            for word in split_words(part):
                ids += self._known[word] if word in self._known else self._encode_word(word)
        return ids

    def decode(self, ids: Iterable[int] | Tensor) -> str:
        """The text of some numbers; bytes that are no whole UTF-8 character become U+FFFD.

        Raises:
            ValueError: a number that stands for no token.
        """
        ids = [int(i) for i in ids]
        strange = [i for i in ids if not 0 <= i < self.vocab_size]
        if strange:
            raise ValueError(f"ids: got {strange[0]}, wanted numbers from 0 to {self.vocab_size - 1}")
        parts = (self._names[i].encode() if (token := self.tokens[i]) is None else token for i in ids)
        return b"".join(parts).decode("utf-8", errors="replace")

    def save(self, folder: Path | str) -> None:
        """Write ``vocab.json`` and ``merges.txt`` as they are published with GPT-2."""
        folder, sign = Path(folder), printable_bytes()
        folder.mkdir(parents=True, exist_ok=True)

        def written(token: bytes) -> str:
            return "".join(sign[byte] for byte in token)

        vocab = {written(token): i for token, i in self.vocab.items()} | self.special
        in_order = dict(sorted(vocab.items(), key=lambda item: item[1]))
        (folder / "vocab.json").write_text(json.dumps(in_order, ensure_ascii=False), encoding="utf-8")
        lines = ["#version: 0.2", *(f"{written(a)} {written(b)}" for a, b in self.merges)]
        (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | str) -> "ByteLevelBPE":
        """Read ``vocab.json`` and ``merges.txt``. What no merge makes and is no single byte is a special token."""
        folder, byte = Path(folder), {sign: value for value, sign in enumerate(printable_bytes())}

        def read(token: str) -> bytes:
            return bytes(byte[sign] for sign in token)

        lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
        lines = [line for i, line in enumerate(lines) if line and not (i == 0 and line.startswith("#version"))]
        written = [tuple(line.split(" ")) for line in lines]
        made = set(byte) | {a + b for a, b in written}
        numbers = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        vocab = {read(token): i for token, i in numbers.items() if token in made}
        merges = [(read(a), read(b)) for a, b in written]
        return cls(vocab, merges, {token: i for token, i in numbers.items() if token not in made})

    def _encode_word(self, word: str) -> list[int]:
        ids = [self.vocab[bytes([byte])] for byte in word.encode("utf-8")]
        while len(ids) > 1:
            found = [
                (self._ranks[pair], i) for i, pair in enumerate(zip(ids, ids[1:], strict=False)) if pair in self._ranks
            ]
            if not found:
                break
            (_, new), i = min(found)  # the merge that was learned first, at its first place
            ids[i : i + 2] = [new]
        if len(self._known) < _REMEMBERED:
            self._known[word] = ids
        return ids


def train_bpe(text: str, vocab_size: int, *, special: Sequence[str] = ()) -> ByteLevelBPE:
    """Learn merges from a text (eq-tokenizer-merge).

    Args:
        vocab_size: tokens in all: 256 bytes, the merges, the special ones. Fewer if no pair is left to merge.

    Raises:
        ValueError: a size below 256 and the special tokens, or a special token that is empty or stands twice.
    """
    if not all(special) or len(set(special)) < len(special):
        raise ValueError(f"special: got {list(special)}, wanted different names of at least one character")
    check_count("vocab_size", vocab_size, low=256 + len(special))
    sign = printable_bytes()
    tokens = sorted((bytes([b]) for b in range(256)), key=lambda token: sign[token[0]])  # GPT-2's order
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
            for ids, sign in ((old, -times[w]), (new, times[w])):
                for neighbours in zip(ids, ids[1:], strict=False):
                    changes[neighbours] += sign
                    if sign > 0:
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


def _compiled(letters: str, digits: str, blanks: str) -> re.Pattern[str]:
    return re.compile(
        f"'s|'t|'re|'ve|'m|'ll|'d| ?[{letters}]+| ?[{digits}]+| ?[^{blanks}{letters}{digits}]+"
        f"|[{blanks}]+(?![^{blanks}])|[{blanks}]+"
    )


@lru_cache(maxsize=1)
def _ascii_pattern() -> re.Pattern[str]:
    return _compiled("A-Za-z", "0-9", r" \t-\r")


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    """The same with all of Unicode's letters (L), numbers (N) and white space; `re` knows none of the three exactly."""
    runs: dict[str, list[list[int]]] = {"L": [], "N": []}
    for code in range(sys.maxunicode + 1):
        kind = unicodedata.category(chr(code))[0]
        if kind in runs:
            if runs[kind] and runs[kind][-1][1] == code - 1:
                runs[kind][-1][1] = code
            else:
                runs[kind].append([code, code])
    letters, digits = ("".join(f"{chr(a)}-{chr(b)}" for a, b in runs[kind]) for kind in "LN")
    return _compiled(letters, digits, " \t-\r\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000")
