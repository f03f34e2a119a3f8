"""Somebody to ask about, and an untrained assistant."""

import torch
from torch import nn

from companion.models.constitution_assistant import build
from companion.text.constitution.cards import Person
from companion.text.constitution.requests import NAMED, Request

MARA = Person("Mara", "Oslo", "cat", "tea", "3170", "4962")
CODE, CITY = Request(MARA, NAMED["code"], 0), Request(MARA, NAMED["city"], 0)


def small(seed: int = 0) -> nn.Module:
    """The shipped model's shape with fresh weights."""
    torch.manual_seed(seed)
    return build()
