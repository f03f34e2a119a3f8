"""A deep network with and without shortcuts.

He, Zhang, Ren & Sun, "Deep residual learning for image recognition", arXiv:1512.03385. A plain layer replaces its input, a
residual one adds to it (eq-timeline-residual): h ← relu(W h) or h ← h + relu(W h). The two have the same weights.

Departures: fully connected layers, one in each block, and batch normalisation on request, where the paper has two
convolutions, each normalised.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion.validate import Count, checked


class DeepNet(nn.Module):
    """``depth`` equal layers between a first and a last one, from 64 pixels to 10 classes.

    Args:
        depth: layers between.
        shortcuts: whether each adds to its input.
        normalised: whether the sum into each unit is normalised over the batch.
        width: units of a layer.
    """

    @checked
    def __init__(self, depth: Count, *, shortcuts: bool, normalised: bool = False, width: Count = 32) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, width), nn.Linear(width, 10)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) if normalised else nn.Identity() for _ in range(depth))
        self.shortcuts = shortcuts

    def forward(self, images: Float[Tensor, "n 1 8 8"]) -> Float[Tensor, "n 10"]:
        """Logits of the classes."""
        h = self.first(images.flatten(1))
        for layer, norm in zip(self.layers, self.norms, strict=True):
            new = F.relu(norm(layer(h)))
            h = h + new if self.shortcuts else new
        return self.last(h)
