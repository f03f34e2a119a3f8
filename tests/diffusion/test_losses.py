"""The denoising loss: as printed, on every path, in every kind and space; its times, its dropped conditions, learning."""

import math

import pytest
import torch

from companion.data.points import ring
from companion.diffusion.ddim import ddim_sample
from companion.diffusion.ddpm import ancestral_sample
from companion.diffusion.gaussian import gaussian_denoiser
from companion.diffusion.losses import DenoisingLoss
from companion.diffusion.paths import RectifiedFlow, VarianceExploding, cosine_schedule, linear_schedule, q_sample
from companion.diffusion.prediction import KINDS, as_denoiser, target, to_prediction
from companion.diffusion.times import LogitNormal, LogUniform, Uniform
from companion.nn.point_mlp import TimedPointMLP
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects
from tests.oracles import PATHS


class Asked:
    """A network that says half of what it gets and writes down what that was."""

    def __call__(self, x, t, *condition):
        self.x, self.t, self.condition = x, t, condition
        return 0.5 * x


def exact(path, kind, std):
    """The best network of this kind for N(0, std²) data."""
    best = gaussian_denoiser(path, std)

    def net(x, t):
        found = best(x, t)
        return target(path, kind, found.x0, found.eps, t)

    return net


class TestTruth:
    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_as_printed_with_the_draws_by_hand_I60(self, path, kind):
        x0, net = torch.randn(6, 1, 2, 3).double(), Asked()
        got = DenoisingLoss(path, kind)(net, (x0,), gen(4))
        g = gen(4)
        t = path.random_times(6, g, x0)
        noise = torch.randn(x0.shape, generator=g, dtype=x0.dtype)
        assert torch.equal(net.t, t)
        total = 0.0
        for i in range(6):
            alpha, sigma = (float(v) for v in path.alpha_sigma(t[i : i + 1], torch.zeros(1).double()))
            x_t = alpha * x0[i] + sigma * noise[i]
            want = {
                "epsilon": noise[i], "x0": x0[i], "v": alpha * noise[i] - sigma * x0[i], "velocity": x0[i] - noise[i],
            }[kind]  # fmt: skip
            total += float((0.5 * x_t - want).square().sum())
        assert float(got) == pytest.approx(total / 36)

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("space", [None, *KINDS])
    def test_a_perfect_network_has_no_loss(self, path, kind, space):
        """One known example: the network can compute the answer from x_t alone."""
        x0 = (torch.rand(1, 3).double() * 2 - 1).expand(7, 3)

        def perfect(x_t, t):
            alpha, sigma = path.alpha_sigma(t, x_t)
            return target(path, kind, x0, (x_t - alpha * x0) / sigma, t)

        assert float(DenoisingLoss(path, kind, space)(perfect, (x0,), gen())) < 1e-12

    def test_the_space_weighs_the_error(self):
        """Li & He: an error δ in the data is one of δ / (1 - t) in the velocity, δ t / (1 - t) in the noise."""
        path, x0 = RectifiedFlow(), torch.randn(500, 2).double()
        law = Uniform(0.0, 0.9)
        t = law(500, gen(1), x0)

        def wrong(x_t, _):
            return x0 + 0.3

        for space, weight in (("x0", 1 + 0 * t), ("velocity", 1 / (1 - t)), ("epsilon", t / (1 - t))):
            got = DenoisingLoss(path, "x0", space, law)(wrong, (x0,), gen(1))
            assert float(got) == pytest.approx(0.09 * float(weight.square().mean()))

    @pytest.mark.parametrize("space", KINDS)
    def test_one_network_of_any_kind_has_one_loss_in_a_space(self, space):
        """What a network predicts is a change of variables: in one space the same belief costs the same."""
        path, x0 = cosine_schedule(30), 0.5 * torch.randn(200, 2).double()
        costs = [float(DenoisingLoss(path, kind, space)(exact(path, kind, 0.7), (x0,), gen())) for kind in KINDS]
        assert costs == pytest.approx([costs[0]] * 4, rel=1e-6)

    def test_least_value_is_that_of_the_exact_denoiser(self):
        """Gaussian data: the noise's error that no network can avoid is 1 - (1 - bar) / (bar sd² + 1 - bar), mean over t."""
        s, sd = cosine_schedule(50), 0.5
        x0 = sd * torch.randn(200_000, 1, generator=gen(1))
        floor = float((1 - (1 - s.alpha_bar) / (s.alpha_bar * sd**2 + 1 - s.alpha_bar)).mean())
        loss = DenoisingLoss(s)
        assert float(loss(exact(s, "epsilon", sd), (x0,), gen())) == pytest.approx(floor, abs=0.005)
        assert float(loss(lambda x, t: torch.zeros_like(x), (x0,), gen())) == pytest.approx(1.0, abs=0.01)

    def test_least_value_of_rectified_flow(self):
        """Var(x0 - eps | x_t) of N(0, s²) data is s² / ((1 - t)² + t² s²); its mean over t by quadrature."""
        path, sd = RectifiedFlow(), 0.5
        x0, t = sd * torch.randn(200_000, 1, generator=gen(1)), torch.linspace(0, 1, 100_001).double()
        floor = float(torch.trapezoid(sd**2 / ((1 - t) ** 2 + t**2 * sd**2), t))
        got = DenoisingLoss(path, "velocity")(exact(path, "velocity", sd), (x0,), gen())
        assert float(got) == pytest.approx(floor, rel=0.01)


