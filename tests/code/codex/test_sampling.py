"""Many draws: in the order of the prompts, scored by the model's own distribution, up to the end token."""

import pytest
import torch

from companion.code.codex.completion import complete, first_block
from companion.code.codex.fim import END
from companion.code.codex.sampling import Program, draw_programs, mean_log_probs, surest
from companion.models.codex import load
from companion.training import evaluating
from tests.conftest import rejects

PROMPTS = ["def first(xs):\n    return", "import os\n\ndef main():", "def last(ys):\n    return"]


def test_without_a_generator_each_prompt_gets_what_complete_writes() -> None:
    model, bpe = load()
    drawn = draw_programs(model, bpe, PROMPTS, 2, generator=None, new_tokens=12)
    for prompt, programs in zip(PROMPTS, drawn, strict=True):
        wanted = first_block(complete(model, bpe, prompt, new_tokens=12)[0])
        assert [program.text for program in programs] == [wanted, wanted]


def test_the_score_is_the_mean_log_probability_of_the_tokens_written() -> None:
    """In the closed form: one forward pass of prompt and text alone, no batch, no padding."""
    model, bpe = load()
    prompt = bpe.encode("def f(x):\n    ")
    written = [bpe.encode("return x"), bpe.encode("return x + 1\n"), bpe.encode("y")]
    got = mean_log_probs(model, bpe, [prompt] * 3, written, new_tokens=40)
    for ids, score in zip(written, got, strict=True):
        row = torch.tensor([[*prompt, *ids, bpe.special[END]]])
        with evaluating(model):
            log_probs = model(row)[0].log_softmax(-1)
        terms = [log_probs[t - 1, row[0, t]] for t in range(len(prompt), row.shape[1])]
        assert score == pytest.approx(float(torch.stack(terms).mean()), abs=1e-5)


def test_a_row_that_was_cut_off_has_no_end_sign_to_score() -> None:
    model, bpe = load()
    ids = bpe.encode("return x + 1\n")
    whole, cut = (mean_log_probs(model, bpe, [bpe.encode("def f(x):\n    ")], [ids], n)[0] for n in (40, len(ids)))
    assert whole != pytest.approx(cut, abs=1e-6)


def test_scores_do_not_depend_on_the_temperature_of_the_draw_and_draws_do() -> None:
    """I38: a lower temperature gives surer programs."""
    model, bpe = load()

    def mean_score(temperature: float) -> float:
        draw = torch.Generator().manual_seed(1)
        [programs] = draw_programs(model, bpe, PROMPTS[:1], 24, generator=draw, temperature=temperature, new_tokens=16)
        return sum(program.score for program in programs) / 24

    assert mean_score(0.2) > mean_score(0.8) + 0.1 > mean_score(1.4) + 0.2


def test_the_surest_is_the_one_with_the_highest_score() -> None:
    assert surest([Program("a", -1.0), Program("b", -0.5), Program("c", -0.5)]) == 1
    with rejects("programs"):
        surest([])
