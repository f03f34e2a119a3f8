"""The first stage: an answer, a critique by a principle, a revision; then the model learns its revisions.

    answer ~ p(· | request);  a principle is broken → revision ~ p(· | request, answer, critique)
    L = -mean log p(revision | request)                                                     (eq-constitution-revision)

The critique is gone when the revision is learned: what the model did when it was told, it shall do by itself. Bai et al., 2022,
arXiv:2212.08073, section 3. Departures: the rule writes the critique, where there the model does; and a revision that
still breaks a principle is drawn again, a few times, and then left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Int
from torch import Generator, Tensor, nn

from companion.language.contract import device_of
from companion.language.generation import generate
from companion.text.constitution.cards import END, decoded, encoded
from companion.text.constitution.demonstrations import ANSWER, ASKED, CRITIQUE, answered, critique, filled
from companion.text.constitution.principles import Principle, violated
from companion.text.constitution.requests import Request
from companion.validate import Count, checked

ROWS = 800  # written at once, so that their caches fit into a small memory


@dataclass(frozen=True)
class Revised:
    """What became of an answer.

    Attributes:
        request: what was asked.
        first: the answer before.
        broken: the principle that it broke, or None.
        last: the answer that is learned: the first one, if nothing was broken; None if no revision would do.
    """

    request: Request
    first: str
    broken: Principle | None
    last: str | None


@checked
def written(
    model: nn.Module, prompts: Int[Tensor, "n asked"], generator: Generator | None, samples: Count = 1
) -> list[list[str]]:
    """What a model writes after each prompt, so many times: drawn, or without a generator the likeliest words."""
    texts = []
    for some in prompts.to(device_of(model)).split(max(1, ROWS // samples)):
        ids = generate(model, some, ANSWER, samples=samples, generator=generator, stop_token=END)
        texts += [decoded(row) for row in ids[:, prompts.shape[1] :].tolist()]
    return [texts[i : i + samples] for i in range(0, len(texts), samples)]


@checked
def answers_to(
    model: nn.Module, asked: Sequence[Request], generator: Generator | None = None, samples: Count = 1
) -> list[list[str]]:
    """What a model answers to each request, so many times."""
    return written(model, filled([request.prompt() for request in asked], ASKED), generator, samples)


@checked
def revised(
    model: nn.Module,
    asked: Sequence[Request],
    constitution: Sequence[Principle],
    generator: Generator,
    tries: Count = 4,
) -> list[Revised]:
    """Draw an answer to each request, and where it breaks a principle, a revision.

    Args:
        model: a `companion.language.contract.LanguageModel` that has practised revisions.
        asked: the requests.
        constitution: the principles.
        generator: draws.
        tries: revisions drawn at once; the first that breaks nothing is taken.
    """
    first = [answer for (answer,) in answers_to(model, asked, generator)]
    broken = [violated(constitution, r, a) for r, a in zip(asked, first, strict=True)]
    bad = [i for i, principle in enumerate(broken) if principle]
    last: dict[int, str | None] = dict(enumerate(first))
    if bad:
        prompts = [[*asked[i].prompt(), *encoded(first[i].split()), *encoded(critique(broken[i].thing))] for i in bad]
        drawn = written(model, filled(prompts, ASKED + ANSWER + CRITIQUE), generator, tries)
        for i, texts in zip(bad, drawn, strict=True):
            last[i] = next((text for text in texts if violated(constitution, asked[i], text) is None), None)
    return [Revised(r, first[i], broken[i], last[i]) for i, r in enumerate(asked)]


def unprompted(
    prompt: Sequence[int], first: Sequence[int], critique: Sequence[int], revision: Sequence[int]
) -> tuple[list[int], list[bool]]:
    """What is learned from a revision (eq-constitution-revision): a text, and True at its tokens that count.

    The first answer and its critique have done their work, and are in neither.
    """
    return [*prompt, *revision], [False] * len(prompt) + [True] * len(revision)


def lessons(pairs: Sequence[tuple[Request, str]]) -> tuple[Int[Tensor, "n tokens"], Bool[Tensor, "n tokens"]]:
    """Requests with the answers that are to be learned, as data for `answer_loss` (eq-constitution-revision)."""
    prompts = filled([request.prompt() for request, _ in pairs], ASKED)
    return answered(prompts, [encoded(answer.split()) for _, answer in pairs])