class TestTimes:
    def test_all_steps_are_drawn(self):
        net = Asked()
        DenoisingLoss(linear_schedule(5))(net, (torch.zeros(500, 1),), gen())
        assert net.t.unique().tolist() == [0, 1, 2, 3, 4]

    def test_the_law_is_the_one_that_was_given(self):
        """Logit-normal times through the loss: a uniform law in their place has a logit of spread 1.81."""
        net = Asked()
        DenoisingLoss(RectifiedFlow(), "velocity", times=LogitNormal(-0.8, 0.6))(net, (torch.zeros(20_000, 1),), gen())
        assert float(net.t.logit().mean()) == pytest.approx(-0.8, abs=0.02)
        assert float(net.t.logit().std()) == pytest.approx(0.6, abs=0.02)

    def test_noise_levels_of_an_exploding_path(self):
        net, x0 = Asked(), torch.zeros(20_000, 1)
        DenoisingLoss(VarianceExploding(), "x0", times=LogUniform(0.1, 10.0))(net, (x0,), gen())
        assert float((net.x[:, 0] / net.t).std()) == pytest.approx(1, abs=0.02)
        assert float(net.t.log().mean()) == pytest.approx(0, abs=0.03)


class TestConditions:
    def test_labels_are_dropped_as_often_as_said_I54(self):
        net, labels = Asked(), torch.arange(40_000) % 10
        DenoisingLoss(cosine_schedule(5), drop=0.1, null=10)(net, (torch.zeros(40_000, 1), labels), gen())
        (seen,) = net.condition
        gone = seen == 10
        assert float(gone.float().mean()) == pytest.approx(0.1, abs=0.006)
        assert torch.equal(seen[~gone], labels[~gone])

    def test_none_is_dropped_if_not_asked_for(self):
        net, labels, more = Asked(), torch.arange(50), torch.randn(50, 2)
        DenoisingLoss(cosine_schedule(5))(net, (torch.zeros(50, 1), labels, more), gen())
        assert torch.equal(net.condition[0], labels) and net.condition[1] is more

    def test_parts_together(self):
        net, tokens, mask = Asked(), torch.ones(400, 3).long(), torch.ones(400, 3).bool()
        DenoisingLoss(RectifiedFlow(), "v", drop=0.5, null=(0, False))(net, (torch.zeros(400, 1), tokens, mask), gen())
        a, b = net.condition
        assert torch.equal(a.bool(), b) and 150 < int(b[:, 0].sum()) < 250


