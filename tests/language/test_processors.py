"""Logits processors: parity with transformers incl. ties and edges, what each keeps, known mistakes (I36 to I38)."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation import logits_process as hf

from companion.language.processors import MinP, RepetitionPenalty, Temperature, TopK, TopP, processed
from tests.conftest import rejects

INF = math.inf
IDS = torch.zeros(1, 1, dtype=torch.long)  # the processors but one do not look at the text


def logits(*shape: int, seed: int = 0, scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def kept(processor, probabilities: list[float]) -> list[int]:
    out = processor(IDS, torch.tensor([probabilities]).log())
    return [i for i, value in enumerate(out[0].tolist()) if value > -INF]


PAIRS = [
    (Temperature(0.3), hf.TemperatureLogitsWarper(0.3)),
    (Temperature(2.5), hf.TemperatureLogitsWarper(2.5)),
    *((TopK(k), hf.TopKLogitsWarper(k)) for k in (1, 3, 17, 400)),
    *((TopP(p), hf.TopPLogitsWarper(p)) for p in (0.0, 0.1, 0.5, 0.9, 0.999, 1.0)),
    *((MinP(m), hf.MinPLogitsWarper(m)) for m in (0.0, 0.01, 0.2, 1.0)),
    *((RepetitionPenalty(t), hf.RepetitionPenaltyLogitsProcessor(t)) for t in (1.0, 1.3, 0.7)),
]


class TestParity:
    @pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=[repr(pair[0]) for pair in PAIRS])
    @pytest.mark.parametrize("seed", range(3))
    def test_equals_transformers(self, ours, theirs, seed):
        scores, ids = logits(3, 17, seed=seed), torch.randint(17, (3, 5))
        scores[1, 4:9] = scores[1, 2]  # ties
        scores[2, :6] = -INF  # left out by an earlier processor
        before = scores.clone()
        torch.testing.assert_close(ours(ids, scores), theirs(ids, scores.clone()), rtol=0, atol=1e-5)
        assert torch.equal(scores, before), "the model's logits were changed in place"

    def test_a_chain_equals_transformers(self):
        scores, ids = logits(4, 50), torch.randint(50, (4, 7))
        ours, theirs = scores, scores.clone()
        for process, reference in [PAIRS[15], PAIRS[0], PAIRS[4], PAIRS[9], PAIRS[13]]:
            ours, theirs = process(ids, ours), reference(ids, theirs)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)

    @given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.integers(2, 40))
    @settings(max_examples=100, deadline=None)
    def test_top_p_at_any_p(self, seed, p, vocab):
        scores = logits(1, vocab, seed=seed)
        assert torch.equal(TopP(p)(IDS, scores), hf.TopPLogitsWarper(p)(IDS, scores))


class TestTruth:
    def test_top_p_keeps_the_token_that_crosses_p_I36(self):
        """A table: the smallest set with mass at least p, the crossing token included; p = 0 and p = 1 are no special case."""
        table = [0.5, 0.25, 0.125, 0.0625, 0.0625]
        for p, want in [(0.0, 1), (0.4, 1), (0.5, 1), (0.51, 2), (0.75, 2), (0.76, 3), (0.93, 4), (0.94, 5), (1.0, 5)]:
            assert len(kept(TopP(p), table)) == want, p
            assert sum(table[i] for i in kept(TopP(p), table)) >= p

    def test_top_p_sees_what_top_k_left_I36(self):
        """The order of the two matters: after top-2 the masses are counted anew."""
        scores = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
        assert (TopP(0.55)(IDS, TopK(2)(IDS, scores)) > -INF).sum() == 1
        assert (TopK(2)(IDS, TopP(0.55)(IDS, scores)) > -INF).sum() == 2

    def test_top_k_keeps_exactly_k_I37(self):
        """k finite logits for every k; only ties with the k-th are kept beyond it, and k above the vocabulary keeps all."""
        scores = logits(1, 11)
        for k in range(1, 14):
            assert ((TopK(k)(IDS, scores) > -INF).sum(-1) == min(k, 11)).all()
        assert kept(TopK(2), [0.4, 0.2, 0.2, 0.1, 0.1]) == [0, 1, 2]

    def test_entropy_rises_with_temperature_I38(self):
        scores = logits(1, 20)
        entropies = torch.stack(
            [torch.distributions.Categorical(logits=Temperature(t)(IDS, scores)).entropy() for t in (0.1, 0.5, 1, 2, 9)]
        )
        assert (entropies.diff(dim=0) > 0).all()

    def test_temperature_to_zero_is_argmax_I38(self):
        scores = logits(1, 20)
        cold = Temperature(1e-4)(IDS, scores).softmax(-1)
        torch.testing.assert_close(cold, torch.nn.functional.one_hot(scores.argmax(-1), 20).float())
        assert torch.equal(Temperature(1.0)(IDS, scores), scores)

    def test_min_p_is_a_share_of_the_largest(self):
        assert kept(MinP(0.3), [0.5, 0.26, 0.14, 0.1]) == [0, 1]
        assert kept(MinP(1.0), [0.5, 0.26, 0.14, 0.1]) == [0]

    def test_a_penalty_lowers_positive_and_negative_logits(self):
        """Dividing a negative logit would raise it: seen tokens 0 and 1 both become less probable, unseen ones do not move."""
        scores = torch.tensor([[2.0, -2.0, 1.0, -1.0]])
        got = RepetitionPenalty(2.0)(torch.tensor([[0, 1, 1]]), scores)
        assert got.tolist() == [[1.0, -4.0, 1.0, -1.0]]

    def test_printed_equations_I60(self):
        """eq-decoding-temperature, -top-k, -top-p and -min-p, as printed, token by token."""
        ell = logits(1, 9).double()
        p = ell.softmax(-1)[0].tolist()
        hot = [math.exp(x / 0.7) for x in ell[0].tolist()]
        torch.testing.assert_close(
            Temperature(0.7)(IDS, ell).softmax(-1)[0].tolist(), [h / sum(hot) for h in hot], rtol=1e-9, atol=1e-12
        )
        above = [[q for q in p if q > x] for x in p]
        assert kept(TopK(4), p) == [i for i in range(9) if len(above[i]) < 4]
        assert kept(TopP(0.8), p) == [i for i in range(9) if sum(above[i]) < 0.8]
        assert kept(MinP(0.05), p) == [i for i in range(9) if p[i] >= 0.05 * max(p)]


class TestDependence:
    @pytest.mark.parametrize("ours", [pair[0] for pair in PAIRS], ids=repr)
    def test_rows_do_not_mix_and_one_token_is_left(self, ours):
        scores, ids = logits(3, 17), torch.randint(17, (3, 4))
        together = ours(ids, scores)
        for row in range(3):
            assert torch.equal(ours(ids[row : row + 1], scores[row : row + 1]), together[row : row + 1])
        assert torch.equal(together.argmax(-1) if not isinstance(ours, RepetitionPenalty) else scores.argmax(-1),
                           scores.argmax(-1))  # fmt: skip
        assert (together > -INF).any(-1).all()


class TestBadInput:
    @pytest.mark.parametrize(
        ("kind", "value", "name"),
        [
            (Temperature, 0.0, "temperature"),
            (Temperature, -1.0, "temperature"),
            (Temperature, math.nan, "temperature"),
            (TopK, 0, "k"),
            (TopP, 1.1, "p"),
            (TopP, -0.1, "p"),
            (MinP, 1.5, "share"),
            (RepetitionPenalty, 0.0, "theta"),
        ],
    )
    def test_values_out_of_range(self, kind, value, name):
        with rejects(name):
            kind(value)

    def test_a_penalty_needs_the_text(self):
        with rejects("batch"):
            RepetitionPenalty(1.2)(torch.zeros(2, 3, dtype=torch.long), torch.zeros(1, 5))


def test_all_processors_work_in_float32() -> None:
    """bf16 has 8 bits: at a temperature of 0.7 its quotients are wrong in the third digit, and top-p sums them up."""
    logits = (4 * torch.randn(3, 50, generator=torch.Generator().manual_seed(0))).bfloat16()
    ids, several = torch.zeros(3, 1, dtype=torch.long), [Temperature(0.7), TopP(0.9)]
    got = processed(logits, ids, several)
    assert got.dtype == torch.float32
    assert torch.equal(got, processed(logits.float(), ids, several))
    assert torch.equal(processed(logits.float(), ids, [several[0]]), logits.float() / 0.7)
