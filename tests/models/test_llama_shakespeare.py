"""The shipped language model: its tokenizer, its quality, its writing."""

import math
from types import SimpleNamespace

import pytest
import torch

from companion.data.text import shakespeare
from companion.language.generation import generate
from companion.language.ngrams import fit_ngram
from companion.language.scoring import mean_nats
from companion.language.tokenizers import ByteLevelBPE
from companion.models import llama_shakespeare as module
from companion.models.llama_shakespeare import CONTEXT, VOCAB_SIZE, build, load, tokenizer
from companion.text.llama import Llama
from companion.weights import card


@pytest.fixture(scope="module")
def loaded() -> tuple[Llama, ByteLevelBPE]:
    return load()


def test_the_model_fits_its_tokenizer(loaded):
    model, tokens = loaded
    assert tokens.vocab_size == VOCAB_SIZE == model.config.vocab_size and model.config.context == CONTEXT
    assert not model.training
    assert sum(p.numel() for p in model.parameters()) == card("llama_shakespeare").parameters < 1_400_000


def test_the_tokenizer_is_always_the_same(loaded):
    """It is learned at load, so its last merges are pinned: the weights know tokens by their numbers alone."""
    tokens = loaded[1]
    assert tokenizer() is tokens
    text = "ROMEO:\nBut, soft! what light through yonder window breaks?"
    assert tokens.decode(tokens.encode(text)) == text
    assert tokens.tokens[256:260] == [b" t", b"he", b" a", b"ou"] and tokens.tokens[-2:] == [b"for", b"hing"]


def test_it_predicts_unseen_plays_better_than_counting(loaded):
    """Bits a character on an unseen play: far below those of a count of all five characters in a row of a million."""
    model, tokens = loaded
    text = shakespeare("valid", limit=30_000).text
    ids = torch.tensor(tokens.encode(text))
    bits = mean_nats(model, ids) * (len(ids) - 1) / len(text) / math.log(2)
    counted = fit_ngram(shakespeare("train", limit=1_000_000).text, 4)
    assert bits < 2.1 < 2.4 < counted.bits_per_character(text)
    torch.manual_seed(0)
    assert mean_nats(build(), ids[:2_000]) > 6


def test_it_writes_speeches(loaded):
    model, tokens = loaded
    prompt = torch.tensor([tokens.encode("ROMEO:\n")])
    written = tokens.decode(generate(model, prompt, 200, generator=torch.Generator().manual_seed(0))[0])
    names = [line for line in written.split("\n") if line.isupper() and line.endswith(":")]
    assert len(names) >= 3 and written.startswith("ROMEO:\n")


def test_the_recipe_reads_passages_of_the_whole_context(monkeypatch, tmp_path):
    """A passage has one token more than the context: each place has a next token to predict."""
    asked = []
    monkeypatch.setattr(module, "train", lambda *args, **_: asked.append(args) or SimpleNamespace(model=args[0]))
    for smoke in (True, False):
        module.RECIPE.train(build(), 0, smoke, tmp_path / "x")
    (_, _, few, short), (_, _, many, full) = asked
    assert short.steps <= 4 < 1_000 < full.steps and short.batch_size == full.batch_size == 8
    for draw in (few, many):
        (rows,) = draw(3, torch.Generator().manual_seed(0)) if callable(draw) else (draw[0][:3],)
        assert rows.shape == (3, CONTEXT + 1)
