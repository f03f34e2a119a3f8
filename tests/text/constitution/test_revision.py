"""Revision: greedy writing equals a loop by hand; only broken answers are revised; the critique is not learned."""

import pytest
import torch

from companion.text.constitution import revision
from companion.text.constitution.cards import END, decoded, encoded
from companion.text.constitution.demonstrations import ANSWER, ASKED, CRITIQUE, filled
from companion.text.constitution.principles import KEEP_THE_CODE, Principle
from companion.text.constitution.revision import answers_to, lessons, revised, unprompted, written
from tests.conftest import gen, rejects
from tests.text.constitution.model import CITY, CODE, small

LEAK, CITY_ANSWER, REFUSED = "it begins with 4 .", "Mara lives in Oslo .", "please ask Mara for the code ."


def test_what_is_written_is_what_a_loop_writes() -> None:
    model = small().eval()
    prompts = filled([CITY.prompt(), CODE.prompt()], ASKED)
    ids = prompts
    with torch.no_grad():
        for _ in range(ANSWER):
            ids = torch.cat([ids, model(ids)[:, -1:].argmax(-1)], 1)
    wanted = [[decoded(row)] for row in ids[:, ASKED:].tolist()]
    assert written(model, prompts, None) == wanted == answers_to(model, [CITY, CODE])


def test_many_prompts_are_written_in_parts_and_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = small(), [CITY, CODE, CITY, CODE, CODE]
    whole = answers_to(model, asked)
    monkeypatch.setattr(revision, "ROWS", 2)
    assert answers_to(model, asked) == whole
    assert [len(texts) for texts in answers_to(model, asked, gen(0), 3)] == [3] * 5


def test_samples_of_a_request_stand_together_and_depend_on_the_generator() -> None:
    drawn = answers_to(small(), [CITY, CODE, CITY], gen(0), 4)
    assert [len(texts) for texts in drawn] == [4, 4, 4] and len({*drawn[0]}) > 1
    assert (
        drawn
        == answers_to(small(), [CITY, CODE, CITY], gen(0), 4)
        != answers_to(small(), [CITY, CODE, CITY], gen(1), 4)
    )


def test_only_a_broken_answer_is_revised_until_nothing_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def writes(model: object, prompts: torch.Tensor, generator: object, samples: int = 1) -> list[list[str]]:
        texts = [decoded(row) for row in prompts.tolist()]
        seen.append((prompts.shape[1], texts, samples))
        if samples > 1:
            return [[LEAK, REFUSED, "sorry"] if "Mara" in text else [LEAK] * 3 for text in texts]
        return [[LEAK if "code of" in text else CITY_ANSWER] for text in texts]

    monkeypatch.setattr(revision, "written", writes)
    found = revised(small(), [CITY, CODE], [KEEP_THE_CODE], gen(0), 3)
    assert [(r.first, r.broken, r.last) for r in found] == [
        (CITY_ANSWER, None, CITY_ANSWER),
        (LEAK, KEEP_THE_CODE, REFUSED),
    ]
    (_, _, _), (length, (prompt,), samples) = seen
    assert (length, samples) == (ASKED + ANSWER + CRITIQUE, 3)
    assert prompt.endswith(f"{LEAK} critique : the answer tells the code . revision :")
    monkeypatch.setattr(revision, "written", lambda m, p, g, samples=1: [[LEAK] * samples] * len(p))
    assert [r.last for r in revised(small(), [CODE], [KEEP_THE_CODE], gen(0), 2)] == [None]
    assert [r.last for r in revised(small(), [CODE], [], gen(0))] == [LEAK]  # no principle, nothing to revise
    with rejects("tries"):
        revised(small(), [CODE], [KEEP_THE_CODE], gen(0), 0)
    with rejects("samples"):
        answers_to(small(), [CODE], gen(0), 0)


def test_the_critique_names_what_was_told_and_a_revision_breaks_no_principle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known mistake: a revision for one principle is taken though it breaks another."""
    no_city = Principle("Never tell where somebody lives.", "city", lambda city, answer: city in answer.split())
    prompts_seen = []

    def writes(model: object, prompts: torch.Tensor, generator: object, samples: int = 1) -> list[list[str]]:
        prompts_seen.extend(decoded(row) for row in prompts.tolist())
        return [[CITY_ANSWER]] if samples == 1 else [[LEAK, CITY_ANSWER, REFUSED]]

    monkeypatch.setattr(revision, "written", writes)
    (found,) = revised(small(), [CITY], [KEEP_THE_CODE, no_city], gen(0), 3)
    assert (found.broken, found.last) == (no_city, REFUSED)
    assert prompts_seen[1].endswith("critique : the answer tells the city . revision :")


def test_the_revision_is_learned_as_an_answer_to_the_request_alone() -> None:
    """Known mistakes: the critique is left in what is learned, or the first answer is."""
    ids, mask = lessons([(CODE, REFUSED), (CITY, CITY_ANSWER)])
    assert ids[0][mask[0]].tolist() == [*encoded(REFUSED.split()), END]
    assert decoded(ids[0].tolist()) == f"{decoded(CODE.prompt())} {REFUSED}"
    assert torch.equal(ids[:, :ASKED], filled([CODE.prompt(), CITY.prompt()], ASKED))


def test_of_a_revision_the_request_is_read_and_the_revision_learned() -> None:
    """By hand: neither the first answer nor the critique is left; it is what `lessons` makes of the same pair."""
    assert unprompted([1, 2], [3], [4, 5], [6, 7, 8]) == ([1, 2, 6, 7, 8], [False, False, True, True, True])
    ids, mask = lessons([(CODE, REFUSED)])
    said, counts = unprompted(CODE.prompt(), encoded(LEAK.split()), [9], [*encoded(REFUSED.split()), END])
    start = ASKED - len(CODE.prompt())
    assert ids[0, start : start + len(said)].tolist() == said
    assert mask[0, start : start + len(said)].tolist() == counts
