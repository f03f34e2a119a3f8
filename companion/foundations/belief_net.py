r"""A fully visible sigmoid belief net: each pixel is predicted from all earlier ones by a logistic regression.

The chain rule of probability (``eq-foundations-chain``) writes the probability of an image as a product,
:math:`p(x) = \prod_i p(x_i \mid x_1, \ldots, x_{i-1})`, and each factor is
:math:`p(x_i = 1 \mid x_{<i}) = \sigma(b_i + \sum_{j<i} W_{ij} x_j)` (``eq-foundations-context``). Nothing is hidden and
nothing is approximated: the likelihood is exact, and sampling goes pixel by pixel. It is the smallest autoregressive
model; attention replaces its fixed weights by weights that depend on what is seen.

Source: Neal, "Connectionist learning of belief networks", Artificial Intelligence, 1992; Frey, *Graphical Models for Machine
Learning and Digital Communication*, 1998. Departure: the weights are found by `companion.training.train`, with decay.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from companion.training.batches import Batch
from companion.training.random import rand
from companion.validate import Count, checked


class BeliefNet(nn.Module):
    """A distribution over binary vectors of ``dims`` numbers, in their given order.

    Args:
        dims: length of a vector.
    """

    @checked
    def __init__(self, dims: Count) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dims, dims))
        self.bias = nn.Parameter(torch.zeros(dims))

    def forward(self, x: Float[Tensor, "n d={len(self.bias)}"]) -> Float[Tensor, "n d"]:
        """The logit of each element given those before it; elements after it have no weight."""
        return x @ self.weight.tril(-1).T + self.bias

    @checked
    def log_prob(self, x: Float[Tensor, "n d={len(self.bias)}"]) -> Float[Tensor, "n"]:
        """The exact log-probability of binary vectors, in nats.

        Raises:
            ValueError: another shape, or values that are not 0 or 1.
        """
        if not torch.isin(x, torch.tensor([0.0, 1.0], device=x.device, dtype=x.dtype)).all():
            raise ValueError(f"x: got values from {x.min():g} to {x.max():g}, wanted only 0 and 1; binarise the images")
        return -F.binary_cross_entropy_with_logits(self(x), x, reduction="none").sum(1)

    @torch.no_grad()
    @checked
    def sample(self, n: Count, generator: torch.Generator) -> Float[Tensor, "n d"]:
        """Draw ``n`` vectors, one element after the other."""
        x = torch.zeros(n, len(self.bias), device=self.bias.device)
        noise = rand(x.shape, generator, like=x)
        for i, (row, bias) in enumerate(zip(self.weight, self.bias, strict=True)):
            # What comes later is still zero, so the whole row may be used.
            x[:, i] = (noise[:, i] < torch.sigmoid(x @ row + bias)).float()
        return x


def negative_log_likelihood(model: BeliefNet, batch: Batch, _: torch.Generator) -> Float[Tensor, ""]:
    """The mean number of nats an image costs: the loss for `companion.training.train`."""
    return -model.log_prob(batch[0]).mean()
