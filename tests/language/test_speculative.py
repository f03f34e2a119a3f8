"""Speculative decoding writes what the target alone would write: token for token if greedy, in distribution if drawn."""

import itertools
import math

import pytest
import torch
from torch import nn

from companion.language.generation import generate
from companion.language.processors import Temperature, TopK
from companion.language.speculative import TextReader, acceptance, expected_tokens, judge, residual, speculate
from companion.scaling.laws.lstm import LSTM, LSTMConfig
from companion.text.llama import Llama, LlamaConfig
from tests.conftest import rejects

VOCAB = 5


def llama(seed: int, *, layers: int = 2, width: int = 12, context: int = 40, vocab: int = VOCAB) -> Llama:
    """A model with sharp, arbitrary opinions."""
    torch.manual_seed(seed)
    model = Llama(LlamaConfig(vocab, context, width, layers, heads=3, kv_heads=1, hidden=16))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


PROMPT = torch.tensor([[1, 3, 0]])


def test_kept_and_redrawn_together_give_the_target_exactly() -> None:
    """q min(1, p/q) + (1 - α) r = p for every token, in float64: the whole proof, enumerated."""
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(50, 7, dtype=torch.float64, generator=generator).pow(4)
    q = torch.rand(50, 7, dtype=torch.float64, generator=generator).pow(4)
    p[:5, :3], q[3:8, 2:4] = 0, 0  # tokens that only one of them knows
    p, q = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
    keep = torch.where(q > 0, (p / q.clamp(min=1e-300)).clamp(max=1), 0)
    alpha = acceptance(p, q)
    torch.testing.assert_close((q * keep).sum(1), alpha)
    torch.testing.assert_close(1 - 0.5 * (p - q).abs().sum(1), alpha)
    written = q * keep + (1 - alpha)[:, None] * residual(p, q)
    torch.testing.assert_close(written, p, rtol=0, atol=1e-15)


def test_the_residual_is_normalised_and_defined_where_the_two_agree() -> None:
    p = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    q = torch.tensor([[0.2, 0.5, 0.3], [0.2, 0.2, 0.6]])
    torch.testing.assert_close(residual(p, q), torch.tensor([[1.0, 0.0, 0.0], [0.2, 0.2, 0.6]]))


@pytest.mark.parametrize("lookahead", [1, 2, 5])
@pytest.mark.parametrize("draft_seed", [0, 1, 2])
def test_greedy_is_the_targets_own_text_token_for_token(lookahead: int, draft_seed: int) -> None:
    target = llama(0)
    draft = target if draft_seed == 0 else llama(draft_seed, layers=1, width=6)
    alone = generate(target, PROMPT, 24)
    result = speculate(target, draft, PROMPT, 24, lookahead=lookahead)
    assert torch.equal(result.ids, alone)
    if draft is target:
        assert result.kept == result.drafted
        assert result.rounds == math.ceil(24 / (lookahead + 1))
    assert result.kept + result.rounds == 24  # every round adds what it keeps and one


@pytest.mark.slow
def test_drawn_texts_follow_the_target_with_processors_on_both() -> None:
    """Truth: all 125 continuations of three tokens, each with its probability under the processed target (chi-square)."""
    target, draft = llama(0), llama(1, layers=1, width=6)
    processors = [Temperature(1.5), TopK(4)]
    texts = torch.tensor(list(itertools.product(range(VOCAB), repeat=3)))
    log_p = torch.zeros(len(texts), dtype=torch.float64)
    with torch.no_grad():
        for place in range(3):
            ids = torch.cat([PROMPT.expand(len(texts), -1), texts[:, :place]], 1)
            logits = target(ids)[:, -1]
            for process in processors:
                logits = process(ids, logits)
            log_p += logits.double().log_softmax(-1).gather(1, texts[:, place : place + 1])[:, 0]
    p, n, generator = log_p.exp(), 300, torch.Generator().manual_seed(0)
    assert math.isclose(float(p.sum()), 1, rel_tol=1e-6)
    counts, kept, drafted = torch.zeros(len(texts), dtype=torch.float64), 0, 0
    for _ in range(n):
        run = speculate(target, draft, PROMPT, 3, lookahead=2, processors=processors, generator=generator)
        a, b, c = run.ids[0, 3:].tolist()
        counts[25 * a + 5 * b + c] += 1
        kept, drafted = kept + run.kept, drafted + run.drafted
    assert counts[p == 0].sum() == 0
    bins = torch.where(p * n > 5, torch.arange(len(p)), len(p))  # the rare texts together in one bin
    expected, got = (torch.zeros(len(p) + 1, dtype=p.dtype).index_add(0, bins, x) for x in (p * n, counts))
    expected, got = expected[expected > 0], got[expected > 0]
    chi_square = float(((got - expected) ** 2 / expected).sum())
    degrees = len(expected) - 1
    assert chi_square < degrees + 4 * math.sqrt(2 * degrees), (chi_square, degrees)
    assert 0 < kept < drafted


