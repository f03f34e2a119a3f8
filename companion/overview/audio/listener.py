"""A convolutional classifier of spoken digits, the judge of generated speech: it names the digit in a log-mel spectrogram.

It stands outside the generator: other training voices, another loss, and it never sees how a clip was made. A classifier as
the judge of a generator is the idea behind the Inception score (Salimans et al., arXiv:1606.03498); like every such judge it
hears only what its own task needs.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.training.batches import Batch
from companion.validate import Count, Finite, check_labels, checked


class Listener(nn.Module):
    """Log-mel spectrograms, shape (n, mels, frames), to one logit a class."""

    @checked
    def __init__(self, classes: Count = 10, *, width: Count = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((1, width), (width, 2 * width), (2 * width, 3 * width)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
        pooled = [nn.AdaptiveAvgPool2d((3, 4)), nn.Flatten(), nn.Dropout(0.3), nn.Linear(3 * width * 12, classes)]
        self.layers = nn.Sequential(*layers, *pooled)

    @checked
    def forward(self, bands: Float[Tensor, "n mels frames"]) -> Float[Tensor, "n classes"]:
        return self.layers((bands[:, None] + 2) / 2)  # logarithms of loudness lie between about -5 and 4


def listener_loss(model: Listener, batch: Batch, generator: torch.Generator) -> Float[Tensor, ""]:
    """Cross-entropy for a batch of (spectrograms, labels); it draws nothing from the generator."""
    bands, labels = batch
    return nn.functional.cross_entropy(model(bands), labels)


@torch.no_grad()
@checked
def hear(model: Listener, bands: Finite[Tensor, "n mels frames"]) -> Int[Tensor, "n"]:
    """The class that the listener, without dropout, finds most likely."""
    was = model.training
    answer = model.eval()(bands).argmax(1)
    model.train(was)
    return answer


@checked
def accuracy(model: Listener, bands: Float[Tensor, "n mels frames"], labels: Int[Tensor, "n"]) -> float:
    """The share of spectrograms that are heard as their label."""
    check_labels("labels", labels, model.layers[-1].out_features)
    return float((hear(model, bands) == labels).float().mean())
