"""The translators: what they may and may not depend on, their loss, their cache, and that they learn."""

import math

import pytest
import torch
from torch import Tensor, nn

from companion.data.dates import dates
from companion.foundations.attention.attention_translator import AttentionConfig, AttentionTranslator
from companion.foundations.attention.recurrent_attention import RecurrentAttentionConfig, RecurrentAttentionTranslator
from companion.foundations.attention.recurrent_translator import RecurrentConfig, RecurrentTranslator
from companion.foundations.attention.seq2seq import Memory, Symbols, exact_match, greedy, next_symbol_loss, shifted
from companion.language.beam_search import beam_search
from companion.language.conditioning import Conditioned, ConditionedConfig
from companion.language.generation import generate
from companion.training import TrainConfig, train
from tests.conftest import rejects

SOURCES, TARGETS = 9, 6


def attention_model(positions: str = "rotary", dropout: float = 0.0) -> AttentionTranslator:
    config = AttentionConfig(
        SOURCES, TARGETS, width=16, heads=2, encoders=2, decoders=2, positions=positions, dropout=dropout
    )
    return AttentionTranslator(config).eval()


def recurrent_model() -> RecurrentTranslator:
    return RecurrentTranslator(RecurrentConfig(SOURCES, TARGETS, width=7, hidden=10)).eval()


def recurrent_attention_model() -> RecurrentAttentionTranslator:
    return RecurrentAttentionTranslator(RecurrentAttentionConfig(SOURCES, TARGETS, width=7, hidden=10)).eval()


MODELS = pytest.mark.parametrize(
    "model_of",
    [attention_model, lambda: attention_model("sinusoidal"), recurrent_model, recurrent_attention_model],
    ids=["rotary", "sinusoidal", "rnn", "rnn with attention"],
)


def batch() -> tuple[Tensor, Tensor]:
    source = torch.randint(1, SOURCES, (3, 8))
    source[1, 5:] = 0
    return source, torch.randint(1, TARGETS, (3, 5))


# ------------------------------------------------------------------------------------------------ dependence


@MODELS
def test_padding_and_other_examples_change_nothing_I18_I24(model_of) -> None:
    model, (source, target) = model_of(), batch()
    logits = model(source, target)
    longer = torch.cat([source, torch.zeros(3, 4, dtype=torch.long)], dim=1)
    torch.testing.assert_close(model(longer, target), logits, rtol=0, atol=1e-6)
    torch.testing.assert_close(model(source[1:2, :5], target[1:2])[0], logits[1], rtol=0, atol=1e-6)
    other = source.clone()
    other[2] = other[2].flip(0)
    torch.testing.assert_close(model(other, target)[:2], logits[:2], rtol=0, atol=0)


@MODELS
def test_a_symbol_depends_on_the_source_and_on_no_later_symbol_I21(model_of) -> None:
    model, (source, target) = model_of(), batch()
    logits = model(source, target)
    for t in range(1, 5):
        changed = target.clone()
        changed[:, t] = changed[:, t] % (TARGETS - 1) + 1
        after = model(source, changed)
        torch.testing.assert_close(after[:, :t], logits[:, :t], rtol=0, atol=0)
        assert not torch.allclose(after[:, t], logits[:, t])
    changed = source.clone()
    changed[:, 0] = changed[:, 0] % (SOURCES - 1) + 1
    assert not torch.allclose(model(changed, target)[:, 0], logits[:, 0])


def test_no_model_can_beat_chance_on_random_targets_I21() -> None:
    torch.manual_seed(1)
    source, target = torch.randint(1, SOURCES, (600, 4)), torch.randint(1, TARGETS, (600, 5))
    model = attention_model()
    train(model, next_symbol_loss, (source[:300], target[:300]), TrainConfig(steps=60, batch_size=32, lr=3e-3))
    with torch.no_grad():
        held_out = next_symbol_loss(model.eval(), (source[300:], target[300:])).item()
    assert held_out > math.log(TARGETS - 1) - 0.05


# ------------------------------------------------------------------------------------------------ loss and decoding


@MODELS
def test_eq_seq2seq_as_printed_I60(model_of) -> None:
    model, (source, target) = model_of().double(), batch()
    total, count = 0.0, 0
    for b in range(3):
        for t in range(5):
            before = torch.cat([torch.tensor([0]), target[b, :t]])[None]
            logits = model(source[b : b + 1], before)[0, -1]
            total -= (logits[target[b, t]] - logits.exp().sum().log()).item()
            count += 1
    assert next_symbol_loss(model, (source, target)).item() == pytest.approx(total / count, abs=1e-6)


@MODELS
def test_greedy_is_repeatable_leaves_the_mode_and_keeps_no_graph_I27(model_of) -> None:
    model, (source, _) = model_of(), batch()
    for training in (True, False):
        model.train(training)
        first = greedy(model, source, 5)
        assert torch.equal(first, greedy(model, source, 5))
        assert model.training == training
        assert first.shape == (3, 5)
    logits = model.eval()(source, shifted(first))
    assert not first.requires_grad
    assert torch.equal(logits.argmax(-1), first)  # greedy is its own teacher-forced argmax


