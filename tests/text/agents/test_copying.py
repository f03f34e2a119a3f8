"""The mixture by hand, its limits, and that a pointer copies what it has never seen, where no pointer does not."""

import pytest
import torch

from companion.foundations.attention.recurrent_attention import RecurrentAttentionConfig, RecurrentAttentionTranslator
from companion.foundations.attention.seq2seq import exact_match, greedy, next_symbol_loss
from companion.text.agents.copying import PointerTranslator, mixed
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects

SIZES = RecurrentAttentionConfig(sources=9, targets=9, width=5, hidden=7)


def test_mixture_by_hand() -> None:
    """Symbol 2 stands twice in the source: its two looks are added."""
    logits = torch.log(torch.tensor([[[0.1, 0.2, 0.3, 0.4]]]))
    p = mixed(logits, torch.tensor([[[0.5, 0.3, 0.2]]]), torch.tensor([[2, 0, 2]]))
    assert torch.allclose(p, torch.tensor([[[0.1 + 0.4 * 0.3, 0.2, 0.3 + 0.4 * 0.7]]]), atol=1e-6)


def test_probabilities_sum_to_one_and_padding_is_never_copied() -> None:
    model = PointerTranslator(SIZES)
    source = torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]])
    target = torch.tensor([[0, 3, 4], [0, 7, 1]])
    p = model(source, target).exp()
    assert torch.allclose(p.sum(-1), torch.ones(2, 3), atol=1e-5)
    alone = model(source[1:, :2], target[1:]).exp()
    assert torch.allclose(p[1:], alone, atol=1e-6)


def test_with_a_gate_that_is_shut_it_is_the_translator_without_pointer() -> None:
    pointer, plain = PointerTranslator(SIZES), RecurrentAttentionTranslator(SIZES)
    weights = pointer.state_dict()
    plain.load_state_dict(
        weights | {"head.weight": weights["head.weight"][:-1], "head.bias": weights["head.bias"][:-1]}
    )
    with torch.no_grad():
        pointer.head.weight[-1] = 0
        pointer.head.bias[-1] = -1e4
    source, target = torch.tensor([[3, 4, 5]]), torch.tensor([[0, 3]])
    assert torch.allclose(pointer(source, target), plain(source, target).log_softmax(-1), atol=1e-5)


def test_step_by_step_is_all_at_once() -> None:
    """The writer with a state, as `greedy` runs it, against the whole target (I22 and I23 for a memory that is selected)."""
    model = PointerTranslator(SIZES)
    source = torch.randint(1, 9, (4, 6), generator=gen(0))
    written = greedy(model, source, 5)
    whole = model(source, torch.nn.functional.pad(written[:, :-1], (1, 0))).argmax(-1)
    assert torch.equal(written, whole)


def test_it_copies_pairs_that_it_has_not_seen() -> None:
    """Copy two of five symbols; trained on few rows. Without a pointer, with equal steps and sizes, far fewer are right."""
    rows = torch.randint(3, 30, (160, 5), generator=gen(1))
    data, held = (rows[:60], rows[:60, 1:3]), (rows[60:], rows[60:, 1:3])
    sizes = RecurrentAttentionConfig(30, 30, width=16, hidden=24)
    found = {}
    for kind in (RecurrentAttentionTranslator, PointerTranslator):
        torch.manual_seed(0)
        config = TrainConfig(steps=80, batch_size=60, lr=1e-2)
        found[kind] = exact_match(train(kind(sizes), next_symbol_loss, data, config).model, *held)
    assert found[PointerTranslator] > 0.7 > 0.3 > found[RecurrentAttentionTranslator]


def test_other_symbols_in_the_source() -> None:
    with rejects("symbols"):
        PointerTranslator(RecurrentAttentionConfig(sources=9, targets=8))
    with pytest.raises(ValueError, match="source"):
        PointerTranslator(SIZES)(torch.zeros(1, 3, dtype=torch.int64), torch.tensor([[0]]))
