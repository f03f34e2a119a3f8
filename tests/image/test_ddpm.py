"""Class-conditional diffusion of digits: its schedule and loss, guided sampling, and what the draws depend on."""

import pytest
import torch

from companion.data import digits
from companion.diffusion.ddim import ddim_sample
from companion.diffusion.guidance import guide
from companion.diffusion.prediction import to_prediction
from companion.image.ddpm import (
    LOSS,
    NO_LABEL,
    PREDICTION,
    SCHEDULE,
    WIDE,
    SmallUNet,
    digit_denoiser,
    draw_digits,
)
from companion.metrics.digit_judge import recognised
from companion.models.ddpm_digits import build, load
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects


class Net:
    """Outputs that depend on the point, the time and the label; what it was asked is written down."""

    def __call__(self, x, t, labels):
        self.x, self.t, self.labels = x, t, labels
        return 0.3 * x + (labels / 10 - t / 1000).view(-1, 1, 1, 1)


def test_the_process_ends_in_noise_and_predicts_v():
    assert SCHEDULE.steps == 1000 and float(SCHEDULE.alpha_bar[-1]) < 1e-4
    assert (LOSS.path, LOSS.kind, LOSS.space) == (SCHEDULE, PREDICTION, None) == (SCHEDULE, "v", None)


class TestLoss:
    def test_a_tenth_of_the_labels_is_dropped_I54(self):
        net, labels = Net(), torch.arange(20_000) % 10
        LOSS(net, (torch.zeros(20_000, 1, 1, 1), labels), gen())
        gone = net.labels == NO_LABEL
        assert float(gone.float().mean()) == pytest.approx(0.1, abs=0.01)
        assert torch.equal(net.labels[~gone], labels[~gone])

    def test_it_is_the_error_in_v_I60(self):
        """One image, many draws: v from eq-ddpm-v, with x_t solved for the noise."""
        net, x0 = Net(), digits("train", limit=1).images.double().expand(20, -1, -1, -1)
        got = LOSS(net, (x0, torch.full((20,), 3)), gen(2))
        bar = SCHEDULE.alpha_bar[net.t].view(-1, 1, 1, 1)
        eps = (net.x - bar.sqrt() * x0) / (1 - bar).sqrt()
        v = bar.sqrt() * eps - (1 - bar).sqrt() * x0
        torch.testing.assert_close(got, (net(net.x, net.t, net.labels) - v).square().mean())

    def test_an_untrained_model_has_about_that_of_saying_nothing(self):
        """v has about the size of the data and the noise, so a network that outputs little has a loss near its variance."""
        data = digits("train", limit=64)
        assert 0.5 < LOSS(build(), (data.images, data.labels), gen()).item() < 2.0

    def test_it_depends_on_its_generator_alone(self):
        data, net = digits("train", limit=16), build()
        values = [LOSS(net, (data.images, data.labels), gen(k)).item() for k in (0, 0, 1)]
        assert values[0] == values[1] != values[2]


class TestSmallUNet:
    def test_step_and_label_reach_their_own_image_and_no_other_I47(self):
        net, x = SmallUNet(), torch.randn(3, 1, 28, 28)
        t, labels = torch.tensor([5, 400, 900]), torch.tensor([1, 2, 10])
        before = net(x, t, labels)
        for changed in ((torch.tensor([6, 400, 900]), labels), (t, torch.tensor([3, 2, 10]))):
            after = net(x, *changed)
            assert not torch.allclose(after[0], before[0]) and torch.equal(after[1:], before[1:])

    @pytest.mark.parametrize("lost", ["large", "small"])
    def test_both_ways_through_the_u_carry_something(self, lost):
        """Without the direct path, or without the way by the smaller size, the answer is another one."""
        net, x, two = SmallUNet(), torch.randn(2, 1, 12, 20), torch.tensor([1, 2])
        before = net(x, two, two)
        assert before.shape == x.shape

        def cut(_, given):
            kept = torch.ones(3 * WIDE)
            kept[slice(2 * WIDE, None) if lost == "large" else slice(2 * WIDE)] = 0
            return given[0] * kept[:, None, None], given[1]

        net.join.register_forward_pre_hook(cut)
        assert not torch.allclose(net(x, two, two), before)

    @pytest.mark.slow
    def test_after_some_hundred_updates_digits_are_read_better_than_by_chance(self):
        data = digits("train")
        config = TrainConfig(steps=600, batch_size=10, lr=4e-3, final_lr=0.02, ema=0.99, seed=0)
        net = train(SmallUNet(), LOSS, (data.images, data.labels), config).model
        labels = torch.arange(100) % 10
        assert float(recognised(draw_digits(net, labels, gen(), scale=2.0, steps=15), labels).float().mean()) > 0.2


