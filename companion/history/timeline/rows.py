"""A reader of digits, row by row, that is first trained to predict the next row and then to name the digit from few labels.

Radford, Narasimhan, Salimans & Sutskever, "Improving language understanding by generative pre-training", 2018: one network,
first L = -Σ log p(next | before) on data without labels, then a new head on its last state (eq-timeline-pretrain).

Departures: a GRU and not a transformer; rows of eight pixels and not words, so the first loss is a squared error; and the first
loss is dropped in the second stage, where the paper keeps a share of it.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class RowReader(nn.Module):
    """A GRU over the eight rows of a digit with two heads: the next row, and the digit's name."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.GRU(8, 64, batch_first=True)
        self.next_row, self.name = nn.Linear(64, 8), nn.Linear(64, 10)

    def forward(self, images: Float[Tensor, "n 1 8 8"]) -> Float[Tensor, "n 10"]:
        """Logits of the ten names, from the state after the last row."""
        return self.name(self.states(images)[:, -1])

    def states(self, images: Float[Tensor, "n 1 8 8"]) -> Float[Tensor, "n 8 64"]:
        """The state after each row; it has seen the rows up to there."""
        return self.read(images[:, 0])[0]


def next_row_loss(model: RowReader, batch: tuple[Tensor, ...], _: torch.Generator) -> Float[Tensor, ""]:
    """The mean squared error of each row predicted from the rows above it; needs no labels."""
    images = batch[0]
    return F.mse_loss(model.next_row(model.states(images)[:, :-1]), images[:, 0, 1:])


def name_loss(model: nn.Module, batch: tuple[Tensor, Tensor], _: torch.Generator) -> Float[Tensor, ""]:
    """The cross-entropy of the digits' names, in nats."""
    return F.cross_entropy(model(batch[0]), batch[1])


@torch.no_grad()
def share_right(model: nn.Module, x: Float[Tensor, "n ..."], labels: Tensor) -> float:
    """The share of examples whose likeliest class is the true one."""
    return float((model(x).argmax(1) == labels).cpu().double().mean())
