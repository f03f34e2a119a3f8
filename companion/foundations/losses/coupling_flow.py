r"""A normalising flow of affine couplings: a generator whose likelihood is exact, so that it can be maximised.

Dinh, Sohl-Dickstein & Bengio, "Density estimation using Real NVP", arXiv:1605.08803.

- change of variables (eq-flow-likelihood): :math:`\log p(x) = \log N(z; 0, I) + \log |\det \partial z / \partial x|`
- coupling (eq-coupling): :math:`z_a = x_a,\; z_b = x_b\, e^{s(x_a)} + m(x_a)`, with
  :math:`\log |\det| = \sum_j s_j(x_a)`

Departures: no masks, no batch normalisation; one half conditions the other, and the halves change places after each layer; s is
kept in (-3, 3) by a tanh.
"""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.foundations.distributions.families import LOG_2PI
from companion.nn.point_mlp import PointMLP
from companion.validate import Count, Range, checked


class Coupling(nn.Module):
    """Scale and shift one half of the coordinates by functions of the other, then exchange the halves."""

    def __init__(self, dims: int, *, width: int) -> None:
        super().__init__()
        self.kept = dims // 2
        self.net = PointMLP(self.kept, 2 * (dims - self.kept), width=width, depth=2)

    def forward(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n"]]:
        """Towards the noise: the result, and the logarithm of the Jacobian's determinant (eq-coupling)."""
        a, b = x[:, : self.kept], x[:, self.kept :]
        s, m = self._scale_shift(a)
        return torch.cat([b * s.exp() + m, a], 1), s.sum(1)

    def inverse(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Towards the data: undo `forward`."""
        b, a = z[:, : -self.kept], z[:, -self.kept :]
        s, m = self._scale_shift(a)
        return torch.cat([a, (b - m) * (-s).exp()], 1)

    def _scale_shift(self, a: Tensor) -> tuple[Tensor, Tensor]:
        s, m = self.net(a).chunk(2, dim=1)
        return 3 * torch.tanh(s / 3), m


class CouplingFlow(nn.Module):
    """A stack of couplings between data and standard Gaussian noise."""

    @checked
    def __init__(self, dims: Annotated[int, Range(2)], *, layers: Count = 8, width: int = 64) -> None:
        super().__init__()
        self.dims = dims
        self.couplings = nn.ModuleList(Coupling(dims, width=width) for _ in range(layers))

    @checked
    def forward(self, x: Float[Tensor, "n {self.dims}"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n"]]:
        """Data to noise, with the logarithm of the Jacobian's determinant."""
        total = x.new_zeros(len(x))
        for coupling in self.couplings:
            x, log_det = coupling(x)
            total = total + log_det
        return x, total

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
        """The exact log-density in nats (eq-flow-likelihood)."""
        z, log_det = self(x)
        return log_det - z.square().sum(1) / 2 - self.dims / 2 * LOG_2PI

    @torch.no_grad()
    @checked
    def decode(self, z: Float[Tensor, "n {self.dims}"]) -> Float[Tensor, "n d"]:
        """Noise to data."""
        for coupling in reversed(self.couplings):
            z = coupling.inverse(z)
        return z
