"""Small problems that the tests of the training loop share; importable from the processes that they start."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from companion.training import MaskedMean


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


def regression(n: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 3, generator=generator)
    return x, torch.stack([x.sum(1), x.prod(1)], 1)


def squared(model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    x, y = batch
    return F.mse_loss(model(x), y)


class Awkward(nn.Module):
    """All that makes a state hard to carry over: dropout, buffers, a shared weight, one without gradient, one frozen."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Linear(6, 6))
        self.embed, self.head = nn.Embedding(6, 6), nn.Linear(6, 6, bias=False)
        self.head.weight = self.embed.weight
        self.unused = nn.Parameter(torch.ones(2, 2))
        self.frozen = nn.Parameter(torch.ones(6), requires_grad=False)
        self.register_buffer("table", torch.arange(6.0), persistent=False)
        self.register_buffer("part", self.table[:3])  # shares memory with the table

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x) * self.frozen)


def noisy(model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    x, y = batch
    x = x + 0.1 * torch.randn(x.shape, generator=generator)
    return F.mse_loss(model(x)[:, :2], y)


def evaluation(model: nn.Module) -> dict[str, float]:
    x, y = regression()
    return {"error": F.mse_loss(model(x)[:, :2], y), "random": torch.rand(())}


def uneven() -> tuple[Tensor, Tensor, Tensor]:
    """Rows of which most ask for one number of five and some for all, as completions of unequal length do."""
    x, y = regression()
    asked = torch.arange(5)[None] < torch.where(torch.arange(40) % 4 == 0, 5, 1)[:, None]
    asked[7] = False  # and one for nothing
    return x, y[:, :1] + torch.arange(5.0), asked


def asked_only(model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> MaskedMean:
    x, y, asked = batch
    errors = (model(x)[:, :1] * torch.arange(1.0, 6.0) - y).square()
    return MaskedMean((errors * asked).sum(), asked.sum())


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])
