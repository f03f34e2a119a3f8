"""Classifier-free guidance: the identities of its convention, as printed, for all channels, in every parameterisation."""

import pytest
import torch

from companion.diffusion.ddpm import cosine_schedule
from companion.diffusion.guidance import guide, guided
from companion.diffusion.parameterisation import PREDICTIONS, as_denoiser, data_and_noise
from tests.conftest import rejects


def net(x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Each image's answer depends on its own step and label."""
    return 0.5 * x + (t / 10 + labels.double() ** 2).reshape(-1, 1, 1, 1)


@pytest.fixture
def inputs():
    return torch.randn(3, 4, 2, 5).double(), torch.tensor([1, 7, 7]), torch.tensor([2, 0, 9])


class TestConvention:
    def test_identities_I54(self, inputs):
        """w = 0: no label; w = 1: the conditional model; w = 2: as far beyond it again."""
        x, t, labels = inputs
        nothing = torch.full_like(labels, 10)
        torch.testing.assert_close(guided(net, labels, 0)(x, t), net(x, t, nothing), rtol=0, atol=0)
        torch.testing.assert_close(guided(net, labels, 1)(x, t), net(x, t, labels), rtol=0, atol=0)
        want = 2 * net(x, t, labels) - net(x, t, nothing)
        torch.testing.assert_close(guided(net, labels, 2)(x, t), want, rtol=0, atol=1e-9)

    def test_printed_equation_and_the_papers_I60(self):
        """``eq-cfg``, and the paper's form with w' = w - 1."""
        a, b = torch.randn(2, 3).double(), torch.randn(2, 3).double()
        for w in (0.0, 0.3, 1.0, 4.0):
            torch.testing.assert_close(guide(a, b, w), a + w * (b - a), rtol=0, atol=0)
            torch.testing.assert_close(guide(a, b, w), (1 + (w - 1)) * b - (w - 1) * a, rtol=0, atol=1e-12)

    def test_near_one_it_is_continuous(self, inputs):
        """The single pass at w = 1 gives what the double pass gives beside it."""
        x, t, labels = inputs
        torch.testing.assert_close(guided(net, labels, 1)(x, t), guided(net, labels, 1 + 1e-9)(x, t), rtol=0, atol=1e-6)

    def test_all_channels_are_guided_I54(self, inputs):
        x, t, labels = inputs
        moved = guided(net, labels, 3)(x, t) - guided(net, labels, 1)(x, t)
        assert (moved.abs() > 0).all()

    def test_another_no_label(self, inputs):
        x, t, labels = inputs
        got = guided(net, labels, 0, no_label=4)(x, t)
        torch.testing.assert_close(got, net(x, t, torch.full_like(labels, 4)), rtol=0, atol=0)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_it_may_be_applied_to_noise_data_or_v(inputs, prediction):
    """Guiding the network's output, or the noise that it implies, is the same."""
    x, t, labels = inputs
    s = cosine_schedule(20)
    of_output = as_denoiser(guided(net, labels, 2.5), s, prediction)(x, t)
    both = [data_and_noise(s, prediction, x, t, net(x, t, y))[1] for y in (torch.full_like(labels, 10), labels)]
    torch.testing.assert_close(of_output, guide(*both, 2.5), rtol=0, atol=1e-8)


def test_bad_input(inputs):
    x, t, labels = inputs
    with rejects("scale"):
        guided(net, labels, -1.0)
    with rejects("without"):
        guide(x, x[:1], 2.0)
    with rejects("labels"):
        guided(net, labels[:, None], 2.0)
