"""Beam search: exact at full width, transformers' beams for GPT-2, length penalty and stop token."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from companion.language.beam_search import beam_search
from companion.language.conditioning import ConditionedConfig
from companion.language.generation import generate
from companion.language.states import TokenState
from companion.text.gpt import GPT, GPTConfig
from tests.conftest import rejects

STOP = 3


@pytest.fixture
def model() -> GPT:
    torch.manual_seed(2)
    made = GPT(GPTConfig(vocab_size=5, context=16, width=12, layers=2, heads=2))
    for parameter in made.parameters():
        parameter.data *= 6  # far from uniform
    return made


def log_prob(model: GPT, ids: Tensor, prompt: int) -> float:
    with torch.no_grad():
        log_p = model(ids[None, :-1])[0].log_softmax(-1)
    return float(log_p.gather(1, ids[1:, None])[prompt - 1 :].sum())


def exhaustive(model: GPT, prompt: Tensor, new: int, alpha: float, stop: int | None) -> list[tuple[float, list[int]]]:
    """Every continuation that ends with the stop token or has ``new`` tokens, by its score."""
    found = []
    for n in range(1, new + 1):
        for tail in itertools.product(range(5), repeat=n):
            if stop in tail[:-1] or (n < new and tail[-1] != stop):
                continue
            ids = torch.cat([prompt[0], torch.tensor(tail)])
            found.append((log_prob(model, ids, prompt.shape[1]) / n**alpha, ids.tolist()))
    return sorted(found, reverse=True)


class Chain(nn.Module):
    """The next token's probabilities are a row that the last token chooses."""

    config = ConditionedConfig(vocab_size=4, context=8)

    def __init__(self, rows: dict[int, Tensor]) -> None:
        super().__init__()
        self.rows = rows

    def new_state(self, batch: int) -> TokenState:
        return TokenState(torch.zeros(batch, 0, dtype=torch.int64))

    def forward(self, ids: Tensor, state: TokenState) -> Tensor:
        state.append(ids)
        return torch.stack([torch.stack([self.rows[i] for i in row]) for row in ids.tolist()]).log()


class TestTruth:
    @pytest.mark.parametrize("alpha", [0.0, 0.7, 1.0, 2.0])
    @pytest.mark.parametrize("stop", [None, STOP])
    def test_full_width_is_the_exhaustive_search(self, model, alpha, stop):
        prompt = torch.tensor([[1, 4]])
        want = exhaustive(model, prompt, 4, alpha, stop)
        got = beam_search(model, prompt, 4, beams=5**4, length_penalty=alpha, stop_token=stop)
        assert [found.ids.tolist() for found in got[:20]] == [ids for _, ids in want[:20]]
        assert [found.score for found in got[:20]] == pytest.approx([score for score, _ in want[:20]], abs=1e-4)

    def test_one_beam_is_greedy(self, model):
        prompt = torch.tensor([[1, 4, 0]])
        assert torch.equal(beam_search(model, prompt, 6, beams=1)[0].ids, generate(model, prompt, 6)[0])

    def test_greedy_is_fooled_and_two_beams_are_not(self):
        """0 is the likeliest first token (0.6), but all that follows it is improbable; 1 leads to the best whole."""
        table = torch.tensor([[0.6, 0.4, 0, 0], [0.3, 0.25, 0.25, 0.2], [0.0, 0.0, 0.9, 0.1], [0.25] * 4])
        after = {3: 0, 0: 1, 1: 2, 2: 3}

        chain = Chain({last: table[row] for last, row in after.items()})
        assert beam_search(chain, torch.tensor([[3]]), 2, beams=1)[0].ids.tolist() == [3, 0, 0]
        best = beam_search(chain, torch.tensor([[3]]), 2, beams=2)[0]
        assert best.ids.tolist() == [3, 1, 2] and best.log_prob == pytest.approx(math.log(0.4 * 0.9), abs=1e-5)

    def test_the_search_goes_on_while_the_second_best_can_be_beaten(self):
        """Two ends are found after two tokens, at .6 and .09; the third, .3 · .6 · .9, is better than the second."""
        rows = {3: [0.3, 0.6, 0.05, 0.05], 0: [0.05, 0.3, 0.6, 0.05], 2: [0.04, 0.9, 0.03, 0.03], 1: [0.25] * 4}
        chain = Chain({last: torch.tensor(row) for last, row in rows.items()})
        first, second = beam_search(chain, torch.tensor([[3]]), 4, beams=2, length_penalty=0.0, stop_token=1)
        assert first.ids.tolist() == [3, 1] and second.ids.tolist() == [3, 0, 2, 1]
        assert second.log_prob == pytest.approx(math.log(0.3 * 0.6 * 0.9), abs=1e-5)

    def test_scores_are_the_models(self, model):
        prompt = torch.tensor([[2, 0]])
        for found in beam_search(model, prompt, 5, beams=3, length_penalty=0.6, stop_token=STOP):
            n = len(found.ids) - 2
            assert found.log_prob == pytest.approx(log_prob(model, found.ids, 2), abs=1e-4)
            assert found.score == pytest.approx(found.log_prob / n**0.6, abs=1e-6)

    def test_without_penalty_short_wins_with_it_long_does(self, model):
        lengths = [
            len(beam_search(model, torch.tensor([[1]]), 8, beams=40, length_penalty=a, stop_token=STOP)[0].ids)
            for a in (0.0, 4.0)
        ]
        assert lengths[0] < lengths[1] == 9


