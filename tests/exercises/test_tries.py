"""Try cells: a right answer carries the page on; a stub and a wrong one give way to the course's; what was solved is kept."""

import functools
import json
import re

import pytest
import torch

from companion.exercises import tries
from companion.exercises.tries import Try, all_tries, attempt, progress
from companion.exercises.tries.gpt import block, chances, mean_nats, targets
from tests.conftest import rejects
from tests.lessons import notebooks

TRIES = list(all_tries().values())
SEEDS = range(2)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPANION_KEEP", str(tmp_path))


@pytest.fixture
def said(monkeypatch):
    """What the boxes on the page say."""
    boxes = []
    monkeypatch.setattr(tries, "display", lambda box: boxes.append(repr(box)))
    return boxes


@pytest.mark.parametrize("one", TRIES, ids=lambda one: one.id)
def test_the_courses_own_function_is_right(one, said):
    def mine(*args):
        return one.course(*args)

    for seed in SEEDS:
        assert attempt(one.id, mine, seed=seed) is mine
        assert re.match(rf"✓ Try {one.id}: Right on \d fresh inputs", said[seed]), said


@pytest.mark.parametrize("one", TRIES, ids=lambda one: one.id)
def test_each_usual_mistake_is_caught_and_named(one, said):
    for name, wrong in one.mistakes.items():
        said.clear()
        for seed in SEEDS:
            assert attempt(one.id, wrong, seed=seed) is one.course
            assert said[seed].startswith(f"✗ Try {one.id}") and f"(likely mistake: {name})" in said[seed], said


@pytest.mark.parametrize("one", TRIES, ids=lambda one: one.id)
def test_what_returns_its_input_or_nothing_is_wrong(one, said):
    def echo(*args):
        return args[0]

    def forgot(*args):
        one.course(*args)

    for wrong in (echo, forgot):
        assert attempt(one.id, wrong, seed=0) is one.course
    assert "got None (likely mistake: no `return`" in said[1]


def test_every_try_has_its_usual_mistakes():
    assert all(len(one.mistakes) >= 3 for one in TRIES)


def stub(chances): ...


def stub_with_words(chances):
    """What it is to do."""


def passed(chances):
    pass


def computes_nothing_yet(chances):
    -sum(chances)


@pytest.mark.parametrize("empty", [stub, stub_with_words, passed])
def test_a_stub_was_not_tried_and_leaves_no_trace(empty, said, tmp_path):
    assert attempt("3.4-gpt-1", empty) is mean_nats
    assert said == ["Try 3.4-gpt-1: Not tried: going on with the course's mean_nats."]
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_computes_is_no_stub(said):
    attempt("3.4-gpt-1", computes_nothing_yet)
    assert said[0].startswith("✗ Try 3.4-gpt-1: got None")


def test_an_error_in_the_readers_code_is_told_and_the_page_goes_on(said):
    assert attempt("3.4-gpt-2", lambda h, *parts: h + 1 / 0) is block
    assert "raised ZeroDivisionError" in said[0]


def test_another_style_is_right_too():
    def slow(h, attention, mlp, norm, norm_again):
        found = attention(norm(h))
        middle = torch.add(found, h).double().float()
        return mlp(norm_again(middle)) + middle

    assert attempt("3.4-gpt-2", slow) is slow

    def as_list(ids):
        return [ids[..., :-1], ids[..., 1:]]

    assert attempt("3.4-gpt-3", as_list) is as_list

    def in_double(logits, temperature):
        x = (logits[:, -1].double() / temperature).exp()
        return x / x.sum(-1, keepdim=True)

    assert attempt("3.4-gpt-4", in_double) is in_double


def test_inputs_are_fresh_and_the_readers_function_cannot_change_them(monkeypatch, said):
    seen = []

    def spoils(logits, temperature):
        seen.append(logits.clone())
        right = chances(logits, temperature)
        logits.zero_()
        return right

    for _ in range(2):
        assert attempt("3.4-gpt-4", spoils) is spoils
    assert not torch.equal(seen[0], seen[3])


def test_a_fixed_answer_is_wrong():
    right = targets(torch.tensor([[1, 2, 3]]))
    assert attempt("3.4-gpt-3", lambda ids: right) is targets


