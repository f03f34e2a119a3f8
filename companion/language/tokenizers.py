r"""Byte-level byte-pair encoding: text as whole numbers, as GPT-2 reads it.

1. **Bytes.** A text is its UTF-8 bytes, so 256 tokens can write everything and no character is unknown.
2. **Pre-tokens.** `split_words` cuts the text into words with the blank before them; no token spans two of them.
3. **Encoding** applies the merges in the order in which they were learned (`companion.text.tokenizer`), not the longest token
   first.

Source: Radford et al., "Language models are unsupervised multitask learners", 2019, section 2.2 (on bytes; the pattern is from
its code).

Departure: special tokens have numbers after all others and are recognised only if the caller asks for it.
"""

import heapq
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import regex
from torch import Tensor

Pair = tuple[bytes, bytes]
PRE_TOKEN = regex.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d"  # English endings
    r"| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"  # letters, digits, or anything else, with at most one blank before
    r"|\s+(?!\S)|\s+"  # white space, but not the last blank before a word
)
_REMEMBERED = 100_000  # words whose tokens are kept
_LONG = 64  # from so many bytes on, looking at every pair for every merge takes too long


def split_words(text: str) -> list[str]:
    """Cut a text into GPT-2's pre-tokens; joined, they are the text again.

    A pre-token is an English ending after an apostrophe ('s, 't, 're, …), a run of letters, of digits or of other characters
    with at most one blank before it, or white space; of several blanks before a word, the last one goes with the word.
    """
    return PRE_TOKEN.findall(text)


def check_text(name: str, text: Any) -> None:
    """Raise ``ValueError`` unless ``text`` is a string that UTF-8 can write: all but halves of a surrogate pair.

    Such halves come from files that were read with ``errors="surrogateescape"``, and from texts cut in UTF-16.
    """
    if not isinstance(text, str):
        raise ValueError(f"{name}: got {type(text).__name__}, wanted a string")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name}: got half of a surrogate pair, {text[error.start]!r} at place {error.start}, wanted whole characters; "
            'read the file anew, or use text.encode("utf-8", "replace").decode()'
        ) from None


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
        ValueError: numbers with gaps, a byte that is missing, a merge of or to something that is no token, or a special name
            that is written like another token in ``vocab.json``.
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
        written_as = printable_bytes()
        taken = self.special.keys() & {"".join(written_as[byte] for byte in token) for token in self.vocab}
        if taken or not all(self.special):
            got = next(iter(taken), "")
            raise ValueError(
                f"special: got {got!r}, wanted names that no other token has in vocab.json, such as '<|end|>'"
            )
        for name in self.special:
            check_text("special", name)
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
        check_text("text", text)
        if special and self.special:
            names = sorted(self.special, key=len, reverse=True)
            parts = regex.split("(" + "|".join(map(regex.escape, names)) + ")", text)
        else:
            parts = [text]
        ids: list[int] = []
        for i, part in enumerate(parts):
            if i % 2:
                ids.append(self.special[part])
                continue
            for word in split_words(part):
                ids += self._known[word] if word in self._known else self._encode_any(word)
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
        folder, written_as = Path(folder), printable_bytes()
        folder.mkdir(parents=True, exist_ok=True)

        def written(token: bytes) -> str:
            return "".join(written_as[byte] for byte in token)

        vocab = {written(token): i for token, i in self.vocab.items()} | self.special
        in_order = dict(sorted(vocab.items(), key=lambda item: item[1]))
        (folder / "vocab.json").write_text(json.dumps(in_order, ensure_ascii=False), encoding="utf-8")
        lines = ["#version: 0.2", *(f"{written(a)} {written(b)}" for a, b in self.merges)]
        (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | str) -> "ByteLevelBPE":
        """Read ``vocab.json`` and ``merges.txt``. What no merge makes and is no single byte is a special token."""
        folder, byte = Path(folder), {written_as: value for value, written_as in enumerate(printable_bytes())}

        def read(token: str) -> bytes:
            return bytes(byte[character] for character in token)

        lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
        lines = [line for i, line in enumerate(lines) if line and not (i == 0 and line.startswith("#version"))]
        written = [tuple(line.split(" ")) for line in lines]
        made = set(byte) | {a + b for a, b in written}
        numbers = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        vocab = {read(token): i for token, i in numbers.items() if token in made}
        merges = [(read(a), read(b)) for a, b in written]
        return cls(vocab, merges, {token: i for token, i in numbers.items() if token not in made})

    def _encode_any(self, word: str) -> list[int]:
        return self._encode_word(word) if len(word.encode("utf-8")) < _LONG else self._encode_long_word(word)

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

    def _encode_long_word(self, word: str) -> list[int]:
        """As `_encode_word`, in O(n log n): the pairs wait in a heap, and each token knows its neighbours."""
        ids = [self.vocab[bytes([byte])] for byte in word.encode("utf-8")]
        n = len(ids)
        before, after = [*range(-1, n - 1)], [*range(1, n + 1)]
        heap: list[tuple[int, int, int, int]] = []

        def wait(i: int) -> None:
            """Put the pair that begins at place i into the heap, if it is ever merged."""
            if i >= 0 and after[i] < n and (found := self._ranks.get((ids[i], ids[after[i]]))):
                heapq.heappush(heap, (found[0], i, ids[i], ids[after[i]]))

        for i in range(n):
            wait(i)
        while heap:
            _, i, left, right = heapq.heappop(heap)
            j = after[i]
            if ids[i] != left or j >= n or ids[j] != right:  # one of them has been merged since
                continue
            ids[i], ids[j], after[i] = self._ranks[left, right][1], -1, after[j]
            if after[j] < n:
                before[after[j]] = i
            wait(before[i])
            wait(i)
        return [token for token in ids if token >= 0]
