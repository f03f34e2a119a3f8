r"""Reflow: train again on the pairs that a flow itself makes of noise and data, and its ways straighten.

Liu, Gong & Liu, "Flow Straight and Fast", 2022, arXiv:2209.03003, section 2.2. With z noise and :math:`\Phi(z)` where the first
flow takes it, the second learns the velocity on the straight lines between the two,

- :math:`L = E_{z, t} \| (\Phi(z) - z) - u_\theta((1 - t)\, z + t\, \Phi(z), t) \|^2` (eq-reflow)

The first flow was trained on noise and data that knew nothing of each other; its lines cross everywhere. Ways of one flow never
cross, so the lines between their ends cross less, and what the second flow averages differs less. Not exactly straight yet, as
the paper shows; Gaussian data are (their ways lie on lines through the middle, gone at an uneven pace).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from companion.diffusion.losses import squared_error
from companion.diffusion.paths import RectifiedFlow, q_sample
from companion.diffusion.prediction import Net
from companion.diffusion.times import TimeLaw, Uniform
from companion.validate import checked


@checked
@dataclass(frozen=True)
class ReflowLoss:
    """A loss for `companion.training.train`: ``loss(model, (noise, arrived), generator)`` (eq-reflow).

    Attributes:
        times: the law of the times.
    """

    times: TimeLaw = Uniform()

    def __call__(self, model: Net, batch: Sequence[Tensor], generator: torch.Generator) -> Float[Tensor, ""]:
        noise, arrived = batch
        t = self.times(len(noise), generator, noise)
        return squared_error(arrived - noise, model(q_sample(RectifiedFlow(), arrived, t, noise), t))