def test_a_draft_that_is_the_target_is_always_kept() -> None:
    target = llama(0)
    run = speculate(target, target, PROMPT, 20, lookahead=3, generator=torch.Generator().manual_seed(0))
    assert run.kept == run.drafted == 15


def test_the_judge_keeps_what_agrees_and_writes_one_token_more() -> None:
    """Greedy by hand; and with proposals of any origin, drawn: always kept where the target is as sure as the draft."""
    logits = 9.0 * nn.functional.one_hot(torch.tensor([1, 2, 3]), VOCAB).float()
    for proposed, kept, token in (([1, 2], 2, 3), ([1, 4], 1, 2), ([0, 2], 0, 1)):
        got = judge(logits, [], torch.tensor(proposed))
        assert (got[0], int(got[1])) == (kept, token)
    sure = list(nn.functional.one_hot(torch.tensor([1, 4]), VOCAB).float())
    kept, token = judge(100 * logits, sure, torch.tensor([1, 4]), torch.Generator().manual_seed(0))
    assert (kept, int(token)) == (1, 2)  # the second is impossible for the target


def test_a_reader_reads_each_token_once_until_it_is_told_to_forget() -> None:
    model, read = llama(0).eval(), []
    model.register_forward_pre_hook(lambda _, given: read.append(given[0].shape[1]))
    reader, ids = TextReader(model, [Temperature(2.0)]), torch.tensor([[1, 3, 0, 2, 4]])
    with torch.no_grad():
        reader(ids[:, :3], 1)
        got = reader(ids, 2)
        reader.forget(4)
        again = reader(ids, 1)
        want = model(ids)[0, -2:] / 2
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(again, want[1:])
    assert read == [3, 2, 1, 5]


def test_a_recurrent_network_cannot_take_words_back() -> None:
    lstm = LSTM(LSTMConfig(VOCAB, 40, 6))
    with rejects("cannot go back"):
        for seed in range(5):
            speculate(llama(seed), lstm, PROMPT, 20)


def test_autograd_can_use_the_text() -> None:
    with torch.inference_mode():
        inside = speculate(llama(0), llama(1), PROMPT, 4).ids
    assert not inside.is_inference() and not speculate(llama(0), llama(1), PROMPT, 4).ids.is_inference()


def test_the_expected_number_of_tokens_is_the_closed_form() -> None:
    for alpha, lookahead in ((0.0, 3), (0.3, 1), (0.8, 4)):
        closed = (1 - alpha ** (lookahead + 1)) / (1 - alpha)
        assert math.isclose(expected_tokens(alpha, lookahead), closed)
    assert expected_tokens(1.0, 4) == 5
    # and a count: rounds of coin tosses that stop at the first refusal
    generator = torch.Generator().manual_seed(0)
    tosses = torch.rand(100_000, 4, generator=generator) < 0.8
    assert abs(float(tosses.cumprod(1).sum(1).float().mean()) + 1 - expected_tokens(0.8, 4)) < 0.02


def test_leaves_both_models_as_they_were() -> None:
    target, draft = llama(0).train(), llama(1).train()
    speculate(target, draft, PROMPT, 5)
    assert target.training
    assert draft.training


def test_bad_input() -> None:
    with rejects("input_ids"):
        speculate(llama(0), llama(1), PROMPT.expand(2, -1), 3)
    with rejects("target's 5"):
        speculate(llama(0), llama(1, vocab=6), PROMPT, 3)
    with rejects("contexts"):
        speculate(llama(0), llama(1, context=5), PROMPT, 3)
    with rejects("lookahead"):
        speculate(llama(0), llama(1), PROMPT, 3, lookahead=0)
    with rejects("alpha"):
        expected_tokens(1.2, 3)
