"""The families: each counted, each searched alike, each winner better than its neighbours."""

import math

import pytest
import torch

from companion.language.ngrams import NGram, NGramConfig
from companion.metrics.flops import count_flops
from companion.scaling.laws.families import (
    COMPUTES,
    FAMILIES,
    RATES,
    SEEDS,
    WIDTHS,
    best_counting,
    build,
    climb,
    compute_for_loss,
    forward_flops,
    winners,
)
from companion.scaling.laws.family import CONTEXT, LAYERS
from companion.scaling.laws.runs import shipped_runs
from companion.scaling.laws.texts import Texts, load_texts, train_and_measure
from tests.conftest import rejects

RUNS = shipped_runs("families")


@pytest.fixture(scope="module")
def texts() -> Texts:
    return load_texts()


class TestSearch:
    def test_climb_finds_the_floor_of_a_bowl(self) -> None:
        asked = []

        def bowl(point: tuple[int, int]) -> float:
            asked.append(point)
            return (point[0] - 3) ** 2 + (point[1] - 5) ** 2

        assert climb(bowl, (0, 0), (9, 9)) == (3, 5)
        assert climb(bowl, (8, 8), (9, 9)) == (3, 5)
        assert len(set(asked)) < 81

    def test_climb_stays_on_the_lattice(self) -> None:
        assert climb(lambda p: -p[0] - p[1], (0, 0), (3, 2)) == (2, 1)
        assert climb(lambda p: p[0] + p[1], (2, 1), (3, 2)) == (0, 0)

    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize("compute", COMPUTES)
    def test_each_shipped_winner_beats_its_four_neighbours(self, family: str, compute: float) -> None:
        """Half and double the rate, the next wider and narrower: the same chances for each family, certified."""
        here = {(run.width, run.rate): run.valid for run in RUNS if run.key[:2] == (family, compute) and run.seed == 0}
        best = winners(RUNS, family, compute)
        width, rate = best[0].width, best[0].rate
        i, j = WIDTHS.index(width), RATES.index(rate)
        beside = [(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)]
        beside = [(WIDTHS[a], RATES[b]) for a, b in beside if 0 <= a < len(WIDTHS) and 0 <= b < len(RATES)]
        assert len(beside) >= 3 and all(here[point] >= here[width, rate] for point in beside)
        assert [run.seed for run in best] == list(range(1, SEEDS + 1))

    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_shipped_run_comes_out_again(self, family: str, texts: Texts) -> None:
        """Of each family the cheapest run there is; tolerance as for the valleys."""
        shipped = min((run for run in RUNS if run.family == family), key=lambda run: run.seconds)
        model = build(family, shipped.width, len(texts.alphabet), shipped.seed)
        again = train_and_measure(model, forward_flops(model), texts, *shipped.key)
        assert (again.parameters, again.tokens, again.spent) == (shipped.parameters, shipped.tokens, shipped.spent)
        assert (again.valid, again.test) == pytest.approx((shipped.valid, shipped.test), abs=0.05)


class TestBuild:
    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize("width", [8, 24, 48])
    def test_operations_are_counted(self, family: str, width: int) -> None:
        """12 w² a layer and attention's 2 n w for the plain blocks; the LSTM's formula has its own test."""
        model = build(family, width, 31, 0)
        if family in ("GPT-2", "Transformer"):
            assert forward_flops(model) == 2 * (LAYERS * (12 * width * width + 2 * CONTEXT * width) + 31 * width)
        if family != "LSTM":
            ids = torch.zeros(3, CONTEXT, dtype=torch.long)
            assert forward_flops(model) * 3 * CONTEXT == count_flops(lambda: model(ids))

    @pytest.mark.parametrize("family", FAMILIES)
    def test_logits_start_small(self, family: str) -> None:
        """No family starts far from guessing ln V; that of 2017 begins with a preference for the token that it reads."""
        model, ids = build(family, 32, 31, 1), torch.randint(31, (4, CONTEXT + 1))
        loss = torch.nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        assert loss.item() < math.log(31) + 1.5

    def test_seed_decides(self) -> None:
        for family in FAMILIES:
            first, again, other = (build(family, 16, 31, seed).tokens.weight for seed in (0, 0, 1))
            assert torch.equal(first, again) and not torch.equal(first, other)


class TestFactor:
    def test_planted_factor_is_found(self) -> None:
        """Two curves L = C^-0.1, one of them at eight times the compute: a factor of eight, wherever it is read."""
        computes = [10.0**k for k in range(3, 9)]
        near, far = ([(c / shift) ** -0.1 for c in computes] for shift in (1.0, 8.0))
        for loss in (0.33, 0.4):
            ratio = compute_for_loss(computes, far, loss) / compute_for_loss(computes, near, loss)
            assert ratio == pytest.approx(8, rel=0.03)  # a straight line between points of a curve

    def test_points_of_the_curve_are_met_and_nothing_is_extrapolated(self) -> None:
        assert [compute_for_loss([1.0, 10.0, 100.0], [3.0, 2.0, 1.5], loss) for loss in (3.0, 2.0, 1.5)] == [
            1.0,
            10.0,
            100.0,
        ]
        assert compute_for_loss([1.0, 10.0], [3.0, 2.0], 2.5) == pytest.approx(10**0.5)
        assert compute_for_loss([1.0, 10.0], [3.0, 2.0], 1.9) is None
        assert compute_for_loss([1.0, 10.0], [3.0, 2.0], 3.1) is None


class TestCounting:
    def test_order_is_chosen_on_validation_text_and_reported_on_the_test_text(self) -> None:
        """Every token repeats the one two places back: two tokens of context are needed, and more only dilute."""
        generator = torch.Generator().manual_seed(0)
        pairs = torch.randint(6, (300, 2), generator=generator)
        text = pairs.repeat_interleave(40, 0).flatten()
        noisy = torch.where(torch.rand(len(text), generator=generator) < 0.2, text.roll(7), text)
        texts = Texts("abcdef", noisy[:18_000], noisy[18_000:21_000], noisy[21_000:])
        order, nats = best_counting(texts, 18_000, orders=range(1, 6))
        by_hand = {
            k: [
                -NGram(texts.train, NGramConfig(6, k)).token_probabilities(ids)[1:].log().mean().item()
                for ids in (texts.valid, texts.test)
            ]
            for k in range(1, 6)
        }
        assert order == min(by_hand, key=lambda k: by_hand[k][0]) and order >= 2
        assert nats == pytest.approx(by_hand[order][1])

    def test_more_text_helps_and_wants_a_longer_order(self) -> None:
        texts = load_texts(pieces=4)
        (few, worse), (many, better) = (best_counting(texts, n, orders=range(1, 7)) for n in (20_000, 400_000))
        assert better < worse - 0.2 and many > few


def test_rejects() -> None:
    with rejects("family"):
        build("RNN", 8, 31, 0)
    with rejects("runs: got none"):
        winners((), "LSTM", 1e9)
    with rejects("losses"):
        compute_for_loss([1.0, 10.0], [2.0, 3.0], 2.5)
    with rejects("losses"):
        compute_for_loss([1.0, 10.0], [2.0], 2.5)
    with rejects("tokens"):
        best_counting(load_texts(pieces=1), 0)
