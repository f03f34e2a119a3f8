"""The law's fit finds what was planted, its frontier is the optimum, and the printed constants say what the lesson says."""

import math

import pytest
import torch

from companion.metrics.intervals import percentile_interval
from companion.scaling.laws import fit
from companion.scaling.laws.fit import (
    BESIROGLU,
    HOFFMANN,
    ScalingLaw,
    bootstrap_laws,
    fit_law,
    predicted_log,
)
from tests.conftest import rejects

PLANTED = ScalingLaw(E=1.3, A=30.0, alpha=0.4, B=200.0, beta=0.45)


def points(law: ScalingLaw = PLANTED, *, noise: float = 0.0, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Five models at six numbers of tokens, all different, with relative noise."""
    n = torch.tensor([3e3, 1.1e4, 3e4, 1e5, 3.4e5], dtype=torch.float64).repeat_interleave(6)
    d = torch.tensor([1e5, 2e5, 4e5, 8e5, 1.6e6, 3.2e6], dtype=torch.float64).repeat(5) * (n / 3e3) ** 0.07
    generator = torch.Generator().manual_seed(seed)
    return n, d, law.loss(n, d) * (1 + noise * torch.randn(30, generator=generator, dtype=torch.float64))


class TestTruth:
    @pytest.mark.parametrize("law", [PLANTED, ScalingLaw(0.8, 8.0, 0.2, 4000.0, 0.7)])
    def test_planted_constants_are_recovered(self, law: ScalingLaw) -> None:
        fit = fit_law(*points(law), starts=4)
        for name in ("E", "A", "alpha", "B", "beta"):
            assert getattr(fit.law, name) == pytest.approx(getattr(law, name), rel=1e-4), name
        assert fit.objective < 1e-12 and fit.agreeing >= 1 and fit.starts == 4

    def test_broken_points_do_not_bend_the_fit(self) -> None:
        """The Huber loss forgives three runs that went wrong by 0.3 nats; the mean square (a large delta) does not."""
        n, d, losses = points()
        losses = losses.clone()
        losses[[4, 13, 27]] += 0.3
        robust, square = (fit_law(n, d, losses, delta=delta, starts=3).law for delta in (1e-3, 10.0))
        assert robust.alpha == pytest.approx(PLANTED.alpha, rel=0.02)
        assert abs(square.alpha - PLANTED.alpha) > 0.05

    def test_noise_is_within_the_bootstrap(self) -> None:
        n, d, losses = points(noise=0.003)
        laws = bootstrap_laws(n, d, losses, resamples=16, generator=torch.Generator().manual_seed(1), starts=1)
        assert len({law.E for law in laws}) > 8, "the resamples differ"
        for name in ("E", "alpha", "beta"):
            found = percentile_interval([getattr(law, name) for law in laws], level=0.99)
            assert found.low - 0.02 < getattr(PLANTED, name) < found.high + 0.02, name

    def test_a_draw_with_two_sizes_or_two_lengths_left_is_drawn_again(self, monkeypatch) -> None:
        """Three values of each, one of them rare: a good part of the draws have lost it."""
        rare = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2])
        others = torch.tensor([0, 1, 2] * 4)
        sizes, lengths = torch.tensor([1e3, 1e4, 1e5]).double(), torch.tensor([1e5, 1e6, 1e7]).double()
        drawn, best_of = [], fit.best_fit
        monkeypatch.setattr(fit, "best_fit", lambda points, *args: drawn.append(points) or best_of(points, *args))
        for n, d in ((sizes[rare], lengths[others]), (sizes[others], lengths[rare])):
            bootstrap_laws(n, d, PLANTED.loss(n, d), resamples=6, generator=torch.Generator().manual_seed(0), starts=1)
        assert len(drawn) >= 12
        assert all(points[axis].unique().numel() == 3 for points in drawn for axis in (0, 1))

    def test_more_noise_means_wider_intervals(self) -> None:
        width = []
        for noise in (0.001, 0.01):
            laws = bootstrap_laws(
                *points(noise=noise), resamples=8, generator=torch.Generator().manual_seed(2), starts=1
            )
            width.append(percentile_interval([law.E for law in laws]).width)
        assert width[1] > 2 * width[0]

    def test_log_sum_exp_is_the_log_of_the_law_I60(self) -> None:
        """(eq-laws-fit) as printed against (eq-laws-loss) as printed."""
        n, d, _ = points()
        theta = torch.tensor([math.log(30.0), 0.4, math.log(200.0), 0.45, math.log(1.3)], dtype=torch.float64)
        found = predicted_log(theta, torch.stack([n.log(), d.log(), n.log()]))
        torch.testing.assert_close(found, PLANTED.loss(n, d).log(), rtol=0, atol=1e-12)


class TestFrontier:
    @pytest.mark.parametrize("law", [PLANTED, HOFFMANN, BESIROGLU])
    @pytest.mark.parametrize("compute", [1e12, 5.76e23])
    def test_no_other_split_of_the_compute_is_better(self, law: ScalingLaw, compute: float) -> None:
        best = law.optimum(compute)
        assert 6 * best.parameters * best.tokens == pytest.approx(compute, rel=1e-9)
        n = best.parameters * torch.logspace(-3, 3, 4001, dtype=torch.float64)
        others = law.loss(n, compute / (6 * n))
        assert best.loss <= float(others.min()) + 1e-12
        assert int(others.argmin()) == 2000

    def test_gradients_balance_at_the_optimum(self) -> None:
        """Lagrange's condition: dL/dln N = dL/dln D, as ln C = ln N + ln D + ln k; (eq-laws-balance) follows."""
        best = BESIROGLU.optimum(1e21, per_pair=7.5)
        n, d = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (best.parameters, best.tokens))
        BESIROGLU.loss(n, d).backward()
        assert (n.detach() * n.grad).item() == pytest.approx((d.detach() * d.grad).item(), rel=1e-9)
        assert 7.5 * best.parameters * best.tokens == pytest.approx(1e21, rel=1e-9)
        left = BESIROGLU.alpha * BESIROGLU.A / best.parameters**BESIROGLU.alpha
        assert left == pytest.approx(BESIROGLU.beta * BESIROGLU.B / best.tokens**BESIROGLU.beta, rel=1e-9)

    def test_printed_constants_do_not_say_twenty_tokens_per_parameter(self) -> None:
        """At Chinchilla's budget, 5.76e23: 93 by the paper's equation 10, 18 by the re-fit."""
        assert HOFFMANN.optimum(5.76e23).tokens_per_parameter == pytest.approx(92.6, abs=0.5)
        assert BESIROGLU.optimum(5.76e23).tokens_per_parameter == pytest.approx(18.4, abs=0.2)
        assert HOFFMANN.optimum(5.76e23).parameters == pytest.approx(32e9, rel=0.02)

    def test_compute_for_inverts_the_frontier(self) -> None:
        for compute in (1e9, 1e15, 1e24):
            loss = PLANTED.optimum(compute, per_pair=9.0).loss
            assert PLANTED.compute_for(loss, per_pair=9.0) == pytest.approx(compute, rel=1e-6)

    def test_constants_are_as_printed(self) -> None:
        assert (HOFFMANN.E, HOFFMANN.A, HOFFMANN.alpha, HOFFMANN.B, HOFFMANN.beta) == (1.69, 406.4, 0.34, 410.7, 0.28)


