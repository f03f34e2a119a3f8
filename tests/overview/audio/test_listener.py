"""The judge of spoken digits; that it learns is proved with the model it judges, in `test_speech_model`."""

import torch

from companion.overview.audio.listener import Listener, accuracy, hear


def test_hearing_leaves_the_mode_and_is_repeatable() -> None:
    """I26 and I27: dropout is off while it listens and back on afterwards."""
    bands, labels = torch.randn(9, 12, 20), torch.arange(9) % 3
    listener = Listener(3, width=4)
    listener.train()
    assert torch.equal(hear(listener, bands), hear(listener, bands)) and listener.training
    assert 0 <= accuracy(listener, bands, labels) <= 1
