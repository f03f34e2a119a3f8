r"""What one may do with z after training: draw it from nearer the middle, and walk from one picture to another.

- truncation: every number of z is drawn anew until :math:`|z_i| \le t` (Brock, Donahue & Simonyan, "Large Scale GAN
  Training for High Fidelity Natural Image Synthesis", arXiv:1809.11096); here by the inverse of the distribution function,
  which is the same law: :math:`z_i = \Phi^{-1}(\Phi(-t) + u\,(\Phi(t) - \Phi(-t)))`, u uniform (eq-gan-truncation).
- a walk along the great circle (White, "Sampling Generative Networks", arXiv:1609.04468), :math:`\Omega` the angle between
  a and b: :math:`z(w) = [\sin((1-w)\Omega)\, a + \sin(w\Omega)\, b] / \sin\Omega` (eq-gan-walk). The straight line between
  two draws of many numbers passes through a region where there are no draws: its middle is shorter by :math:`\sqrt2`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.training.random import rand
from companion.validate import Count, Positive, checked


@checked
def truncated(n: Count, latent: Count, limit: Positive, generator: torch.Generator) -> Float[Tensor, "n latent"]:
    """Latents whose every number lies between minus and plus the limit (eq-gan-truncation)."""
    most = torch.special.ndtr(torch.tensor(limit, dtype=torch.float64))
    u = rand((n, latent), generator, dtype=torch.float64)
    return torch.special.ndtri(1 - most + u * (2 * most - 1)).float().clamp(-limit, limit)


@checked
def walk(a: Float[Tensor, "latent"], b: Float[Tensor, "latent"], places: Count) -> Float[Tensor, "places latent"]:
    """From a to b along the great circle, both ends included (eq-gan-walk).

    Raises:
        ValueError: ends in one line, or one without a direction.
    """
    if not (a.isfinite().all() and b.isfinite().all() and a.any() and b.any()):
        raise ValueError("a, b: got zeros, NaN or infinity, wanted two directions")
    angle = torch.acos(torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=0).clamp(-1, 1))
    if angle.sin() < 1e-6:
        raise ValueError(f"a and b: got an angle of {float(angle):g}, wanted two directions that are not in one line")
    w = torch.linspace(0, 1, places, dtype=torch.float64, device=a.device)[:, None]
    return ((((1 - w) * angle).sin() * a + (w * angle).sin() * b) / angle.sin()).to(a.dtype)
