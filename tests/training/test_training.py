"""The loop: what a step does, what the result is, what is refused."""

import torch
import torch.nn.functional as F
from torch import nn

from companion.training import TrainConfig, train


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


def regression(n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 3, generator=generator)
    return x, torch.stack([x.sum(1), x.prod(1)], 1)


def squared(model, batch, generator):
    x, y = batch
    return F.mse_loss(model(x), y)


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_accumulated_parts_give_the_gradient_of_the_batch_I40():
    """1 × 16 and 4 × 4 give the same weights after several updates."""
    runs = {
        parts: train(net(), squared, regression(), TrainConfig(steps=6, batch_size=16, accumulate=parts))
        for parts in (1, 4)
    }
    whole, parts = runs[1], runs[4]
    torch.testing.assert_close(weights(parts.model), weights(whole.model), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.tensor(parts.history.grad_norm), torch.tensor(whole.history.grad_norm))
    torch.testing.assert_close(torch.tensor(parts.history.loss), torch.tensor(whole.history.loss))