@MODELS
def test_with_its_source_given_it_is_a_language_model_of_the_target(model_of) -> None:
    """The state as without one; rows selected with their sources, cut (the recurrent one cannot), and beams for one source."""
    model, (source, target) = model_of().eval(), batch()
    writer = Conditioned(model, source, ConditionedConfig(TARGETS, 20))
    with torch.no_grad():
        want, state, rows = model(source, target), writer.new_state(3), torch.tensor([2, 0, 0, 1])
        torch.testing.assert_close(writer(target), want)
        parts = [writer(part, state) for part in target[:, :4].split([1, 2, 1], 1)]
        torch.testing.assert_close(torch.cat(parts, 1), want[:, :4], rtol=0, atol=1e-5)
        chosen, copied = state.select(rows), state.clone()
        for got, expected in ((writer(target[rows, 4:], chosen), want[rows]), (writer(target[:, 4:], copied), want)):
            torch.testing.assert_close(got, expected[:, 4:], rtol=0, atol=1e-5)
        if isinstance(model, AttentionTranslator):
            state.truncate(2)
            torch.testing.assert_close(writer(target[:, 2:], state), want[:, 2:], rtol=0, atol=1e-5)
    one = Conditioned(model, source[:1], ConditionedConfig(TARGETS, 20))
    start = torch.zeros(1, 1, dtype=torch.long)
    assert torch.equal(beam_search(one, start, 5, beams=1)[0].ids[1:], greedy(model, source[:1], 5)[0])
    best = beam_search(one, start, 3, beams=TARGETS**3)[0]  # every target: the most probable of all
    every = torch.cartesian_prod(*[torch.arange(TARGETS)] * 3)
    with torch.no_grad():
        log_p = model(source[:1].expand(len(every), -1), shifted(every)).log_softmax(-1)
    log_p = log_p.gather(-1, every[..., None]).sum((1, 2))
    assert best.log_prob == pytest.approx(float(log_p.max()), abs=1e-4)
    assert torch.equal(generate(one, start, 5, samples=4)[:, 1:], greedy(model, source[:1], 5).expand(4, -1))
    with rejects("batch"):
        writer.new_state(2)
    with rejects("padding"):
        writer(target, attention_mask=torch.zeros(3, 5, dtype=torch.bool))
    with rejects("context"):
        ConditionedConfig(3, 0)


def test_a_model_that_copies_its_input_cannot_reach_zero_I33() -> None:
    assert shifted(torch.tensor([[4, 2, 5]])).tolist() == [[0, 4, 2]]

    class Copy(nn.Module):
        def encode(self, source: Tensor) -> None:
            return None

        def decode(self, memory: None, target: Tensor) -> Tensor:
            return 20.0 * nn.functional.one_hot(target, TARGETS).float()

    target = torch.tensor([[1, 2, 3, 4, 5]])
    assert next_symbol_loss(Copy(), (target, target)).item() > 10


def test_symbols_there_and_back() -> None:
    texts = ["9 août", "März", "a"]
    symbols = Symbols.of(texts)
    rows = symbols.encode(texts)
    assert rows.shape == (3, 6)
    assert (rows[2, 1:] == 0).all()
    assert symbols.decode(rows) == texts


def test_learns_dates_and_beats_the_most_common_answer() -> None:
    data, held_out = dates("train", limit=3000), dates("test", limit=150)
    symbols, digits = Symbols.of(data.inputs + held_out.inputs), Symbols.of(data.targets)
    torch.manual_seed(0)
    model = AttentionTranslator(AttentionConfig(len(symbols), len(digits), width=32, heads=2))
    pairs = (symbols.encode(data.inputs), digits.encode(data.targets))
    result = train(model, next_symbol_loss, pairs, TrainConfig(steps=250, batch_size=32, lr=4e-3))
    target = digits.encode(held_out.targets)
    right = (greedy(result.model, symbols.encode(held_out.inputs), 10) == target).double().mean().item()
    # Baseline: at each place of the answer the symbol that is most common there in the training data.
    common = (pairs[1].mode(0).values == target).double().mean().item()
    assert right > common + 0.2
    assert exact_match(result.model, symbols.encode(held_out.inputs), target) <= right


# ------------------------------------------------------------------------------------------------ bad input


def test_bad_input() -> None:
    model, (source, target) = attention_model(), batch()
    for bad in (source.float(), source + SOURCES, source[0], source[:, :0]):
        with rejects("source"):
            model.encode(bad)
        with rejects("source"):
            recurrent_model().encode(bad)
    with rejects("source"):
        recurrent_model().encode(torch.zeros(2, 3, dtype=torch.long))
    with rejects("target"):
        model.decode(model.encode(source), target + TARGETS)
    with rejects("length"):
        greedy(model, source, 0)
    with rejects("target: got"):
        shifted(target.float())
    with rejects("positions"):
        AttentionConfig(3, 3, positions="learned")
    with rejects("width"):
        AttentionConfig(3, 3, width=0)
    with rejects("hidden"):
        RecurrentConfig(3, 3, hidden=-1)
    with rejects("key_mask"):
        memory = model.encode(source)
        model.decode(Memory(memory.states, memory.real[:, 1:]), target)
    symbols = Symbols.of(["ab"])
    with rejects("unknown|known"):
        symbols.encode(["abc"])
    with rejects("texts"):
        symbols.encode([])
    with rejects("texts"):
        symbols.encode(["a", ""])
    with rejects("texts"):
        Symbols.of([""])
    with rejects("rows"):
        symbols.decode(torch.tensor([[7]]))
