"""Can a recurrent network keep one thing over many steps? A task, and a cell with and without gates.

Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation, 1997. A plain cell (Elman's) writes over its state at
each step, h_t = tanh(W x_t + U h_{t-1}), so the gradient through n steps is a product of n Jacobians. Theirs adds to it,
c_t = f c_{t-1} + i_t g_t with f = 1: the gradient in c passes unchanged (eq-timeline-carousel).

Departure: the cell is torch's, whose forget gate is of 2000; at the start a bias of `OPEN` makes f = 1 - 5e-5, as in the paper.
"""

from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.training.random import randint, randn
from companion.validate import Count, Range, checked

SYMBOLS = 8
OPEN = 10.0  # a sigmoid's input at which it is 1 for all purposes


@checked
def recall_task(
    n: Count, steps: Annotated[int, Range(2)], generator: torch.Generator
) -> tuple[Float[Tensor, "n steps 9"], Int[Tensor, "n"]]:
    """Sequences of one of eight symbols at the first step and noise at all others, and the symbol, to be said at the end."""
    symbol = randint(SYMBOLS, (n,), generator)
    x = torch.zeros(n, steps, SYMBOLS + 1)
    x[torch.arange(n), 0, symbol] = 1
    x[:, 1:, SYMBOLS] = randn((n, steps - 1), generator)
    return x, symbol


class Recall(nn.Module):
    """A recurrent layer that reads a sequence, and a linear one that answers from its last state.

    Args:
        cell: ``"plain"``, or ``"gated"`` (an LSTM of about as many weights).
        forget: the bias of the gated cell's forget gate: `OPEN` keeps, 0 lets half go at each step.
    """

    @checked
    def __init__(self, cell: Literal["plain", "gated"], *, forget: Annotated[float, Range()] = OPEN) -> None:
        super().__init__()
        width = 36 if cell == "plain" else 16
        self.cell = (nn.RNN if cell == "plain" else nn.LSTM)(SYMBOLS + 1, width, batch_first=True)
        self.answer = nn.Linear(width, SYMBOLS)
        if cell == "gated":  # torch's order of the gates: input, forget, candidate, output; two biases are added
            with torch.no_grad():
                self.cell.bias_ih_l0[width : 2 * width] = forget
                self.cell.bias_hh_l0[width : 2 * width] = 0

    def forward(self, x: Float[Tensor, "n steps 9"]) -> Float[Tensor, "n 8"]:
        """Logits of the symbol."""
        return self.answer(self.cell(x)[0][:, -1])
