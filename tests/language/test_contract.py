"""One test for all language models: with a state as without, padded as alone, in low precision, and past their context."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from companion.code.qwen import Qwen
from companion.history.eras.pixel_gpt import PixelGPT, PixelGPTConfig
from companion.language.beam_search import beam_search
from companion.language.contract import LanguageModel, State, device_of, left_padded, positions_of, precise
from companion.language.generation import generate
from companion.language.ngrams import NGram, NGramConfig
from companion.language.processors import RepetitionPenalty, Temperature
from companion.language.scoring import mean_nats, token_log_probs
from companion.nn.kv_cache import KVState
from companion.scaling.laws.lstm import LSTM, LSTMConfig
from companion.scaling.laws.postnorm import PostNormConfig, PostNormTransformer
from companion.text.gemma import Gemma, GemmaConfig
from companion.text.gpt import GPT, GPTConfig
from companion.text.llama import Llama, LlamaConfig
from companion.training import evaluating
from tests.conftest import rejects

VOCAB, CONTEXT = 16, 9
LLAMA = LlamaConfig(VOCAB, CONTEXT, 24, 2, heads=3, kv_heads=1, hidden=20)
# With a window that is shorter than the context, both kinds of layers, and all that Gemma 2 or Gemma 3 has.
GEMMA = GemmaConfig(
    VOCAB, CONTEXT, 24, 2, heads=3, kv_heads=1, head_width=6, hidden=20, window=4, global_every=2, score_cap=5.0,
    logit_cap=6.0, global_stretch=2.0,
)  # fmt: skip
MODELS: dict[str, Callable[[], nn.Module]] = {
    "GPT": lambda: GPT(GPTConfig(VOCAB, CONTEXT, 24, 2, 3)),
    "Llama": lambda: Llama(LLAMA),
    "Qwen": lambda: Qwen(LLAMA),
    "Gemma": lambda: Gemma(GEMMA),
    "PixelGPT": lambda: PixelGPT(PixelGPTConfig(VOCAB, CONTEXT, 24, 2, heads=3, hidden=20)),
    "PostNormTransformer": lambda: PostNormTransformer(PostNormConfig(VOCAB, CONTEXT, 24, 2, 3)),
    "LSTM": lambda: LSTM(LSTMConfig(VOCAB, CONTEXT, 24, 2)),
    "NGram": lambda: NGram(draw(400), NGramConfig(VOCAB, 3, context=CONTEXT)),
}


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randint(VOCAB, shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=MODELS)
def model(request) -> nn.Module:
    """Each model with sharp, arbitrary opinions."""
    torch.manual_seed(3)
    made = MODELS[request.param]()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made.eval().requires_grad_(False)


def close(got: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=2e-5)


class TestState:
    def test_is_the_contract(self, model):
        assert isinstance(model, LanguageModel) and isinstance(model.new_state(2), State)

    @pytest.mark.parametrize("chunks", [(7,), (1,) * 7, (3, 1, 3), (2, 4, 1)])
    def test_piece_by_piece_as_all_at_once_I22_I23(self, model, chunks):
        ids, state, parts = draw(3, 7), model.new_state(3), []
        for part in ids.split(list(chunks), dim=1):
            parts.append(model(part, state))
            assert state.length == sum(part.shape[1] for part in parts)
        close(torch.cat(parts, 1), model(ids))

    def test_selected_rows_are_the_texts_of_these_rows(self, model):
        """Reordered and repeated, as beam search and best-of-n do it; the state they were taken from goes on as it was."""
        ids, state, rows = draw(3, 7), model.new_state(3), torch.tensor([2, 0, 2, 1])
        model(ids[:, :4], state)
        chosen = state.select(rows)
        assert chosen.length == 4
        close(model(ids[rows, 4:], chosen), model(ids[rows])[:, 4:])
        close(model(ids[:, 4:], state), model(ids)[:, 4:])

    def test_an_empty_state_can_be_selected(self, model):
        state = model.new_state(1).select(torch.zeros(3, dtype=torch.int64))
        close(model(draw(3, 4), state), model(draw(3, 4)))

    def test_a_clone_goes_its_own_way(self, model):
        ids, other, state = draw(2, 7), draw(2, 7, seed=2), model.new_state(2)
        other[:, :3] = ids[:, :3]
        model(ids[:, :3], state)
        copied = state.clone()
        close(model(other[:, 3:], copied), model(other)[:, 3:])
        assert (state.length, copied.length) == (3, 7)
        close(model(ids[:, 3:], state), model(ids)[:, 3:])

    def test_what_is_cut_off_is_forgotten(self, model):
        ids, state = draw(2, 7), model.new_state(2)
        model(ids[:, :5], state)
        if isinstance(model, LSTM):
            with rejects("cannot go back"):
                state.truncate(3)
            state.truncate(5)
            close(model(ids[:, 5:], state), model(ids)[:, 5:])
            return
        state.truncate(3)
        assert state.length == 3
        other = torch.cat([ids[:, :3], draw(2, 4, seed=5)], 1)
        close(model(other[:, 3:], state), model(other)[:, 3:])
        with rejects("length"):
            state.truncate(8)

    def test_something_else_is_no_state(self, model):
        with rejects("past_key_values"):
            model(draw(1, 2), [])


class TestPadding:
    ROWS = (draw(5), draw(2, seed=2), draw(7, seed=3), draw(1, seed=4))

    def test_padded_as_alone_I24(self, model):
        ids, real = left_padded(self.ROWS, pad=3)
        got, state = model(ids, None, real), model.new_state(4)
        stepwise = torch.cat([model(ids[:, i : i + 1], state, real[:, : i + 1]) for i in range(7)], 1)
        for row, logits, steps in zip(self.ROWS, got, stepwise, strict=True):
            close(logits[-len(row) :], model(row[None])[0])
            close(steps[-len(row) :], model(row[None])[0])

    def test_what_stands_in_the_padding_does_not_matter(self, model):
        (ids, real), (other, _) = left_padded(self.ROWS), left_padded(self.ROWS, pad=5)
        assert torch.equal(model(ids, None, real)[real], model(other, None, real)[real])

    def test_scores_of_padded_rows_are_those_alone_I34(self, model):
        """Left or right padding; 0 at the padding and at the first token, which nothing stands before."""
        ids, real = left_padded(self.ROWS)
        left = token_log_probs(model, ids, real)
        right = token_log_probs(model, ids.flip(1).clone(), real.flip(1))
        for i, row in enumerate(self.ROWS):
            if len(row) > 1:
                close(left[i, -len(row) + 1 :], token_log_probs(model, row[None])[0])
                close(right[i, : len(row) - 1], token_log_probs(model, row.flip(0)[None])[0])
            assert not left[i, : 7 - len(row)].any() and not right[i, len(row) - 1 :].any()


class TestScoring:
    def test_in_bf16_whatever_the_batch(self, model):
        """Sums and softmax in more than the model's precision: else 50 passages give another figure than one by one.

        The LSTM's own products are summed in another order in a larger batch, which is the rest of the difference; it depends
        on the processor.
        """
        model, ids = copy.deepcopy(model).bfloat16(), draw(451)
        own = 5e-4 if isinstance(model, LSTM) else 1e-4
        want = sum(float(-precise(model(ids[None, i : i + 9])).log_softmax(-1)[0, range(9), ids[i + 1 : i + 10]].double().sum())
                   for i in range(0, 450, 9)) / 450  # fmt: skip
        for batch_size in (1, 7, 50):
            assert mean_nats(model, ids, batch_size=batch_size) == pytest.approx(want, rel=own)
        assert token_log_probs(model, ids[None, :9]).dtype == torch.float32

    def test_scores_are_the_log_softmax_and_have_gradients(self, model):
        ids = draw(3, 8)
        want = model(ids[:, :-1]).log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
        close(token_log_probs(model, ids), want)
        if any(True for _ in model.parameters()):
            scores = token_log_probs(model.requires_grad_(True), ids)
            scores.sum().backward()
            assert all(p.grad is not None for p in model.parameters() if not p.ndim > 2)


def by_hand(model: nn.Module, row: Tensor, new: int) -> list[int]:
    """Greedy text without a state: when it outgrows the context, the older half is forgotten."""
    ids, kept = row.tolist(), 0
    for _ in range(new):
        if len(ids) - kept > CONTEXT:
            kept = len(ids) - (CONTEXT + 1) // 2
        ids.append(int(model(torch.tensor([ids[kept:]]))[0, -1].argmax()))
    return ids[len(row) :]


class TestGeneration:
    def test_past_the_context_and_of_unequal_prompts_as_each_alone(self, model):
        rows = (*TestPadding.ROWS, draw(12, seed=6))
        ids, real = left_padded(rows)
        got = generate(model, ids, 25, attention_mask=real)
        assert torch.equal(got[:, :12], ids)
        for row, text in zip(rows, got[:, 12:].tolist(), strict=True):
            assert text == by_hand(model, row, 25)
            assert text == generate(model, row[None], 25)[0, len(row) :].tolist()

    def test_samples_share_the_prompts_state(self, model):
        ids, real = left_padded(TestPadding.ROWS[:3])
        rows, read = torch.arange(3).repeat_interleave(4), []
        count = model.register_forward_pre_hook(lambda _, given: read.append(given[0].numel()))
        shared = generate(model, ids, 2, attention_mask=real, samples=4, generator=torch.Generator().manual_seed(7))
        count.remove()
        apart = generate(model, ids[rows], 2, attention_mask=real[rows], generator=torch.Generator().manual_seed(7))
        assert torch.equal(shared, apart)
        assert read == [3 * 7, 12]  # each prompt once, then one token a row

    def test_processors_see_a_rows_own_text(self, model):
        ids, real = left_padded(TestPadding.ROWS, pad=0)
        several = [RepetitionPenalty(3.0), Temperature(0.5)]
        got = generate(model, ids, 8, attention_mask=real, processors=several)
        for row, text in zip(TestPadding.ROWS, got, strict=True):
            alone = generate(model, row[None], 8, processors=several)[0]
            assert torch.equal(text[-len(alone) :], alone)

    def test_autograd_can_use_the_text(self, model):
        table = nn.Embedding(VOCAB, 3)
        for stop in (None, int(generate(model, draw(1, 3), 1)[0, -1])):
            with torch.inference_mode():
                inside = generate(model, draw(1, 3), 2, stop_token=stop)
            for ids in (generate(model, draw(1, 3), 2, stop_token=stop), inside):
                assert not ids.is_inference() and not ids.requires_grad
                table(ids).sum().backward()

    def test_beams_that_share_states_are_those_read_anew(self, model):
        prompt, read = draw(1, 5), []
        count = model.register_forward_pre_hook(lambda _, given: read.append(given[0].numel()))
        got = beam_search(model, prompt, 4, beams=3)
        count.remove()
        assert read == [5, 3, 3, 3]  # where reading anew takes 5 + 3 · (6 + 7 + 8) = 68 token positions
        beams = [(0.0, prompt[0].tolist())]
        for _ in range(4):
            texts = torch.tensor([ids for _, ids in beams])
            log_p = model(texts)[:, -1].log_softmax(-1).tolist()
            longer = [(p + q, [*ids, x]) for (p, ids), row in zip(beams, log_p, strict=True) for x, q in enumerate(row)]
            beams = sorted(longer, reverse=True)[:3]
        assert [found.ids.tolist() for found in got] == [ids for _, ids in beams]
        assert [found.log_prob for found in got] == pytest.approx([p for p, _ in beams], abs=1e-4)

    def test_repeatable_and_leaves_the_mode_I27(self, model):
        model.train()
        first, again = generate(model, draw(2, 3), 4), generate(model, draw(2, 3), 4)
        assert torch.equal(first, again) and model.training
        with evaluating(model):
            assert not model.training


def test_rows_are_padded_in_front() -> None:
    ids, real = left_padded([[1, 2], torch.tensor([3, 4, 5])], pad=9)
    assert ids.tolist() == [[9, 1, 2], [3, 4, 5]]
    assert real.tolist() == [[False, True, True], [True, True, True]]
    assert positions_of(real, 2).tolist() == [[0, 1], [1, 2]]
    for bad in ([], [[1], []]):
        with rejects("rows"):
            left_padded(bad)


def test_padding_stands_in_front_alone() -> None:
    model, ids = MODELS["GPT"](), draw(1, 3)
    for mask in ([[True, False, True]], [[True, True, False]], [[False, False, False]]):
        with rejects("attention_mask"):
            generate(model, ids, 2, attention_mask=torch.tensor(mask))
    with rejects("attention_mask"):
        generate(model, ids, 2, attention_mask=torch.ones(1, 2, dtype=torch.bool))
    with rejects("samples"):
        generate(model, ids, 2, samples=0)


def test_logits_of_less_than_float32_are_raised_and_no_others_lowered() -> None:
    for dtype, wanted in (
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float64, torch.float64),
    ):
        assert precise(torch.zeros(1, 2, dtype=dtype)).dtype == wanted
    assert device_of(nn.Identity()).type == "cpu"
    assert len(KVState(3)) == 3 and KVState(3).length == 0
