"""The shipped model of code: its tokens, its quality on code of other authors, what it is sure of."""

import torch

from companion.code.codex.completion import complete
from companion.code.codex.fim import SPECIAL
from companion.data import more_itertools
from companion.language.scoring import mean_nats
from companion.models.codex import CONTEXT, VOCAB_SIZE, build, load, tokenizer
from companion.weights import card


def test_the_tokenizer_reads_code_and_gives_it_back() -> None:
    bpe, text = tokenizer(), more_itertools().text[:5000]
    assert bpe.vocab_size == VOCAB_SIZE and set(bpe.special) == set(SPECIAL)
    ids = bpe.encode(text)
    assert bpe.decode(ids) == text and len(ids) < len(text) / 2
    assert len(bpe.encode("        return x")) <= 4, "a run of blanks is a token"


def test_a_loss_far_below_the_untrained_models_on_code_of_others() -> None:
    model, bpe = load()
    ids = torch.tensor(bpe.encode(more_itertools().text[:8000]))
    torch.manual_seed(0)
    assert mean_nats(model, ids) < 0.6 * mean_nats(build(), ids)


def test_the_model_fits_its_tokenizer_and_card() -> None:
    model, bpe = load()
    assert bpe.vocab_size == model.config.vocab_size and model.config.context == CONTEXT and not model.training
    assert sum(parameter.numel() for parameter in model.parameters()) == card("codex").parameters


def test_it_knows_what_a_programmer_would_write_next() -> None:
    model, bpe = load()
    assert complete(model, bpe, "if __name__ ==", new_tokens=4)[0].startswith(" '__main__")
    assert complete(model, bpe, "for i in range(len", new_tokens=2)[0].startswith("(")