def test_it_compares_and_hashes():
    assert DenoisingLoss(cosine_schedule(9), "v") == DenoisingLoss(cosine_schedule(9), "v")
    assert len({DenoisingLoss(cosine_schedule(9), "v"), DenoisingLoss(cosine_schedule(9), "x0")}) == 2


@pytest.mark.parametrize(
    ("path", "kind", "space", "times"),
    [
        (cosine_schedule(100), "v", None, None),
        (RectifiedFlow(), "velocity", None, None),
        (RectifiedFlow(), "x0", "velocity", LogitNormal()),
    ],
)
def test_it_learns_a_gaussian(path, kind, space, times):
    """Spread and place of the samples, against the noise that they are made of: both far off at the start."""
    data = ring(modes=1, radius=1.0, sd=0.5)
    torch.manual_seed(0)
    config = TrainConfig(400, 64, lr=5e-3, weight_decay=0.0, ema=0.98)
    total = getattr(path, "steps", 1)

    class Timed(TimedPointMLP):
        def forward(self, x, t):
            return super().forward(x, t / total)

    loss = DenoisingLoss(path, kind, space, times)
    net = train(Timed(2, 2, width=32), loss, data.draw, config).model
    z = torch.randn(4_000, 2, generator=gen())
    made = ddim_sample(as_denoiser(net, path, kind), path, z, 30)
    assert (made.mean(0) - data.mixture.means[0]).abs().max() < 0.12
    assert (made.std(0) - 0.5).abs().max() < 0.1
    assert (z.std(0) - 0.5).abs().min() > 0.4


def test_it_learns_two_points():
    """A small network's samples by the ancestral sampler fall near the points, half at each."""
    s, points = cosine_schedule(40), torch.tensor([[-0.8, 0.5], [0.8, -0.5]]).repeat(200, 1)

    class Timed(TimedPointMLP):
        def forward(self, x, t):
            return super().forward(x, t / 40)

    torch.manual_seed(0)
    config = TrainConfig(steps=600, batch_size=128, lr=3e-3)
    net = train(Timed(2, 2, width=64), DenoisingLoss(s), (points,), config).model
    x = ancestral_sample(as_denoiser(net, s, "epsilon", 1.0), s, torch.randn(300, 2), gen())
    near = torch.cdist(x, points[:2]).min(1)
    assert float(near.values.median()) < 0.15
    assert 90 < int((near.indices == 0).sum()) < 210


def test_noise_follows_the_generator_and_goes_to_the_datas_type():
    net = Asked()
    loss, x0 = DenoisingLoss(RectifiedFlow(), "velocity"), torch.randn(4, 3).double()
    one, two = (float(loss(net, (x0,), gen(k))) for k in (1, 1))
    assert one == two != float(loss(net, (x0,), gen(2)))
    assert net.x.dtype == net.t.dtype == torch.float64


def test_spaces_agree_with_the_conversion():
    path, x0 = cosine_schedule(9), torch.randn(4, 3).double()
    net = Asked()
    got = DenoisingLoss(path, "v", "x0")(net, (x0,), gen())
    found = to_prediction(path, "v", net.x, net.t, 0.5 * net.x)
    assert float(got) == pytest.approx(float((found.x0 - x0).square().mean()))
    assert math.isfinite(float(q_sample(path, x0, net.t, x0).sum()))


def test_bad_input():
    s, x0 = cosine_schedule(9), torch.zeros(3, 2)
    for call, pattern in [
        (lambda: DenoisingLoss(s, "eps"), "kind"),
        (lambda: DenoisingLoss(s, "v", "score"), "space"),
        (lambda: DenoisingLoss(s, drop=0.1), "null: got None"),
        (lambda: DenoisingLoss(s, drop=1.5, null=1), "drop"),
        (lambda: DenoisingLoss(s)(lambda x, t: x[:, :1], (x0,), gen()), "output: got shape"),
        (lambda: DenoisingLoss(s, "v", "x0")(lambda x, t: x[:, :1], (x0,), gen()), "output: got shape"),
        (lambda: DenoisingLoss(s)(lambda x, t: x, (x0[:0],), gen()), "x0: got"),
    ]:
        with rejects(pattern):
            call()