class TestDependence:
    def test_the_order_of_the_points_does_not_matter(self) -> None:
        n, d, losses = points(noise=0.004)
        order = torch.randperm(30, generator=torch.Generator().manual_seed(3))
        one, other = fit_law(n, d, losses, starts=3).law, fit_law(n[order], d[order], losses[order], starts=3).law
        assert one.alpha == pytest.approx(other.alpha, rel=1e-4)

    def test_more_of_anything_helps(self) -> None:
        assert PLANTED.loss(1e4, 1e6) > PLANTED.loss(2e4, 1e6) > PLANTED.loss(2e4, 2e6) > PLANTED.E


class TestBadInput:
    def test_points(self) -> None:
        with rejects("points"):
            fit_law([1.0, 2, 3, 4], [1.0, 2, 3, 4], [1.0, 2, 3, 4])
        with rejects("points"):
            fit_law([1.0] * 6, [1.0] * 5, [1.0] * 6)
        with rejects("losses"):
            fit_law([1.0, 2, 3, 4, 5], [1.0, 2, 3, 4, 5], [1.0, 2, 3, 4, -5])
        with rejects("tokens"):
            fit_law([1.0, 2, 3, 4, 5], [1.0, 2, 3, 4, math.inf], [1.0, 2, 3, 4, 5])
        with rejects("parameters"):
            fit_law([7.0] * 5, [1.0, 2, 3, 4, 5], [1.0, 2, 3, 4, 5])

    def test_numbers(self) -> None:
        with rejects("delta"):
            fit_law(*points(), delta=0.0)
        with rejects("starts"):
            fit_law(*points(), starts=0)
        with rejects("alpha"):
            ScalingLaw(1.0, 1.0, 0.0, 1.0, 1.0)
        with rejects("compute"):
            PLANTED.optimum(0.0)
        with rejects("loss"):
            PLANTED.compute_for(1.3)
        with rejects("resamples"):
            bootstrap_laws(*points(), resamples=0, generator=torch.Generator())