class TestParity:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize(("beams", "alpha"), [(2, 1.0), (4, 0.0), (4, 0.6), (5, 2.0)])
    def test_equals_transformers_generate(self, tmp_path, seed, beams, alpha):
        torch.manual_seed(seed)
        config = GPT2Config(vocab_size=31, n_positions=24, n_embd=24, n_layer=2, n_head=3, initializer_range=0.4,
                            bos_token_id=None, eos_token_id=7, pad_token_id=30)  # fmt: skip
        theirs = GPT2LMHeadModel(config).eval()
        theirs.save_pretrained(tmp_path)
        ours, prompt = GPT.from_pretrained(tmp_path), torch.tensor([[1, 5, 9, 2]])
        want = theirs.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, num_beams=beams, do_sample=False,
            length_penalty=alpha, early_stopping="never", num_return_sequences=beams, output_scores=True,
            return_dict_in_generate=True,
        )  # fmt: skip
        got = beam_search(ours, prompt, 12, beams=beams, length_penalty=alpha, stop_token=7)
        assert len(got) == beams
        for i, found in enumerate(got):
            row = want.sequences[i].tolist()
            assert found.ids.tolist() == row[: len(found.ids)] and set(row[len(found.ids) :]) <= {30}
            assert found.score == pytest.approx(float(want.sequences_scores[i]), abs=1e-4)


class TestDependence:
    def test_length_and_mode_I39(self, model):
        """The prompt and all new tokens are there, the last one too; the model's mode is put back."""
        model.train()
        found = beam_search(model, torch.tensor([[1, 2]]), 7, beams=3)
        assert model.training and all(len(f.ids) == 9 for f in found) and len(found) == 3
        stopped = beam_search(model, torch.tensor([[1, 2]]), 7, beams=3, stop_token=STOP)
        assert all(f.ids[-1] == STOP or len(f.ids) == 9 for f in stopped)

    def test_more_than_the_context(self, model):
        """Then the last tokens that fit are read anew at each step."""
        got = beam_search(model, torch.tensor([[1, 2]]), 20, beams=2)
        beams = [(0.0, [1, 2])]
        for _ in range(20):
            log_p = [model(torch.tensor([ids[-16:]]))[0, -1].log_softmax(-1).tolist() for _, ids in beams]
            longer = [(p + q, [*ids, x]) for (p, ids), row in zip(beams, log_p, strict=True) for x, q in enumerate(row)]
            beams = sorted(longer, reverse=True)[:2]
        assert [found.ids.tolist() for found in got] == [ids for _, ids in beams]


class TestBadInput:
    def test_sizes(self, model):
        prompt = torch.tensor([[1]])
        for bad in ({"beams": 0}, {"beams": 1, "length_penalty": math.nan}):
            with rejects("beams|length_penalty"):
                beam_search(model, prompt, 3, **bad)
        with rejects("input_ids"):
            beam_search(model, torch.tensor([[1], [2]]), 3, beams=1)
        with rejects("new_tokens"):
            beam_search(model, prompt, 0, beams=1)


def test_with_a_penalty_the_search_goes_on_as_long_as_a_longer_text_could_still_win():
    """The stop token has 0.5, against 0.2 for a 0, after which 0 is nearly sure: -0.69 a token against -0.43."""
    table = torch.tensor([[0.97, 0.01, 0.01, 0.01], [0.25] * 4, [0.25] * 4, [0.2, 0.5, 0.15, 0.15]])

    class Chain(nn.Module):
        config = ConditionedConfig(vocab_size=4, context=8)

        def new_state(self, batch: int) -> TokenState:
            return TokenState(torch.zeros(batch, 0, dtype=torch.int64))

        def forward(self, ids: Tensor, state: TokenState) -> Tensor:
            state.append(ids)
            return table[ids].log()

    (best,) = beam_search(Chain(), torch.tensor([[3]]), 4, beams=1, length_penalty=1.0, stop_token=1)
    assert best.ids.tolist() == [3, 0, 0, 0, 0]
    assert best.score == pytest.approx((math.log(0.2) + 3 * math.log(0.97)) / 4, abs=1e-5)
    (best,) = beam_search(Chain(), torch.tensor([[3]]), 4, beams=1, length_penalty=0.0, stop_token=1)
    assert best.ids.tolist() == [3, 1]
