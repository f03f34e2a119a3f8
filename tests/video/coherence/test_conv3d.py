"""Convolutions over time and space: parity with torch, causality, and the separable kernel."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion.data.moving_digits import film_maker
from companion.training import TrainConfig, train
from companion.video.coherence.baselines import copy_last
from companion.video.coherence.conv3d import CausalConv3d, Conv3dForecaster, SplitConv3d
from tests.conftest import rejects

SHAPE = (2, 3, 6, 5, 7)  # films, channels, frames, height, width: all different (I58)


class TestParity:
    def test_far_from_the_start_it_is_torchs_convolution(self):
        """With padding on both sides torch's frame t sees t - 1 to t + 1: ours is the same, one frame later."""
        ours, theirs = CausalConv3d(3, 4), nn.Conv3d(3, 4, 3, padding=1)
        theirs.load_state_dict(ours.conv.state_dict())
        x = torch.randn(SHAPE)
        torch.testing.assert_close(ours(x)[:, :, 1:], theirs(x)[:, :, :-1], rtol=0, atol=1e-5)

    def test_printed_equation_I60(self):
        """``eq-coherence-conv3d`` by loops, at an inner place."""
        layer, x = CausalConv3d(3, 4, bias=False).double(), torch.randn(SHAPE).double()
        t, i, j = 4, 2, 3
        want = sum(
            torch.einsum("oc,nc->no", layer.conv.weight[:, :, a, b, c], x[:, :, t - 2 + a, i + b - 1, j + c - 1])
            for a in range(3) for b in range(3) for c in range(3)
        )  # fmt: skip
        torch.testing.assert_close(layer(x)[:, :, t, i, j], want, rtol=0, atol=1e-12)

    def test_a_split_convolution_is_one_with_a_separable_kernel(self):
        layer = SplitConv3d(3, 4, 5, bend=False)
        x = torch.randn(SHAPE)
        want = F.conv3d(F.pad(x, (1, 1, 1, 1, 2, 0)), layer.joined(), layer.temporal.conv.bias)
        torch.testing.assert_close(layer(x), want, rtol=0, atol=1e-5)

    def test_with_one_channel_the_kernel_has_rank_one(self):
        kernel = SplitConv3d(1, 1, 1, bend=False).joined()[0, 0].flatten(1)
        assert torch.linalg.matrix_rank(kernel, atol=1e-6) == 1
        assert torch.linalg.matrix_rank(CausalConv3d(1, 1).conv.weight[0, 0].flatten(1)) == 3

    def test_with_one_frame_it_is_an_image_convolution(self):
        layer, x = CausalConv3d(3, 4, time=3), torch.randn(2, 3, 1, 5, 7)
        want = F.conv2d(x[:, :, 0], layer.conv.weight[:, :, -1], layer.conv.bias, padding=1)
        torch.testing.assert_close(layer(x)[:, :, 0], want, rtol=0, atol=1e-5)


class TestDependence:
    @pytest.mark.parametrize("layer", [CausalConv3d(3, 4), SplitConv3d(3, 4, 5)])
    @pytest.mark.parametrize("frame", range(6))
    def test_a_frame_never_sees_the_future(self, layer, frame):
        x = torch.randn(SHAPE)
        changed = x.clone()
        changed[:, :, frame] += 1
        moved = (layer(x) - layer(changed)).abs().amax((0, 1, 3, 4)) > 1e-6
        assert moved.tolist() == [frame <= t <= frame + 2 for t in range(6)]

    def test_a_spatial_convolution_does_not_mix_frames_I58(self):
        layer, x = CausalConv3d(3, 4, time=1), torch.randn(SHAPE)
        order = torch.tensor([3, 0, 5, 1, 4, 2])
        torch.testing.assert_close(layer(x[:, :, order]), layer(x)[:, :, order], rtol=0, atol=1e-6)

    @pytest.mark.parametrize("split", [False, True])
    def test_the_forecast_reads_all_given_frames_and_its_own_film_alone(self, split):
        net, films = Conv3dForecaster(8, layers=3, split=split), torch.rand(3, 1, 4, 8, 12) * 2 - 1
        before = net(films, 2)
        assert before.shape == (3, 1, 2, 8, 12)
        for frame in range(4):
            changed = films.clone()
            changed[1, :, frame] *= -1
            moved = (net(changed, 2) - before).abs().amax((1, 2, 3, 4))
            assert moved[1] > 1e-6 and moved[0] < 1e-6 and moved[2] < 1e-6

    def test_a_longer_forecast_begins_like_a_shorter_one(self):
        net, films = Conv3dForecaster(8), torch.rand(2, 1, 3, 8, 8)
        torch.testing.assert_close(net(films, 5)[:, :, :2], net(films, 2), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_it_learns_to_move_what_copying_cannot():
    maker = film_maker("train", limit=500)

    def loss(model, batch, generator):
        return F.mse_loss(model(batch[0][:, :, :4], 2), batch[0][:, :, 4:])

    config = TrainConfig(steps=250, batch_size=16, lr=5e-3)
    net = train(Conv3dForecaster(16), loss, lambda n, g: (maker.draw(n, g, frames=6).films,), config).model
    films = film_maker("valid").draw(200, torch.Generator().manual_seed(1), frames=6).films
    with torch.no_grad():
        ours, copied = ((f(films[:, :, :4], 2) - films[:, :, 4:]).square().mean() for f in (net, copy_last))
    assert ours < 0.5 * copied


def test_what_a_caller_can_get_wrong():
    with rejects("space: got 2"):
        CausalConv3d(1, 1, space=2)
    with rejects("bend: got True"):
        SplitConv3d(1, 1, 1).joined()
