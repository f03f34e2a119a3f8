"""Chapter 3.3's graders: the typical wrong answers that `test_typical` tries; the mechanism survives everything."""

import math
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Normal

from companion.exercises import answers
from companion.exercises.answers import Answer, GaveUp, Wrong
from companion.exercises.checking import check, compare, examine, grade
from companion.exercises.foundations.distributions import _fits
from tests.conftest import rejects
from tests.exercises import typical

RIGHT = typical.right("3_03_foundations")


def mixture(
    std: Callable[[Tensor], Tensor] = lambda logvar: (0.5 * logvar).exp(),
    over_dimensions: Callable[[Tensor], Tensor] = lambda parts: parts.sum(-1),
    mix: Callable[[Tensor, Tensor], Tensor] = lambda parts, a: (parts + a.log_softmax(0)).logsumexp(-1),
) -> Callable[..., Tensor]:
    def mixture_log_prob(x: Tensor, logits: Tensor, means: Tensor, logvars: Tensor) -> Tensor:
        return mix(over_dimensions(Normal(means, std(logvars)).log_prob(x[:, None])), logits)

    return mixture_log_prob


def elbo(
    std: Callable[[Tensor], Tensor] = lambda logvar: (0.5 * logvar).exp(),
    over_latents: Callable[[Tensor], Tensor] = lambda kl: kl.sum(-1),
    over_pixels: Callable[[Tensor], Tensor] = lambda terms: terms.sum(-1),
    sign: float = -1.0,
) -> Callable[..., Tensor]:
    def wrong(x: Tensor, mu: Tensor, logvar: Tensor, noise: Tensor, decode: Callable[[Tensor], Tensor]) -> Tensor:
        terms = -F.binary_cross_entropy_with_logits(decode(mu + noise * std(logvar)), x, reduction="none")
        return over_pixels(terms) + sign * over_latents(0.5 * (mu**2 + logvar.exp() - 1 - logvar))

    return wrong


