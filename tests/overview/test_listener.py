"""The judge of spoken digits; that it learns is proved with the model it judges, in `test_speech_model`."""

import torch

from companion.overview.listener import Listener, accuracy, hear


def _bands(n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Spectrograms of three "words": a bar that rises, stays or falls, at a pitch and a length of its own."""
    seed = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 3
    start = 4 + 4 * torch.rand(n, generator=seed)
    end = 10 + 8 * torch.rand(n, generator=seed)
    time, row = torch.arange(20.0), torch.arange(12.0)
    centre = start[:, None] + (labels[:, None] - 1) * 0.2 * time
    bars = torch.exp(-((row[None, :, None] - centre[:, None]) ** 2)) * (time < end[:, None, None])
    return (bars + 1e-2).log(), labels


def test_hearing_leaves_the_mode_and_is_repeatable() -> None:
    """I26 and I27: dropout is off while it listens and back on afterwards."""
    bands, labels = _bands(9)
    listener = Listener(3, width=4)
    listener.train()
    assert torch.equal(hear(listener, bands), hear(listener, bands)) and listener.training
    assert 0 <= accuracy(listener, bands, labels) <= 1
