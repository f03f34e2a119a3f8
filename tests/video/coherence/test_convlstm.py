"""ConvLSTM: parity with torch's LSTM cell and with the printed equation, what sees what, and a forecast that learns."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion.data.moving_digits import film_maker
from companion.training import TrainConfig, train
from companion.video.coherence.baselines import copy_last
from companion.video.coherence.convlstm import ConvLSTMCell, ConvLSTMForecaster
from tests.conftest import rejects


class TestParity:
    def test_on_one_pixel_it_is_an_lstm_cell(self):
        """A 1×1 convolution on a 1×1 picture, over three steps, with and without a first state."""
        ours, theirs = ConvLSTMCell(5, 7, kernel=1), nn.LSTMCell(5, 7)
        with torch.no_grad():
            ours.gates.weight.copy_(torch.cat([theirs.weight_ih, theirs.weight_hh], 1)[..., None, None])
            ours.gates.bias.copy_(theirs.bias_ih + theirs.bias_hh)
        state = want = None
        for x in torch.randn(3, 4, 5):
            state, want = ours(x[..., None, None], state), theirs(x, want)
            for got, wanted in zip(state, want, strict=True):
                torch.testing.assert_close(got[..., 0, 0], wanted, rtol=0, atol=1e-6)

    def test_with_a_kernel_of_one_every_place_is_an_lstm_of_its_own(self):
        cell, x = ConvLSTMCell(2, 3, kernel=1), torch.randn(2, 4, 2, 5, 6)
        state, alone = None, None
        for t in range(4):
            state, alone = cell(x[:, t], state), cell(x[:, t, :, 2:3, 4:5], alone)
        torch.testing.assert_close(state[0][..., 2:3, 4:5], alone[0], rtol=0, atol=1e-6)

    def test_printed_equation_I60(self):
        """``eq-coherence-convlstm`` in float64, with a kernel of 3."""
        cell = ConvLSTMCell(2, 3).double()
        x, h, c = torch.randn(2, 2, 5, 4).double(), torch.randn(2, 3, 5, 4).double(), torch.randn(2, 3, 5, 4).double()
        pre = F.conv2d(torch.cat([x, h], 1), cell.gates.weight, cell.gates.bias, padding=1)
        i, f, g, o = pre[:, :3], pre[:, 3:6], pre[:, 6:9], pre[:, 9:]
        new = c / (1 + (-f).exp()) + g.tanh() / (1 + (-i).exp())
        got_h, got_c = cell(x, (h, c))
        torch.testing.assert_close(got_c, new, rtol=0, atol=1e-12)
        torch.testing.assert_close(got_h, new.tanh() / (1 + (-o).exp()), rtol=0, atol=1e-12)


class TestDependence:
    def test_memory_reaches_one_place_further_with_each_step(self):
        cell, x = ConvLSTMCell(1, 2), torch.zeros(1, 3, 1, 9, 9)
        hit = x.clone()
        hit[0, 0, 0, 4, 4] = 1

        def last(film):
            state = None
            for frame in film.unbind(1):
                state = cell(frame, state)
            return state[0]

        moved = (last(x) != last(hit)).any(1)[0]
        assert moved.nonzero().amin(0).tolist() == [1, 1] and moved.nonzero().amax(0).tolist() == [7, 7]

    def test_the_forecast_depends_on_every_given_frame_and_on_its_own_film_alone(self):
        net, films = ConvLSTMForecaster(8), torch.rand(3, 1, 4, 8, 12) * 2 - 1
        before = net(films, 2)
        for frame in range(4):
            changed = films.clone()
            changed[1, :, frame] *= -1
            moved = (net(changed, 2) - before).abs().amax((1, 2, 3, 4))
            assert moved[1] > 1e-6 and moved[0] == 0 and moved[2] == 0

    def test_a_longer_forecast_begins_like_a_shorter_one(self):
        """The future is not read: nothing after frame k can have influenced it."""
        net, films = ConvLSTMForecaster(8), torch.rand(2, 1, 3, 8, 8)
        torch.testing.assert_close(net(films, 5)[:, :, :2], net(films, 2), rtol=0, atol=0)

    def test_order_of_frames_matters_I58(self):
        net, films = ConvLSTMForecaster(8), torch.rand(2, 1, 4, 8, 8)
        assert (net(films, 1) - net(films.flip(2), 1)).abs().max() > 1e-5


@pytest.mark.slow
def test_it_learns_to_move_what_copying_cannot():
    maker = film_maker("train", limit=500)
    net = ConvLSTMForecaster(12)

    def loss(model, batch, generator):
        return F.mse_loss(model(batch[0][:, :, :4], 2), batch[0][:, :, 4:])

    config = TrainConfig(steps=300, batch_size=8, lr=5e-3)
    net = train(net, loss, lambda n, g: (maker.draw(n, g, frames=6).films,), config).model
    films = film_maker("valid").draw(200, torch.Generator().manual_seed(1), frames=6).films
    with torch.no_grad():
        ours, copied = ((f(films[:, :, :4], 2) - films[:, :, 4:]).square().mean() for f in (net, copy_last))
    assert ours < 0.85 * copied


def test_what_a_caller_can_get_wrong():
    with rejects("kernel: got 2"):
        ConvLSTMCell(1, 2, kernel=2)
    with rejects("x: got shape"):
        ConvLSTMCell(1, 2)(torch.zeros(1, 3, 4, 4))
    with rejects("new: got 0"):
        ConvLSTMForecaster(4)(torch.zeros(1, 1, 3, 8, 8), 0)