def test_numbers_are_shown_got_and_wanted(said):
    attempt("3.4-gpt-1", lambda p: 0.25, seed=0)
    assert re.search(r"got 0\.25, wanted \d\.\d+\. Going on", said[0])


def test_what_was_tried_is_kept_and_listed(tmp_path):
    assert set(progress().values()) == {None}
    attempt("3.4-gpt-1", lambda p: 0.25)
    attempt("3.4-gpt-3", targets)
    assert {id: holds for id, holds in progress().items() if holds is not None} == {
        "3.4-gpt-1": False, "3.4-gpt-3": True,
    }  # fmt: skip
    attempt("3.4-gpt-1", lambda p: mean_nats(p))
    attempt("3.4-gpt-3", stub)
    assert progress()["3.4-gpt-1"] and progress()["3.4-gpt-3"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["progress.json"]


def test_a_damaged_list_is_set_aside(tmp_path):
    (tmp_path / "progress.json").write_text("{", encoding="utf-8")
    attempt("3.4-gpt-3", targets)
    assert list(json.loads((tmp_path / "progress.json").read_text(encoding="utf-8"))) == ["3.4-gpt-3"]
    assert (tmp_path / "progress.damaged").read_text(encoding="utf-8") == "{"


@pytest.mark.parametrize(
    ("id", "function", "words"),
    [("3.4-gpt-9", targets, "id: got '3.4-gpt-9'"), ("3.4-gpt-3", 3, "function: got int")],
)
def test_what_is_no_try_is_refused(id, function, words):
    with rejects(words):
        attempt(id, function)


def test_names_are_unique(monkeypatch):
    all_tries.cache_clear()
    monkeypatch.setattr("companion.exercises.tries.gpt.TRIES", (TRIES[0], TRIES[0]))
    with rejects("twice"):
        all_tries()
    monkeypatch.undo()
    all_tries.cache_clear()


@functools.cache
def _cells():
    """Each try cell of the lessons: its try's id, the cell, and the text of the markdown that follows."""
    tried = []
    for path in notebooks.lessons():
        cells = notebooks.read(path).cells
        for cell, after in zip(cells, cells[1:] + [None], strict=True):
            found = re.search(r'attempt\("([\w.-]+)"', cell.source) if cell.cell_type == "code" else None
            if found:
                tried.append((found[1], cell, after.source if after is not None else ""))
    return tried


def test_each_try_stands_in_one_cell_as_a_stub_and_its_hint_and_solution_unfold():
    found = _cells()
    assert sorted(id for id, _, _ in found) == sorted(all_tries())
    for id, cell, after in found:
        assert "try" in notebooks.tags(cell), id
        name = all_tries()[id].call.partition("(")[0]
        assert f'{name} = attempt("{id}", {name})' in cell.source, id
        assert [output["data"]["text/plain"] for output in cell.outputs] == [
            f"Try {id}: Not tried: going on with the course's {name}."
        ]
        assert re.findall(r"<summary>(\w+)</summary>", after) == ["Hint", "Solution"], id


@pytest.mark.parametrize("id", list(all_tries()))
def test_the_solution_on_the_page_is_right(id):
    cell, after = next((cell, after) for found, cell, after in _cells() if found == id)
    names = {"torch": torch, "math": __import__("math")}
    exec(re.search(r"```python\n(.*?)```", after, re.S)[1], names)
    name = all_tries()[id].call.partition("(")[0]
    stubbed = dict(names)
    exec(cell.source.split(f"{name} = attempt")[0], stubbed)
    assert attempt(id, names[name]) is names[name]
    assert attempt(id, stubbed[name]) is all_tries()[id].course


def test_a_try_of_whole_numbers_and_words_is_compared_as_it_is(monkeypatch, said):
    one = Try("0-a-1", "f(n)", lambda n: ["a", n], lambda g: [(3,)], {"off by one": lambda n: ["a", n + 1]})
    monkeypatch.setattr(tries, "all_tries", lambda: {one.id: one})
    attempt(one.id, lambda n: ["a", n + 1])
    attempt(one.id, lambda n: ["a", True])
    assert attempt(one.id, lambda n: ("a", torch.tensor(n)))(3) == ("a", torch.tensor(3))
    assert said[0].endswith("got ['a', 4], wanted ['a', 3] (likely mistake: off by one). Going on with the course's f.")
    assert said[1].startswith("✗")
