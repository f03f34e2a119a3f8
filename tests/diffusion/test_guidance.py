"""Guidance: the identities of its convention, every form of condition, negatives, interval, rescale, and dropping."""

import pytest
import torch

from companion.diffusion.guidance import drop_condition, guide, guided, rescale_guidance
from companion.diffusion.paths import cosine_schedule
from companion.diffusion.prediction import KINDS, as_denoiser, to_prediction
from tests.conftest import rejects


class Net:
    """Each example's output depends on its own point, time and condition; the calls are written down."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, x, t, labels=None, mask=None):
        self.rows.append(len(x))
        out = 0.5 * x + (t / 10).view(-1, 1, 1, 1)
        if labels is not None:
            labels = labels.double().view(len(x), -1)
            mask = torch.ones_like(labels) if mask is None else mask
            out = out + (labels**2 * mask).sum(1).view(-1, 1, 1, 1) * (1 + 0.1 * x)
        return out


@pytest.fixture
def inputs():
    return torch.randn(3, 4, 2, 5).double(), torch.tensor([1, 7, 7]), torch.tensor([2, 0, 9])


def same(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


class TestConvention:
    def test_identities_I54(self, inputs):
        """w = 0: no label; w = 1: the conditional model; w = 2: as far beyond it again."""
        x, t, labels = inputs
        net, nothing = Net(), torch.full_like(labels, 10)
        same(guided(net, labels, 0, null=10)(x, t), net(x, t, nothing))
        same(guided(net, labels, 1, null=10)(x, t), net(x, t, labels))
        same(guided(net, labels, 2, null=10)(x, t), 2 * net(x, t, labels) - net(x, t, nothing))

    @pytest.mark.parametrize(("scale", "rows"), [(0.0, 3), (1.0, 3), (0.5, 6), (2.0, 6)])
    def test_one_pass_of_a_single_or_a_double_batch(self, inputs, scale, rows):
        x, t, labels = inputs
        net = Net()
        guided(net, labels, scale, null=10)(x, t)
        assert net.rows == [rows]

    def test_printed_equation_and_the_papers_I60(self):
        """``eq-cfg``, and the paper's form with w' = w - 1."""
        a, b = torch.randn(2, 3).double(), torch.randn(2, 3).double()
        for w in (0.0, 0.3, 1.0, 4.0):
            torch.testing.assert_close(guide(a, b, w), a + w * (b - a), rtol=0, atol=0)
            torch.testing.assert_close(guide(a, b, w), (1 + (w - 1)) * b - (w - 1) * a, rtol=0, atol=1e-12)

    def test_all_channels_are_guided_I54(self, inputs):
        x, t, labels = inputs
        moved = guided(Net(), labels, 3, null=10)(x, t) - guided(Net(), labels, 1, null=10)(x, t)
        assert (moved.abs() > 0).all()

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_may_be_applied_to_noise_data_v_or_velocity(self, inputs, kind):
        """Guiding the network's output, or the data and the noise that it implies, is the same."""
        x, t, labels = inputs
        s, net = cosine_schedule(20), Net()
        of_output = as_denoiser(guided(net, labels, 2.5, null=10), s, kind)(x, t)
        both = [to_prediction(s, kind, x, t, net(x, t, y)) for y in (torch.full_like(labels, 10), labels)]
        torch.testing.assert_close(of_output.eps, guide(both[0].eps, both[1].eps, 2.5), rtol=0, atol=1e-7)
        torch.testing.assert_close(of_output.x0, guide(both[0].x0, both[1].x0, 2.5), rtol=0, atol=1e-7)


class TestConditions:
    def test_tokens_with_a_mask(self, inputs):
        """The null tokens and their own mask take the condition's place together."""
        x, t, _ = inputs
        net, tokens = Net(), torch.arange(12).view(3, 4)
        mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]).double()
        empty, all_of = torch.tensor([[1, 0, 0, 0]]), torch.tensor([[1.0, 0, 0, 0]]).double()
        got = guided(net, (tokens, mask), 3.0, null=(empty, all_of))(x, t)
        without = net(x, t, empty.expand(3, 4), all_of.expand(3, 4))
        same(got, without + 3 * (net(x, t, tokens, mask) - without))

    def test_keywords_of_which_some_stay(self, inputs):
        x, t, labels = inputs
        net, mask = Net(), torch.tensor([[0.5], [1.0], [2.0]]).double()
        got = guided(net, {"labels": labels, "mask": mask}, 3.0, null={"labels": 1})(x, t)
        without = net(x, t, torch.ones_like(labels), mask)
        same(got, without + 3 * (net(x, t, labels, mask) - without))
        same(guided(net, (labels, mask), 3.0, null=(1, None))(x, t), got)

    def test_an_image(self, inputs):
        x, t, _ = inputs

        def net(x, t, image):
            return x + image.mean((1, 2, 3), keepdim=True)

        image = torch.randn(3, 1, 4, 4).double()
        same(guided(net, image, 2.0, null=0.0)(x, t), x + 2 * image.mean((1, 2, 3), keepdim=True))

    def test_none(self, inputs):
        x, t, _ = inputs
        same(guided(Net(), None, 1.0)(x, t), Net()(x, t))


class TestNegative:
    def test_it_takes_the_null_conditions_place(self, inputs):
        x, t, labels = inputs
        net, other = Net(), torch.tensor([5, 6, 7])
        away = net(x, t, other)
        want = away + 2.5 * (net(x, t, labels) - away)
        same(guided(net, labels, 2.5, null=10, negative=other)(x, t), want)
        same(guided(net, labels, 2.5, negative=other)(x, t), want)
        assert (guided(net, labels, 2.5, null=10)(x, t) - want).abs().min() > 1e-3


