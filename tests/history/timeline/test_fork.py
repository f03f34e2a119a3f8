"""The fork: its law, and the least squared error, which lies on no branch."""

import torch

from companion.history.timeline.fork import Answer, branch, fork, on_a_branch, squared_error
from tests.conftest import gen, rejects


def test_the_law_lies_on_two_branches_and_its_mean_on_none() -> None:
    (points,) = fork(20_000, gen())
    assert abs(on_a_branch(points) - 0.9973) < 0.002
    assert abs(float((points[:, 1] > 0).double().mean()) - 0.5) < 0.02
    middle = points.clone()
    middle[:, 1] = 0
    assert on_a_branch(middle) == 0


def test_answers_keep_the_question_and_depend_on_the_noise() -> None:
    torch.manual_seed(0)
    model, z = Answer(), torch.randn(6, 2, generator=gen())
    assert torch.equal(model(z)[:, 0], z[:, 0])
    assert not torch.equal(model(z)[:, 1], model(z * torch.tensor([1.0, -1.0]))[:, 1])


def test_the_error_of_always_saying_zero_is_the_second_moment() -> None:
    class Zero(torch.nn.Module):
        def forward(self, z):
            return z * torch.tensor([1.0, 0.0])

    (points,) = fork(500, gen())
    wanted = points[:, 1].square().mean()
    assert torch.isclose(squared_error(Zero(), (points,), gen()), wanted)
    assert abs(float(wanted - branch(points[:, 0]).square().mean())) < 0.05


def test_bad_input() -> None:
    with rejects("n: got 0"):
        fork(0, gen())
    with rejects("points"):
        on_a_branch(torch.full((2, 2), torch.nan))
