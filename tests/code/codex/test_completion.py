"""Writing code: where the model stops, how much of a prompt it reads, what is kept of a function."""

import torch

from companion.code.codex.completion import complete, first_block, infill
from companion.models.codex import CONTEXT, load
from tests.conftest import rejects


def test_completes_and_fills_in_and_stops_before_its_end_token() -> None:
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
