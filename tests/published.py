"""Folders of the published format, written by the trusted library with random weights, for every `from_pretrained`."""

from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

Theirs = TypeVar("Theirs", bound=nn.Module)


def published(theirs: Theirs, folder: Path, *, std: float = 0.3) -> Theirs:
    """Give a model of transformers or diffusers random weights of every kind, save it, and return it for evaluation.

    Biases and gains are drawn too: at their initial values a mix-up would not show.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=std, generator=generator)
    theirs.eval().save_pretrained(folder)
    return theirs
