r"""The denoising loss: on any path, for any kind of prediction, with its error measured in any of them.

Draw a time and noise for each example, mix (eq-path), ask the network, take the squared error, a mean over examples and
numbers:

.. math:: L = E_{x_0, t, \epsilon} \| y(x_0, \epsilon, t) - y_\theta(x_t, t) \|^2

(eq-denoising-loss), with y the noise (Ho, Jain & Abbeel, arXiv:2006.11239, eq-ddpm-loss), the data, v (Salimans & Ho,
arXiv:2202.00512) or the velocity: on a straight path that is rectified flow (Lipman et al., arXiv:2210.02747, eq-fm-loss).
What the network *predicts* and where its error is *measured* are two choices: Li & He, "Back to Basics: Let Denoising
Generative Models Denoise", arXiv:2511.13720, let it predict the data and take the loss of the velocity that follows, which
weighs an error in the data by :math:`1 / (1 - t)^2`; draw times that stay away from 1 then, with `LogitNormal` or
``Uniform(0, 0.95)``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from companion.diffusion.guidance import Null, drop_condition
from companion.diffusion.paths import Path, q_sample
from companion.diffusion.prediction import Kind, Net, target, to_prediction
from companion.diffusion.times import TimeLaw
from companion.training.precision import widened
from companion.training.random import randn
from companion.validate import Share, checked


@checked
@dataclass(frozen=True)
class DenoisingLoss:
    """A loss for `companion.training.train`: ``loss(model, (x0, *condition), generator)``.

    Attributes:
        path: from data to noise.
        kind: what ``model(x_t, t, *condition)`` predicts, one of `companion.diffusion.prediction.KINDS`.
        space: the kind in which the error is measured; ``kind`` if not given.
        times: the law of the times; the path's own if not given.
        drop: the share of examples whose condition becomes ``null``, so that guidance has something to compare with.
        null: what stands for no condition, as for `companion.diffusion.guidance.guided`; a tuple if the condition has parts.
    """

    path: Path
    kind: Kind = "epsilon"
    space: Kind | None = None
    times: TimeLaw | None = None
    drop: Share = 0.0
    null: Null = None

    def __post_init__(self) -> None:
        if self.drop and self.null is None:
            raise ValueError(f"null: got None with drop = {self.drop:g}, wanted what stands for no condition")

    def __call__(self, model: Net, batch: Sequence[Tensor], generator: torch.Generator) -> Float[Tensor, ""]:
        x0, *condition = batch
        t = (self.times or self.path.random_times)(len(x0), generator, x0)
        noise = randn(x0.shape, generator, x0)
        if self.drop:
            null = self.null if isinstance(self.null, tuple) else (self.null,)
            condition = drop_condition(tuple(condition), null, self.drop, generator)
        x_t = q_sample(self.path, x0, t, noise)
        output = model(x_t, t, *condition)
        if self.space not in (None, self.kind):
            found = to_prediction(self.path, self.kind, x_t, t, output)
            output = target(self.path, self.space, found.x0, found.eps, t)
        return squared_error(target(self.path, self.space or self.kind, x0, noise, t), output)


@checked
def squared_error(wanted: Float[Tensor, "n *axes"], output: Float[Tensor, "n *axes"]) -> Float[Tensor, ""]:
    """A mean over examples and numbers; shapes that differ are refused, not broadcast."""
    return (widened(output) - widened(wanted)).square().mean()
