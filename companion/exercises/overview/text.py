"""The checks of exercise 3.1.1: the next character by counting, with the smoothing of Witten and Bell.

Right values come from walking over all places of the text; a test holds them to those of `companion.language.ngrams`, which
counts in another way. The alphabet has letters that the text has not, so that the end of the chain shows.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare


def _text(g: Generator, characters: int, alphabet: str) -> str:
    """A random text that uses its whole alphabet, some letters far more often than others."""
    weights = torch.arange(1.0, len(alphabet) + 1) ** 2
    drawn = torch.multinomial(weights, characters, replacement=True, generator=g)
    return alphabet + "".join(alphabet[int(i)] for i in drawn)


def _probabilities(answer: Answer, text: str, context: str, alphabet: str) -> Tensor:
    result = answer(text, context, alphabet)
    if isinstance(result, dict):
        raise Wrong("got a dictionary, wanted the probabilities alone, in the order of the alphabet")
    try:
        got = torch.as_tensor(result, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise Wrong(f"got {str(result)[:60]}, wanted {len(alphabet)} probabilities") from error
    if tuple(got.shape) != (len(alphabet),):
        raise Wrong(f"got shape {tuple(got.shape)}, wanted ({len(alphabet)},)")
    if not torch.isfinite(got).all():
        raise Wrong("got values that are not finite", "a context that was never seen is divided by zero")
    return got


def _counts(text: str, context: str, alphabet: str) -> Tensor:
    k = len(context)
    found = torch.zeros(len(alphabet), dtype=torch.float64)
    for i in range(len(text) - k):
        if text[i : i + k] == context:
            found[alphabet.index(text[i + k])] += 1
    return found


def _chain(
    text: str,
    contexts: list[str],
    alphabet: str,
    step: Callable[[Tensor, Tensor], Tensor],
    counts: Callable[[str, str, str], Tensor] = _counts,
) -> Tensor:
    p = torch.full((len(alphabet),), 1 / len(alphabet), dtype=torch.float64)
    for context in contexts:
        p = step(counts(text, context, alphabet), p)
    return p


def _right(n: Tensor, p: Tensor) -> Tensor:
    kinds = (n > 0).sum()
    return (n + kinds * p) / (n.sum() + kinds).clamp(min=1) if kinds else p


def _not_overlapping(text: str, context: str, alphabet: str) -> Tensor:
    return torch.tensor([text.count(context + c) for c in alphabet], dtype=torch.float64)


def _mistakes(text: str, context: str, alphabet: str) -> dict[str, Tensor]:
    ends = [context[len(context) - k :] for k in range(len(context) + 1)]
    size = len(alphabet)
    return {
        "counts alone: the shorter context is forgotten": _chain(
            text, ends, alphabet, lambda n, p: n / n.sum().clamp(min=1) if n.sum() else p
        ),
        "T counts places, not different characters": _chain(
            text, ends, alphabet, lambda n, p: (n + n.sum() * p) / (2 * n.sum()).clamp(min=1) if n.sum() else p
        ),
        "one is added to each count, which is another smoothing": _chain(
            text, ends, alphabet, lambda n, p: (n + 1) / (n.sum() + size)
        ),
        "the chain does not end at the uniform distribution": _chain(
            text, ends[1:], alphabet, _right
        ) if not ends[1:] else _from(_chain(text, [""], alphabet, lambda n, p: n / n.sum()), text, ends[1:], alphabet),
        "the context is cut at the wrong end: its last characters count": _chain(
            text, [context[:k] for k in range(len(context) + 1)], alphabet, _right
        ),
        "only the longest context and the uniform distribution are mixed": _chain(text, [context], alphabet, _right),
        "places that overlap are not counted": _chain(text, ends, alphabet, _right, _not_overlapping),
    }  # fmt: skip


def _from(p: Tensor, text: str, contexts: list[str], alphabet: str) -> Tensor:
    for context in contexts:
        p = _right(_counts(text, context, alphabet), p)
    return p


def wanted(text: str, context: str, alphabet: str) -> Tensor:
    """The equation of the exercise, one context after the other, the shortest first."""
    return _chain(text, [context[len(context) - k :] for k in range(len(context) + 1)], alphabet, _right)


def _compare(answer: Answer, text: str, context: str, alphabet: str) -> str:
    got = _probabilities(answer, text, context, alphabet)
    return compare(got, wanted(text, context, alphabet), _mistakes(text, context, alphabet), atol=1e-6)


def _form(answer: Answer, g: Generator) -> str:
    text = _text(g, 40, "abcd")
    for context in ("", "d", "cd"):
        got = _probabilities(answer, text, context, "abcdx")
        if abs(float(got.sum()) - 1) > 1e-6 or not (got > 0).all():
            raise Wrong(
                f"after {context!r} got a sum of {float(got.sum()):.4g} and {int((got <= 0).sum())} zeros, wanted 1 and 0"
            )
    return "five probabilities above zero that add up to one"


def _no_context(answer: Answer, g: Generator) -> str:
    return _compare(answer, _text(g, 30, "abcdef"), "", "abcdefxyz")


def _contexts(answer: Answer, g: Generator) -> str:
    said = ""
    for context in ("c", "de", "edc", "bde"):
        text = _text(g, 150, "abcde") + context + "a" + context + "d"
        said = _compare(answer, text, context, "abcdexyz")
    return said


def _never_seen(answer: Answer, g: Generator) -> str:
    return _compare(answer, _text(g, 60, "abcd").replace("ba", "bd"), "ba", "abcdxyz")


def _overlap(answer: Answer, g: Generator) -> str:
    run = int(5 + torch.randint(4, (), generator=g))
    return _compare(answer, "ab" + "a" * run + "b" + "a" * (run - 2), "aa", "abx")


EXERCISES = (
    Exercise(
        "3.1.1",
        "next_character(text, context, alphabet)",
        (
            Property("probabilities", 3, _form),
            Property("without a context", 5, _no_context),
            Property("with a context", 6, _contexts),
            Property("a context that was never seen", 3, _never_seen),
            Property("places that overlap", 3, _overlap),
        ),
    ),
)
