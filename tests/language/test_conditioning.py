"""An encoder-decoder whose source is given; that the course's translators fit is in `tests/foundations/attention`."""

import pytest
import torch
from torch import Tensor, nn

from companion.language.beam_search import beam_search
from companion.language.conditioning import Conditioned, ConditionedConfig, ConditionedState, EncoderDecoder
from companion.language.contract import LanguageModel, State
from companion.language.generation import generate
from companion.language.speculative import speculate
from companion.language.states import TokenState
from tests.conftest import rejects

LETTERS = 7


class Echo(nn.Module):
    """Writes its source: after t tokens of the target comes token t of the source, surely."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded = 0

    def encode(self, source: Tensor) -> Tensor:
        self.encoded += 1
        return source

    def new_state(self, batch: int) -> TokenState:
        return TokenState(torch.zeros(batch, 0, dtype=torch.int64))

    def decode(self, memory: Tensor, target: Tensor, state: TokenState | None = None) -> Tensor:
        first = 0 if state is None else state.length
        if state is not None:
            state.append(target)
        places = torch.arange(first, first + target.shape[1])
        return 30.0 * nn.functional.one_hot(memory[:, places], LETTERS).float()


SOURCE = torch.randint(1, LETTERS, (3, 6), generator=torch.Generator().manual_seed(0))
START = torch.zeros(3, 1, dtype=torch.int64)


@pytest.fixture
def writer() -> Conditioned:
    return Conditioned(Echo(), SOURCE, ConditionedConfig(LETTERS, 6))


def test_it_is_a_language_model(writer) -> None:
    assert isinstance(writer, LanguageModel) and isinstance(writer.model, EncoderDecoder)
    assert isinstance(writer.new_state(3), State) and isinstance(writer.new_state(3), ConditionedState)


def test_the_source_is_read_once_and_goes_with_its_row(writer) -> None:
    assert torch.equal(generate(writer, START, 6)[:, 1:], SOURCE)
    assert writer.model.encoded == 1
    assert torch.equal(generate(writer, START, 5, samples=2)[:, 1:], SOURCE[:, :5].repeat_interleave(2, 0))


def test_search_and_speculation_need_to_know_nothing_of_it() -> None:
    one = Conditioned(Echo(), SOURCE[1:2], ConditionedConfig(LETTERS, 6))
    assert torch.equal(beam_search(one, START[:1], 5, beams=3)[0].ids[1:], SOURCE[1, :5])
    run = speculate(one, Conditioned(Echo(), SOURCE[1:2], one.config), START[:1], 5, lookahead=2)
    assert torch.equal(run.ids[0, 1:], SOURCE[1, :5]) and run.kept == run.drafted


def test_a_mask_goes_to_the_encoder_with_its_source() -> None:
    class Reader(Echo):
        def encode(self, source: Tensor, mask: Tensor | None = None) -> Tensor:
            self.mask = mask
            return super().encode(source if mask is None else source * mask)

    real = torch.arange(6) < torch.tensor([[6], [2], [4]])
    masked = Conditioned(Reader(), SOURCE, ConditionedConfig(LETTERS, 6), source_mask=real)
    assert torch.equal(generate(masked, START, 6)[:, 1:], SOURCE * real)
    assert masked.model.mask is real
    plain = Conditioned(Reader(), SOURCE, ConditionedConfig(LETTERS, 6))
    assert torch.equal(generate(plain, START, 6)[:, 1:], SOURCE) and plain.model.mask is None


def test_bad_input(writer) -> None:
    with rejects("batch"):
        writer.new_state(2)
    with rejects("padding"):
        writer(START, attention_mask=torch.zeros(3, 1, dtype=torch.bool))
    with rejects("vocab_size"):
        ConditionedConfig(0, 3)
