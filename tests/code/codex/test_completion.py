"""The shipped model of code: its tokens, where it stops, what it writes."""

import torch

from companion.code.codex.completion import complete, first_block, infill
from companion.code.codex.fim import SPECIAL, question
from companion.code.codex.sampling import mean_log_probs
from companion.data import more_itertools, standard_library
from companion.language.scoring import mean_nats
from companion.models import codex_middle
from companion.models.codex import CONTEXT, VOCAB_SIZE, build, load, tokenizer
from tests.conftest import rejects


def test_the_tokenizer_reads_code_and_gives_it_back() -> None:
    bpe, text = tokenizer(), more_itertools().text[:5000]
    assert bpe.vocab_size == VOCAB_SIZE and set(bpe.special) == set(SPECIAL)
    ids = bpe.encode(text)
    assert bpe.decode(ids) == text and len(ids) < len(text) / 2
    assert len(bpe.encode("        return x")) <= 4, "a run of blanks is a token"


def test_half_the_price_of_the_untrained_model_on_code_of_others() -> None:
    model, bpe = load()
    ids = torch.tensor(bpe.encode(more_itertools().text[:8000]))
    torch.manual_seed(0)
    assert mean_nats(model, ids) < 0.6 * mean_nats(build(), ids)


def test_completes_and_fills_in_and_stops_before_its_signs() -> None:
    model, bpe = load()
    prompt = "import os\n\ndef main():\n    "
    greedy = complete(model, bpe, prompt, new_tokens=12)
    assert greedy == complete(model, bpe, prompt, new_tokens=12) and "<|" not in greedy[0]
    drawn = complete(model, bpe, prompt, samples=3, new_tokens=12, generator=torch.Generator().manual_seed(0))
    assert len(drawn) == 3 and len(set(drawn)) > 1
    [middle] = infill(model, bpe, "def f(self, x):\n    ", "\n    return y\n", new_tokens=12)
    assert "<|" not in middle


def test_a_long_prompt_is_read_from_its_end() -> None:
    model, bpe = load()
    long = "x = 1\n" * 500
    assert complete(model, bpe, long, new_tokens=5) == complete(model, bpe, "y = 2\n" + long, new_tokens=5)
    with rejects("new_tokens"):
        complete(model, bpe, "x", new_tokens=CONTEXT)


def test_first_block_is_the_body_alone() -> None:
    assert first_block("    a = 1\n\n    return a\n\n\ndef g():\n    pass\n") == "    a = 1\n\n    return a\n"
    assert first_block("print(1)\n") == "\n"


def test_the_model_for_the_cursor_reads_what_stands_behind() -> None:
    """The price of hidden lines of held-out modules: cheaper than for the first model, dearer with the suffix of another."""
    (first, bpe), (second, _) = load(), codex_middle.load()
    functions = [
        text for text in standard_library("test").functions(2500) if text.count("\n") >= 8 and len(text) < 450
    ][::6]
    rows = [text.split("\n") for text in functions]
    price = {"first": 0.0, "second": 0.0, "wrong": 0.0}
    for row, other in zip(rows, rows[1:] + rows[:1], strict=True):
        prefix, middle = "\n".join(row[:3]), bpe.encode("\n" + row[3])
        suffix, wrong = ("\n" + "\n".join(lines[4:]) for lines in (row, other))
        for way, model, given in (
            ("first", first, question(bpe, prefix, suffix, order="PSM")),
            ("second", second, question(bpe, prefix, suffix)),
            ("wrong", second, question(bpe, prefix, wrong)),
        ):
            price[way] -= mean_log_probs(model, bpe, [given], [middle], len(middle))[0] * len(middle)
    assert price["second"] < price["first"] and price["second"] < price["wrong"], price
