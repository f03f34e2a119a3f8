"""The three texts have nothing in common, and a run is what it says."""

import pytest
import torch

from companion.data.text import shakespeare
from companion.language.scoring import mean_nats
from companion.metrics.flops import count_flops
from companion.scaling.flops import decoder_flops
from companion.scaling.laws import family
from companion.scaling.laws.family import build_member, family_config, train_to_end
from companion.scaling.laws.texts import PIECE, load_texts, train_and_measure
from tests.conftest import rejects

TEXTS = load_texts(pieces=2)
V = len(TEXTS.alphabet)


def decoded(ids: torch.Tensor) -> str:
    return "".join(TEXTS.alphabet[i] for i in ids.tolist())


def test_each_text_is_of_its_own_split_and_from_all_over_it() -> None:
    read = shakespeare("train").text
    assert decoded(TEXTS.train) == read
    for split in ("valid", "test"):
        ids, whole = getattr(TEXTS, split), "".join(c for c in shakespeare(split).text if c in TEXTS.alphabet)
        assert len(ids) == 2 * PIECE
        first, second = decoded(ids[:PIECE]), decoded(ids[PIECE:])
        assert whole.startswith(first) and whole.index(second) == len(whole) // 2
        assert first not in read and second not in read


def test_models_are_trained_where_the_texts_are() -> None:
    """On a device without numbers, which the training asks for them: it has come that far."""
    with pytest.raises(RuntimeError, match="meta"):
        train_and_measure(build_member(4, V, 0), 1000, TEXTS.to("meta"), "today", 2e6, 4, 0.1, 0)


def test_a_run_is_a_training_and_two_measurements() -> None:
    config = family_config(8, V)
    run = train_and_measure(build_member(8, V, 3), decoder_flops(config), TEXTS, "today", 3e7, 8, 0.05, 3)
    model = train_to_end(build_member(8, V, 3), TEXTS.train, run.tokens, lr=0.05, seed=3 * 1_000_003 + 8)
    assert run.valid == pytest.approx(mean_nats(model, TEXTS.valid), abs=1e-5)
    assert run.test == pytest.approx(mean_nats(model, TEXTS.test), abs=1e-5)
    assert (run.family, run.compute, run.width, run.rate, run.seed) == run.key == ("today", 3e7, 8, 0.05, 3)
    assert (run.parameters, run.table) == (family.count_parameters(config), 8 * V)


def test_the_recorded_operations_are_torchs_own_count() -> None:
    run = train_and_measure(build_member(8, V, 0), decoder_flops(family_config(8, V)), TEXTS, "today", 3e7, 8, 0.05, 0)
    ids = torch.zeros(1, family.CONTEXT, dtype=torch.long)
    counted = count_flops(lambda: build_member(8, V, 0)(ids).sum().backward()) / family.CONTEXT
    assert run.spent == counted * run.tokens


def test_a_training_that_diverged_is_infinitely_bad() -> None:
    model = build_member(4, V, 0)
    model.tokens.weight.data.fill_(float("nan"))
    run = train_and_measure(model, 1000, TEXTS, "today", 2e6, 4, 0.1, 0)
    assert run.valid == run.test == float("inf")


def test_rejects() -> None:
    with rejects("pieces"):
        load_texts(pieces=0)
    with rejects("compute"):
        train_and_measure(build_member(4, V, 0), 1000, TEXTS, "today", 0.0, 4, 0.1, 0)
