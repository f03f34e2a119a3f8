"""The shipped model for the cursor: what its further training was for, and its training examples."""

from types import SimpleNamespace

import torch

from companion.code.codex.fim import question
from companion.code.codex.sampling import mean_log_probs
from companion.data import standard_library
from companion.models import codex
from companion.models import codex_middle as module
from companion.models.codex_middle import SIZE, _cuts, build, load


def test_the_model_for_the_cursor_reads_what_stands_behind() -> None:
    """The loss on hidden lines of held-out modules: below the first model's, and higher with another function's suffix."""
    (first, bpe), (second, _) = codex.load(), load()
    functions = [
        text for text in standard_library("test").functions(2500) if text.count("\n") >= 8 and len(text) < 450
    ][::6]
    rows = [text.split("\n") for text in functions]
    nats = {"first": 0.0, "second": 0.0, "wrong": 0.0}
    for row, other in zip(rows, rows[1:] + rows[:1], strict=True):
        prefix, middle = "\n".join(row[:3]), bpe.encode("\n" + row[3])
        suffix, wrong = ("\n" + "\n".join(lines[4:]) for lines in (row, other))
        for way, model, given in (
            ("first", first, question(bpe, prefix, suffix, order="PSM")),
            ("second", second, question(bpe, prefix, suffix)),
            ("wrong", second, question(bpe, prefix, wrong)),
        ):
            nats[way] -= mean_log_probs(model, bpe, [given], [middle], len(middle))[0] * len(middle)
    assert nats["second"] < nats["first"] and nats["second"] < nats["wrong"], nats


def test_it_starts_from_the_shipped_model_and_differs_from_it() -> None:
    start, trained, first = (model.state_dict() for model in (build(), load()[0], codex.load()[0]))
    assert all(torch.equal(start[name], first[name]) for name in first)
    assert not torch.equal(trained["tokens.weight"], first["tokens.weight"])


def test_examples_are_pieces_of_modest_length_drawn_anew_for_each_seed() -> None:
    one, again, other = (_cuts("valid", 20, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert one == again != other and len(one) == 20
    assert all(80 < len(part.text) <= 400 for part in one) and SIZE <= 400
    assert len({part.text for part in one}) > 15


def test_only_the_recipe_for_a_trial_is_short(monkeypatch, tmp_path) -> None:
    asked = []
    monkeypatch.setattr(module, "train", lambda *args, **_: asked.append(args[3]) or SimpleNamespace(model=args[0]))
    monkeypatch.setattr(module, "_cuts", lambda split, n, draw: _cuts(split, min(n, 8), draw))
    for smoke in (True, False):
        module.RECIPE.train(build(), 0, smoke, tmp_path / "x")
    assert asked[0].steps <= 4 < 100 < asked[1].steps