def penalty(
    epsilon: Callable[[Tensor], Tensor] = lambda real: torch.rand(len(real), 1, 1, 1),
    norm: Callable[[Tensor], Tensor] = lambda gradient: gradient.flatten(1).norm(dim=1),
    graph: bool = True,
    over_batch: Callable[[Tensor], Tensor] = torch.mean,
) -> Callable[..., Tensor]:
    def wrong(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
        share = epsilon(real)
        points = (share * real + (1 - share) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=graph)
        return over_batch((norm(gradient) - 1) ** 2)

    return wrong


def attend(
    scale: Callable[[Tensor, Tensor], float] = lambda q, k: q.shape[-1] ** -0.5,
    offset: Callable[[int, int], int] = lambda n, m: m - n,
    axis: int = -1,
) -> Callable[..., Tensor]:
    def wrong(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        n, m = q.shape[-2], k.shape[-2]
        seen = torch.ones(n, m).tril(offset(n, m)).bool()
        return (q @ k.mT * scale(q, k)).masked_fill(~seen, -torch.inf).softmax(axis).nan_to_num() @ v

    return wrong


def masked_after(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    n, m = q.shape[-2], k.shape[-2]
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1).tril(m - n) @ v


WRONG: list[typical.Row] = [
    ("3.3.1", mixture(std=torch.exp), 12, "standard deviation (I3)"),
    ("3.3.1", mixture(over_dimensions=lambda p: p.mean(-1)), 12, "averaged over the dimensions"),
    ("3.3.1", mixture(mix=lambda p, a: (p + a.log_softmax(0)).exp().sum(-1).log()), 13, "log-sum-exp"),
    ("3.3.1", mixture(mix=lambda p, a: (p * a.softmax(0)).sum(-1)), 8, "log-densities are averaged"),
    ("3.3.1", mixture(mix=lambda p, a: p.logsumexp(-1) - math.log(len(a))), 13, "weights are ignored"),
    ("3.3.1", mixture(mix=lambda p, a: (p + a).logsumexp(-1)), 13, "not normalised"),
    ("3.3.1", mixture(over_dimensions=lambda p: p.sum(-1) + 0.5 * math.log(2 * math.pi) * p.shape[-1]), 12, "2π"),
    ("3.3.2", lambda m, s: (m, s, 0.0, math.sqrt(m * m + s * s)), 2, "forward and reverse are swapped"),
    ("3.3.2", lambda m, s: (0.0, m * m + s * s, m, s * s), 7, "the variance"),
    ("3.3.2", lambda m, s: (0.0, m, m, s), 10, "own width is forgotten"),
    ("3.3.2", lambda m, s: (0.0, 3.08, 3.0, 0.7), 3, "formulas in m and s"),
    ("3.3.3", RIGHT["elbo_with_bugs"], 4, "not summed (I1)"),
    ("3.3.3", elbo(std=torch.exp), 11, "standard deviation (I3)"),
    ("3.3.3", elbo(over_latents=lambda kl: kl.mean(-1)), 11, "KL averaged over the latent dimensions"),
    ("3.3.3", elbo(over_pixels=lambda terms: terms.mean(-1)), 15, "averaged over the pixels"),
    ("3.3.3", elbo(sign=1.0), 11, "KL added"),
    ("3.3.4", lambda p, q: (p - q).mean(0), 10, "which gives the ELBO"),
    ("3.3.4", lambda p, q: (p - q).logsumexp(0), 10, "log K is missing"),
    ("3.3.4", lambda p, q: (p - q).exp().mean(0).log(), 12, "log-sum-exp"),
    ("3.3.4", lambda p, q: (p + q).logsumexp(0) - math.log(len(p)), 6, "divides by q"),
    ("3.3.4", lambda p, q: (p - q).logsumexp(1) - math.log(p.shape[1]), 0, "wanted"),
    ("3.3.5", RIGHT["penalty_with_bugs"], 6, "every pixel (I12)"),
    ("3.3.5", penalty(norm=lambda g: g.norm(dim=1)), 12, "channels only"),
    ("3.3.5", penalty(epsilon=torch.rand_like), 12, "every pixel (I12)"),
    ("3.3.5", penalty(epsilon=lambda real: torch.rand(1)), 12, "one ε for the whole batch"),
    ("3.3.5", penalty(epsilon=lambda real: torch.randn(len(real), 1, 1, 1)), 12, "normal distribution (I14)"),
    ("3.3.5", penalty(norm=lambda g: (g**2).flatten(1).sum(1).sqrt()), 16, "slope at 0 (I14)"),
    ("3.3.5", penalty(graph=False), 13, "create_graph"),
    ("3.3.5", penalty(over_batch=torch.sum), 12, "summed over the batch"),
    ("3.3.6", attend(scale=lambda q, k: 1.0), 11, "√d is missing (I20)"),
    ("3.3.6", attend(scale=lambda q, k: (q.shape[-1] * q.shape[1]) ** -0.5), 11, "all heads together (I19)"),
    ("3.3.6", attend(offset=lambda n, m: 0), 8, "starts at the first key (I22)"),
    ("3.3.6", attend(offset=lambda n, m: m), 9, "no causal mask (I21)"),
    ("3.3.6", attend(offset=lambda n, m: m - n - 1), 4, "off by one"),
    ("3.3.6", attend(axis=-2), 8, "wrong axis"),
    ("3.3.6", masked_after, 6, "masked after the softmax"),
]


@pytest.mark.parametrize(("m", "s"), [(3.0, 0.7), (3.5, 1.0), (4.5, 1.2), (6.0, 1.6)])
def test_the_search_finds_the_closed_forms_of_both_directions(m: float, s: float) -> None:
    """Forward KL matches moments; reverse KL sits on one hump, whose neighbour is too far away to matter."""
    forward_mean, forward_std, reverse_mean, reverse_std = _fits(m, s)
    assert abs(forward_mean) < 0.01
    assert forward_std == pytest.approx(math.hypot(m, s), rel=0.01)
    assert reverse_mean == pytest.approx(m, rel=0.005)
    assert reverse_std == pytest.approx(s, rel=0.005)


def test_a_check_does_not_judge_a_prediction_but_the_grade_does(capsys: pytest.CaptureFixture[str]) -> None:
    check("3.3.2", lambda m, s: (m, m, s, s), seed=1)
    printed = capsys.readouterr().out
    assert printed.count("judged when you hand in") == 4
    assert "1 of 1 properties hold" in printed
    assert grade("3.3.2", lambda m, s: (m, m, s, s), seed=1) == 5


def test_a_check_prints_shape_and_type_got_and_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    check("3.3.4", RIGHT["importance_bound"], seed=4)
    assert "✓ one number for each example: got shape (" in capsys.readouterr().out
    check("3.3.4", lambda p, q: RIGHT["importance_bound"](p, q)[:, None], seed=4)
    assert "1), wanted (" in (printed := capsys.readouterr().out) and "keepdim" in printed
    check("3.3.4", lambda p, q: [1.0], seed=4)
    assert "got list, wanted a torch.Tensor of shape (" in capsys.readouterr().out
    check("3.3.4", lambda p, q: (p - q)[0].long(), seed=4)
    assert "got torch.int64, wanted floating-point numbers" in capsys.readouterr().out


def test_inputs_are_fresh_in_each_check_and_the_same_for_one_seed() -> None:
    seen: list[Tensor] = []

    def spy(log_joint: Tensor, log_q: Tensor) -> Tensor:
        seen.append(log_joint.clone())
        log_joint.zero_()  # what the student does to an input must not reach the reference
        return (log_joint - log_q).mean(0)

    for seed in (1, 1, 2):
        examine("3.3.4", spy, seed)
    third = len(seen) // 3
    assert all(torch.equal(a, b) for a, b in zip(seen[:third], seen[third : 2 * third], strict=True))
    assert not any(a.shape == b.shape and torch.equal(a, b) for a, b in zip(seen, seen[2 * third :], strict=False))


def test_the_check_leaves_the_random_numbers_of_the_notebook_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    examine("3.3.5", penalty(), 1)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("hang", ["loop", "sleep"])
def test_a_function_that_does_not_come_back_is_stopped(hang: str) -> None:
    def endless(*_: Any) -> None:
        while hang == "loop":
            pass
        time.sleep(60)

    used, started = time.process_time(), time.monotonic()
    with pytest.raises(GaveUp, match=r"endless did not come back within 0\.2 s"):
        Answer(endless, "endless", seconds=0.2)(1)
    assert time.process_time() - used < 2  # about 0.2 s in the loop and none asleep, with room for what else it takes
    assert time.monotonic() - started < 60  # it is left to sleep


def test_after_a_hang_nothing_more_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "TIME_LIMIT", 0.2)
    calls: list[int] = []

    def endless(*_: Any) -> None:
        calls.append(1)
        while True:
            pass

    findings = examine("3.3.6", endless, 1)
    assert len(calls) == 1
    assert findings[0].mistake == "a loop that never ends"
    assert {finding.detail for finding in findings[1:]} == {"not tried"}


def test_an_error_is_told_with_its_line_and_an_exit_does_not_exit() -> None:
    def broken(value: int) -> float:
        ratio = 1 / value
        return ratio

    with pytest.raises(Wrong, match=r"broken\(value\) raised ZeroDivisionError in line \d+ of its cell: division by"):
        Answer(broken, "broken(value)")(0)
    with pytest.raises(Wrong, match="raised SystemExit"):
        Answer(lambda: sys.exit(3), "leave()")()


def test_what_the_student_warns_of_does_not_reach_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """nbgrader takes any output on stderr for a failure and gives nothing."""

    def noisy() -> int:
        warnings.warn("careful", stacklevel=1)
        print("also here", file=sys.stderr)
        return 1

    assert Answer(noisy, "noisy()")() == 1
    assert capsys.readouterr().err == ""


def test_bad_input_of_the_check_itself() -> None:
    with rejects(r"exercise: got '3\.3\.9', wanted one of .*'3\.3\.1'"):
        check("3.3.9", print)
    with rejects("function: got int, wanted your function"):
        check("3.3.1", 3)  # type: ignore[arg-type]
    with rejects("seed: got -1"):
        grade("3.3.1", print, seed=-1)


def test_compare_says_how_far_and_names_the_mistake() -> None:
    one, two = torch.ones(3), 2 * torch.ones(3)
    assert compare(one, one, {}) == "3 values agree"
    with pytest.raises(Wrong, match=r"differ by up to 1") as caught:
        compare(two, one, {"doubled": two})
    assert caught.value.mistake == "doubled"
    with pytest.raises(Wrong) as caught:
        compare(3 * one, one, {"doubled": two, "of another shape": torch.ones(2)})
    assert caught.value.mistake == ""