class TestDenoiser:
    def test_v_is_guided_and_the_data_are_clipped_I54(self):
        net, labels, t = Net(), torch.tensor([4, 9, 0]), torch.tensor([900, 500, 20])
        x = torch.randn(3, 1, 28, 28)
        v = guide(net(x, t, torch.full((3,), NO_LABEL)), net(x, t, labels), 2.5)
        want = to_prediction(SCHEDULE, "v", x, t, v)
        found = digit_denoiser(net, labels, 2.5, clip=None)(x, t)
        torch.testing.assert_close((found.x0, found.eps), (want.x0, want.eps))
        clipped = digit_denoiser(net, labels, 2.5)(x, t).x0
        assert want.x0.abs().max() > 1
        torch.testing.assert_close(clipped, want.x0.clamp(-1, 1))

    def test_a_row_does_not_depend_on_its_neighbours_I47(self):
        net, labels, t = Net(), torch.tensor([4, 9]), torch.tensor([900, 500])
        x = torch.randn(2, 1, 28, 28)
        both = digit_denoiser(net, labels, 2.0)(x, t).x0
        torch.testing.assert_close(digit_denoiser(net, labels[1:], 2.0)(x[1:], t[1:]).x0, both[1:])


class TestDraws:
    def test_it_is_ddim_from_the_generators_noise(self):
        net, labels = Net(), torch.tensor([1, 8])
        noise = torch.randn(2, 1, 28, 28, generator=gen(5))
        want = ddim_sample(digit_denoiser(net, labels, 3.0), SCHEDULE, noise, 7)
        assert torch.equal(draw_digits(net, labels, gen(5), scale=3.0, steps=7), want)

    def test_the_draw_depends_on_the_generator_alone(self):
        labels = torch.tensor([1, 8])
        one, two, other = (draw_digits(Net(), labels, gen(k), steps=3) for k in (1, 1, 2))
        assert torch.equal(one, two) and not torch.equal(one, other)

    def test_guided_digits_of_the_shipped_model_are_read(self):
        labels = torch.arange(20) % 10
        images = draw_digits(load(), labels, gen(3), scale=2.0, steps=8)
        assert images.shape == (20, 1, 28, 28) and images.abs().max() <= 1
        assert recognised(images, labels).float().mean() >= 0.85


def test_bad_input():
    labels = torch.arange(3)
    for call, pattern in [
        (lambda: draw_digits(Net(), labels + NO_LABEL, gen()), "labels: got values from 10 to 12"),
        (lambda: draw_digits(Net(), labels - 1, gen()), "labels: got values from -1"),
        (lambda: draw_digits(Net(), labels.float(), gen()), "labels"),
        (lambda: draw_digits(Net(), labels, gen(), scale=-1.0), "scale"),
        (lambda: draw_digits(Net(), labels, gen(), steps=0), "steps"),
        (lambda: draw_digits(Net(), labels, gen(), steps=1001), "steps"),
        (lambda: digit_denoiser(Net(), labels, clip=0.0), "clip"),
    ]:
        with rejects(pattern):
            call()
