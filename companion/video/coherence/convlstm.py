"""The convolutional LSTM, a recurrent network whose state is a picture, and a forecaster made of it.

Shi et al., "Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting", arXiv:1506.04214. An LSTM
cell keeps a memory c and an output h; here both have an h and a c at every place, and convolutions take the place of the
products of matrices:

    i, f, g, o = split(W * [x_t, h_{t-1}] + b),    c_t = σ(f) c_{t-1} + σ(i) tanh(g),    h_t = σ(o) tanh(c_t)
                                                                                              (eq-coherence-convlstm)

The order i, f, g, o is that of `torch.nn.LSTMCell`, which this cell equals on pictures of one pixel. Departures: no
"peephole" products of the gates with c, as in most later code; a forget gate that starts open, with a bias of 1
(Jozefowicz, Zaremba & Sutskever, 2015).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion.validate import Count, checked

State = tuple[Float[Tensor, "n hidden height width"], Float[Tensor, "n hidden height width"]]


class ConvLSTMCell(nn.Module):
    """One step (eq-coherence-convlstm).

    Args:
        channels: of the input.
        hidden: channels of h and c.
        kernel: an odd size; 1 lets each place remember for itself.
    """

    @checked
    def __init__(self, channels: Count, hidden: Count, kernel: Count = 3) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel: got {kernel}, wanted an odd size, so that a place is the middle of what it sees")
        self.channels, self.hidden = channels, hidden
        self.gates = nn.Conv2d(channels + hidden, 4 * hidden, kernel, padding=kernel // 2)
        with torch.no_grad():
            self.gates.bias[hidden : 2 * hidden] += 1.0

    @checked
    def forward(self, x: Float[Tensor, "n {self.channels} height width"], state: State | None = None) -> State:
        """The new h and c; without a state, both begin as zeros."""
        if state is None:
            zeros = x.new_zeros(len(x), self.hidden, *x.shape[2:])
            state = (zeros, zeros)
        h, c = state
        i, f, g, o = self.gates(torch.cat([x, h], dim=1)).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class ConvLSTMForecaster(nn.Module):
    """Reads the frames that are there, then goes on by reading its own: each new frame is its next input.

    Frames are folded first: a square of 2×2 pixels becomes four channels, as the paper folds its radar maps, which leaves a
    quarter of the places. What comes out is added to the last frame's logit, so that copying is the starting point.

    Args:
        hidden: channels of the two layers' states.
        kernel: of their convolutions.
        fold: pixels along a folded square's side.
    """

    @checked
    def __init__(self, hidden: int = 32, kernel: int = 3, fold: Count = 2) -> None:
        super().__init__()
        self.fold = fold
        self.first = ConvLSTMCell(fold * fold, hidden, kernel)
        self.second = ConvLSTMCell(hidden, hidden, kernel)
        self.out = nn.Conv2d(2 * hidden, fold * fold, 1)

    @checked
    def forward(
        self, films: Float[Tensor, "n 1 given height width"], new: Count
    ) -> Float[Tensor, "n 1 new height width"]:
        """The next ``new`` frames of films in [-1, 1]."""
        one = two = None
        given, made = films.shape[2], []
        for step in range(given + new - 1):
            frame = films[:, :, step] if step < given else made[-1]
            one = self.first(F.pixel_unshuffle(frame, self.fold), one)
            two = self.second(one[0], two)
            if step >= given - 1:  # what has been read is only read, never predicted
                logits = F.pixel_shuffle(self.out(torch.cat([one[0], two[0]], dim=1)), self.fold)
                made.append((logits + 2 * frame).tanh())
        return torch.stack(made, dim=2)
