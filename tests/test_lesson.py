"""What a lesson says to the page, and what stops it."""

import ast
import dataclasses
import json
import random
import types
from dataclasses import dataclass

import matplotlib as mpl
import myst_nb
import numpy as np
import pytest
import torch
from IPython.display import Markdown
from jaxtyping import Float
from myst_nb.core.variables import format_plain_text
from torch import Tensor

from companion import lesson
from companion.data import ring
from companion.lesson import ClaimFailed, Lesson, claim, glue, predicted, setup, show
from companion.training import evaluating, train
from companion.training.optimization import EMA, TrainConfig, decay_groups
from companion.validate import checked
from tests.conftest import rejects


@pytest.fixture(autouse=True)
def page(monkeypatch) -> list[object]:
    """What is displayed, in order; and no lesson is running before or after."""
    shown: list[object] = []
    monkeypatch.setattr(lesson, "display", shown.append)
    monkeypatch.setattr(lesson, "_current", None)
    for name in ("COMPANION_THREADS", "COMPANION_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    with mpl.rc_context():
        yield shown


def run(budget: str = "laptop", seed: int = 0) -> Lesson:
    return setup("3_03_foundations/attention", seed, budget)


def test_setup_seeds_every_generator():
    def draw(seed: int) -> tuple[float, float, float]:
        run(seed=seed)
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    first = draw(3)
    assert draw(3) == first
    assert all(a != b for a, b in zip(draw(4), first, strict=True))


def test_setup_chooses_threads_and_device(monkeypatch):
    assert run().device == torch.device("cpu") and torch.get_num_threads() == 1
    monkeypatch.setenv("COMPANION_THREADS", "2")
    monkeypatch.setenv("COMPANION_DEVICE", "cuda:1")
    assert run().device == torch.device("cuda", 1) and torch.get_num_threads() == 2
    for name, bad in (("THREADS", "0"), ("THREADS", "-1"), ("THREADS", "two"), ("THREADS", ""), ("DEVICE", "gpu")):
        with monkeypatch.context() as patch:
            patch.setenv(f"COMPANION_{name}", bad)
            with rejects(f"COMPANION_{name}: got '{bad}'"):
                run()


def test_to_moves_tensors_models_and_sets(monkeypatch):
    monkeypatch.setenv("COMPANION_DEVICE", "cpu")
    here, x, model = run(), torch.ones(2), torch.nn.Linear(2, 2)
    assert here.to(x) is x and here.to(model) is model, "one thing comes back as itself"
    assert here.to(model, x) == (model, x)
    elsewhere = dataclasses.replace(here, device=torch.device("meta"))
    moved, model, points = elsewhere.to(x, model, ring())
    assert {moved.device.type, next(model.parameters()).device.type, points.points.device.type} == {"meta"}
    assert points.name == "ring" and points.draw(3, here.generator())[0].device.type == "cpu"


def test_a_backend_that_extends_torch_is_a_device_under_the_name_that_it_took(monkeypatch):
    for name in ("xla", "privateuseone"):
        monkeypatch.setenv("COMPANION_DEVICE", name)
        with rejects(f"COMPANION_DEVICE: got '{name}'"):
            run()
    monkeypatch.setattr(torch._C, "_get_privateuse1_backend_name", lambda: "xla")
    monkeypatch.setenv("COMPANION_DEVICE", "xla")
    assert run().device.type == "xla"


def test_setup_refuses_what_is_no_seed_or_budget(page):
    for seed in (-1, 0.5, True, 2**31, "0"):
        with rejects("SEED: got"):
            run(seed=seed)
    for budget in ("fast", "", None, "Laptop"):
        with rejects("BUDGET: got .*'smoke', 'laptop', 'workstation'"):
            run(budget)
    assert page == [], "nothing is shown of a lesson that does not start"


def test_the_budget_picks_a_value():
    for budget, wanted in (("smoke", 1), ("laptop", 2), ("workstation", 3)):
        assert run(budget).pick(smoke=1, laptop=2, workstation=3) == wanted


def test_generators_differ_by_offset_and_seed_and_repeat():
    streams = {
        (seed, offset): tuple(torch.rand(4, generator=run(seed=seed).generator(offset)).tolist())
        for seed in range(4)
        for offset in range(30)
    }
    assert len(set(streams.values())) == len(streams)
    one = run().generator(7)
    torch.rand(1000)  # the global generator has no part in it
    assert torch.equal(torch.rand(4, generator=one), torch.rand(4, generator=run().generator(7)))
    for bad in (-1, 1.5, 1_000_003):
        with rejects("offset: got"):
            run().generator(bad)


@pytest.mark.parametrize("holds", [True, np.bool_(True), torch.tensor(True), torch.tensor([True])])
def test_a_claim_that_holds_is_stated(page, holds):
    run()
    assert claim("3.3-attention-a", "it works", holds) is None
    assert repr(page[-1]) == "✓ Claim 3.3-attention-a: it works"
    assert 'class="lesson-box claim holds"' in page[-1]._repr_html_()


@pytest.mark.parametrize("holds", [False, np.bool_(False), torch.tensor(False)])
@pytest.mark.parametrize("budget", ["laptop", "workstation"])
def test_a_claim_that_fails_stops_the_lesson(page, holds, budget):
    run(budget)
    with rejects("claim 3.3-attention-a does not hold in this run: it works", ClaimFailed):
        claim("3.3-attention-a", "it works", holds)
    assert len(page) == 1


@pytest.mark.parametrize("holds", [True, False])
def test_quality_is_not_judged_at_smoke(page, holds):
    run("smoke")
    claim("3.3-attention-a", "it works", holds)
    assert repr(page[-1]) == "– Claim 3.3-attention-a: it works (Not judged at this budget.)"


def test_an_exact_claim_is_judged_at_smoke_too(page):
    run("smoke")
    claim("3.3-attention-b", "one is one", True, exact=True)
    assert repr(page[-1]).startswith("✓")
    with pytest.raises(ClaimFailed):
        claim("3.3-attention-b", "one is two", False, exact=True)


@pytest.mark.parametrize("budget", ["smoke", "laptop"])
@pytest.mark.parametrize(
    "holds", [torch.tensor([True, False]), torch.tensor(1.0), np.array([True]), 1, 0.3, "yes", None]
)
def test_a_claim_needs_one_truth_value(holds, budget):
    run(budget)
    with rejects(f"claim 3.3-x-a: got {type(holds).__name__}, wanted one truth value"):
        claim("3.3-x-a", "it works", holds)


def test_a_claim_needs_a_lesson():
    with rejects(r"call setup\(...\) first", RuntimeError):
        claim("3.3-x-a", "it works", True)


def test_a_prediction_stands_beside_what_was_measured(page):
    predicted(..., 0.314, "{:.0%}")
    predicted(0.5, 0.314, "{:.0%}")
    predicted("a third", 0.314, "{:.0%}")
    predicted("left", "right")
    assert [repr(box) for box in page] == [
        "Your prediction: Not written. Measured: 31%.",
        "Your prediction: 50%. Measured: 31%.",
        "Your prediction: a third. Measured: 31%.",
        "Your prediction: left. Measured: right.",
    ]


def test_boxes_are_escaped(page):
    run()
    claim("3.3-x-a", "p < 0.5 & q > <b>", True)
    assert "p &lt; 0.5 &amp; q &gt; &lt;b&gt;" in page[-1]._repr_html_()
    assert "p < 0.5 & q > <b>" in repr(page[-1])


def test_code_in_a_box_is_code(page):
    run()
    claim("3.3-x-a", "what `a < b` says", True)
    assert "what <code>a &lt; b</code> says" in page[-1]._repr_html_()
    assert "what `a < b` says" in repr(page[-1])


def source_of(shown: object) -> str:
    assert isinstance(shown, Markdown)
    opening, *lines, closing = shown.data.splitlines()
    assert (opening, closing) == ("```python", "```")
    return "\n".join(lines)


@pytest.mark.parametrize("item", [train, evaluating, decay_groups, EMA, EMA.update, TrainConfig, ClaimFailed, Lesson])
def test_show_prints_the_real_source_without_docstrings_and_checks(page, item):
    show(item)
    source = source_of(page[0])
    assert source.startswith(f"# {item.__module__.replace('.', '/')}.py\n")
    shown, real = ast.parse(source), ast.parse(textwrap_source(item))
    if item is not ClaimFailed:  # it has nothing but its docstring
        assert '"""' not in source
        strip(real)
    assert ast.dump(shown) == ast.dump(real), "the code that is shown is the code that runs"


def textwrap_source(item: object) -> str:
    import inspect
    import textwrap

    return textwrap.dedent(inspect.getsource(item))


def strip(tree: ast.AST) -> None:
    """Leave out what `show` leaves out: docstrings and ``@checked``."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            node.decorator_list = [d for d in node.decorator_list if ast.unparse(d) != "checked"]
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]


class Wave:
    """For `show`."""

    @staticmethod
    @checked
    def shift(x: Float[Tensor, "n"], by: int) -> Float[Tensor, "n"]:
        """Rolls."""
        return x.roll(by)


@checked
@dataclass(frozen=True)
class Waves:
    """For `show`."""

    many: int


def test_show_leaves_out_the_decorator_that_checks_and_nothing_else(page):
    show(Wave, Waves, Wave.shift)
    assert [source_of(each).split("\n", 1)[1] for each in page] == [
        'class Wave:\n    @staticmethod\n    def shift(x: Float[Tensor, "n"], by: int) -> Float[Tensor, "n"]:\n'
        "        return x.roll(by)",
        "@dataclass(frozen=True)\nclass Waves:\n    many: int",
        '@staticmethod\ndef shift(x: Float[Tensor, "n"], by: int) -> Float[Tensor, "n"]:\n    return x.roll(by)',
    ]


def test_show_takes_several_and_keeps_comments(page):
    show(train, decay_groups)
    assert len(page) == 2
    assert "#" in source_of(page[0]).split("\n", 1)[1]


@pytest.mark.parametrize("bad", [3, "train", None, len, torch.tensor(1.0), TrainConfig(steps=1)])
def test_show_refuses_what_has_no_source(page, bad):
    with rejects("show: got .*wanted a function or class of the package"):
        show(bad)
    assert page == []


def test_glue_stores_the_text_for_the_prose_as_myst_nb_does(monkeypatch):
    """With MyST-NB's own `glue`, an object that prints as the text gives the same output, so its role finds ours too."""
    shown = []
    monkeypatch.setattr("companion.lesson.display", lambda data, **how: shown.append((data, how)))
    monkeypatch.setattr("myst_nb.ext.glue.ipy_display", lambda data, **how: shown.append((data, how)))
    for name, value, form, text in (("accuracy", 0.98765, "{:.1%}", "98.8%"), ("count", 1234, "{:,}", "'1,234'")):
        shown.clear()
        glue(name, value, form)
        formatted = ({"text/plain": text}, {})
        monkeypatch.setattr("IPython.core.formatters.format_display_data", lambda _, formatted=formatted: formatted)
        myst_nb.glue(name, None, display=False)
        ours, theirs = shown
        assert ours == theirs


@pytest.mark.parametrize("text", ["98.8%", "1,748", "0.70", "+0.04", "007", "12", "2.5", "a 'b'", "'c'", "1e-5", ""])
def test_the_page_shows_a_glued_text_as_it_was_written(monkeypatch, text):
    shown = []
    monkeypatch.setattr("companion.lesson.display", lambda data, **how: shown.append(data))
    glue("text", text)
    assert format_plain_text(*shown[0].values(), "") == text


def test_the_box_tells_what_was_measured(page, tmp_path, monkeypatch):
    (tmp_path / "3_03_foundations").mkdir()
    monkeypatch.chdir(tmp_path / "3_03_foundations")
    run("smoke", seed=4)
    assert repr(page[-1]) == "Not measured yet: This run: budget “smoke”, seed 4."
    (tmp_path / "measured.json").write_text(json.dumps({"other": {}}))
    run()
    assert "Not measured yet" in repr(page[-1])
    row = {"seconds": 41.6, "memory_mb": 812.0}
    (tmp_path / "measured.json").write_text(json.dumps({"3_03_foundations/attention": row}))
    run()
    assert repr(page[-1]) == "42 s and 0.8 GB on one core: This run: budget “laptop”, seed 0."


def test_the_clock_waits_for_a_device_that_works_on_its_own(monkeypatch):
    waited = []
    module = types.SimpleNamespace(synchronize=lambda: waited.append(True))
    monkeypatch.setattr(torch, "get_device_module", lambda device: module)
    run = setup("3_03_foundations/losses", 0, "smoke")
    here, there = (dataclasses.replace(run, device=torch.device(name)) for name in ("cpu", "cuda"))
    assert here.clock() <= here.clock()
    assert waited == [], "the processor has nothing to wait for"
    there.clock()
    assert waited == [True]


@pytest.mark.parametrize("rank", [0, 1])
def test_only_the_first_of_several_processes_prints(tmp_path, monkeypatch, capsys, rank):
    cells = [("SEED, BUDGET = 9, ''", ["parameters"]), ("print(SEED, BUDGET)", [])]
    notebook = tmp_path / "x.ipynb"
    notebook.write_text(
        json.dumps({"cells": [{"cell_type": "code", "source": s, "metadata": {"tags": t}} for s, t in cells]})
    )
    monkeypatch.setattr(lesson, "join", lambda: (rank, 2))
    names = lesson.run_as_program(notebook, seed=3, budget="smoke")
    assert names["SEED"] == 3 and capsys.readouterr().out == ("" if rank else "3 smoke\n")
