"""Chains of steps: the code says what the step does, tests tell chains apart, no held-out chain is trained on."""

import random

import pytest

from companion.code.chains import STEPS, chain_tasks, make_task, run_steps, solves, split_of_steps
from companion.code.sandbox import Sandbox
from tests.conftest import rejects


@pytest.fixture(scope="module")
def box():
    with Sandbox() as sandbox:
        yield sandbox


def test_every_step_by_its_code_is_the_step(box) -> None:
    """The module's own function and the code that a model is to write agree on every hidden input."""
    for name in STEPS:
        task = make_task([name], random.Random(0))
        assert solves(box, task, task.solution), name


def test_solutions_pass_and_wrong_chains_do_not(box) -> None:
    for task in chain_tasks("test", 40, seed=1, lengths=(2, 3, 4)):
        assert solves(box, task, task.solution)
        assert not solves(box, task, "    return xs\n") or all(run_steps(task.steps, x) == x for (x,) in task.inputs)
        assert not solves(box, task, "    return None\n") and not solves(
            box, task, "    return [float(x) for x in xs]\n"
        )
        assert not solves(box, task, "    import sys\n    sys.exit(0)\n")


def test_hidden_inputs_tell_single_steps_apart() -> None:
    names = list(STEPS)
    for a in names:
        inputs = make_task([a], random.Random(0)).inputs
        for b in names:
            same = all(run_steps([a], x) == run_steps([b], x) for (x,) in inputs)
            assert same == (a == b) or {a, b} == {"even", "multiples 2"}, (a, b)


def test_by_hand() -> None:
    assert run_steps(["even", "square"], [1, 2, -4]) == [4, 16]
    assert run_steps(["square", "last 2", "reverse"], [1, 2, 3]) == [9, 4]
    task = make_task(["even", "add 3"], random.Random(3))
    assert task.solution == "    xs = [x for x in xs if x % 2 == 0]\n    xs = [x + 3 for x in xs]\n    return xs\n"
    assert task.prompt.startswith('def f(xs):\n    """') and ", then " in task.prompt


def test_no_chain_is_in_both_splits() -> None:
    train, test = chain_tasks("train", 600, 0, lengths=(1, 2, 3)), chain_tasks("test", 600, 0, lengths=(2, 3))
    assert not {t.steps for t in train} & {t.steps for t in test}
    assert all(split_of_steps(t.steps) == "train" for t in train) and {len(t.steps) for t in train} == {1, 2, 3}
    assert {name for t in test for name in t.steps} <= {name for t in train for name in t.steps}


def test_a_seed_gives_the_same_tasks() -> None:
    assert chain_tasks("train", 20, 5) == chain_tasks("train", 20, 5) != chain_tasks("train", 20, 6)


def test_bad_input() -> None:
    with rejects("split"):
        chain_tasks("valid", 3, 0)
    with rejects("lengths"):
        chain_tasks("test", 3, 0, lengths=(1, 2))
    with rejects("steps"):
        make_task(["cube"], random.Random(0))