class TestInterval:
    @pytest.mark.parametrize(("at", "inside"), [(2, False), (3, True), (5, True), (6, True), (7, False)])
    def test_its_edges_belong_to_it(self, inputs, at, inside):
        x, _, labels = inputs
        t, net = torch.full((3,), at), Net()
        got = guided(net, labels, 3.0, null=10, interval=(3, 6))(x, t)
        same(got, guided(Net(), labels, 3.0 if inside else 1.0, null=10)(x, t))
        assert net.rows == [6 if inside else 3]

    def test_each_example_at_its_own_time(self, inputs):
        x, t, labels = inputs  # times 1, 7, 7
        got = guided(Net(), labels, 3.0, null=10, interval=(2, 9))(x, t)
        same(got[:1], Net()(x[:1], t[:1], labels[:1]))
        same(got[1:], guided(Net(), labels[1:], 3.0, null=10)(x[1:], t[1:]))

    def test_outside_the_model_is_conditional_also_where_inside_it_ignores_the_condition(self, inputs):
        x, t, labels = inputs
        net = guided(Net(), labels, 0.0, null=10, interval=(2, 9))
        same(net(x, t)[:1], Net()(x[:1], t[:1], labels[:1]))
        same(net(x, t)[1:], Net()(x[1:], t[1:], torch.full((2,), 10)))


class TestRescale:
    @pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
    def test_equals_diffusers(self, inputs, share):
        from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

        x, t, labels = inputs
        told, plain = Net()(x, t, labels), guided(Net(), labels, 4.0, null=10)(x, t)
        want = rescale_noise_cfg(plain, told, guidance_rescale=share)
        same(guided(Net(), labels, 4.0, null=10, rescale=share)(x, t), want)
        same(rescale_guidance(plain, told, share), want)

    def test_channels_share_one_factor(self):
        """An example is rescaled as a whole: what its channels differ by in spread stays."""
        plain, told = (torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(k)).double() for k in (0, 1))
        factor = rescale_guidance(plain * torch.tensor([1.0, 5.0, 9.0])[:, None, None], told, 1.0) / plain
        same(factor[:, 1] / factor[:, 0], torch.full((2, 4, 4), 5.0).double())
        same(factor[:, 2] / factor[:, 0], torch.full((2, 4, 4), 9.0).double())

    def test_in_full_the_spread_is_the_conditional_outputs(self, inputs):
        x, t, labels = inputs
        got = guided(Net(), labels, 4.0, null=10, rescale=1.0)(x, t)
        same(got.flatten(1).std(1), Net()(x, t, labels).flatten(1).std(1))


class TestDrop:
    @pytest.mark.parametrize("share", [0.1, 0.5])
    def test_as_often_as_said_and_the_rest_stays_I54(self, share):
        labels = torch.arange(40_000) % 10
        got = drop_condition(labels, 10, share, torch.Generator().manual_seed(0))
        gone = got == 10
        assert float(gone.float().mean()) == pytest.approx(share, abs=0.006)
        assert torch.equal(got[~gone], labels[~gone])
        for j in range(10):  # whatever the label
            assert float(gone[labels == j].float().mean()) == pytest.approx(share, abs=0.03)

    def test_none_and_all(self):
        labels = torch.arange(50)
        assert torch.equal(drop_condition(labels, 99, 0.0, torch.Generator()), labels)
        assert (drop_condition(labels, 99, 1.0, torch.Generator()) == 99).all()

    def test_all_parts_of_an_example_go_together(self):
        tokens, mask = torch.ones(1000, 3, dtype=torch.long), torch.ones(1000, 3, dtype=torch.bool)
        first = torch.tensor([[True, False, False]])
        for condition, null in (((tokens, mask), (0, first)), ({"a": tokens, "b": mask}, {"a": 0, "b": first})):
            got = drop_condition(condition, null, 0.4, torch.Generator().manual_seed(1))
            a, b = got.values() if isinstance(got, dict) else got
            gone = (a == 0).all(1)
            assert 300 < int(gone.sum()) < 500 and bool((a[~gone] == 1).all() and b[~gone].all())
            assert torch.equal(b[gone], first.expand(int(gone.sum()), 3)) and b.dtype == torch.bool

    def test_parts_without_a_null_stay(self):
        tokens, place = torch.ones(50, 3).long(), torch.randn(50, 2)
        got = drop_condition({"a": tokens, "b": place}, {"a": 7}, 1.0, torch.Generator())
        assert (got["a"] == 7).all() and torch.equal(got["b"], place)


def test_bad_input(inputs):
    x, t, labels = inputs
    for call, pattern in [
        (lambda: guided(Net(), labels, -1.0, null=10), "scale"),
        (lambda: guide(x, x[:1], 2.0), "with_condition: got shape"),
        (lambda: guided(Net(), labels, 2.0), "null: got None"),
        (lambda: guided(Net(), None, 2.0, null=10), "null: got"),
        (lambda: guided(Net(), labels, 2.0, null=10, interval=(5, 2)), "interval"),
        (lambda: guided(Net(), labels, 2.0, null=10, rescale=1.5), "rescale"),
        (lambda: guided(Net(), (labels, labels), 2.0, null=(1,)), "null: got .*tuple of 2"),
        (lambda: guided(Net(), {"labels": labels}, 2.0, null={"label": 1}), "null: got .*dict"),
        (lambda: guided(Net(), labels, 2.0, null=(1,)), "null: got tuple"),
        (lambda: drop_condition(labels, 10, 1.5, torch.Generator()), "share"),
    ]:
        with rejects(pattern):
            call()
