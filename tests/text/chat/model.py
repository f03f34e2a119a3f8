"""A small world and a small model of it, for the tests of this folder."""

import torch

from companion.text.chat.walks import Roads
from companion.text.llama import Llama, LlamaConfig

#     1 → 0;  1 → 2 → 0;  2 → 1;  3 → 1, 3 → 2;  4 → 3
ROADS = [[0, 0, 0, 0, 0], [1, 0, 1, 0, 0], [1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0]]


def world(letters: int = 5) -> Roads:
    """Five places, from which the goal is 0, 1, 1, 2 and 3 roads away."""
    return Roads(torch.tensor(ROADS).bool(), letters)


def small(letters: int = 5, seed: int = 0) -> Llama:
    """Two layers of width 16, untrained."""
    torch.manual_seed(seed)
    return Llama(LlamaConfig(5, letters, width=16, layers=2, heads=2, kv_heads=1, hidden=24, init_std=0.4))


class KeptGradients:
    """In the place of an `Updater`: keeps the gradients of each update, and changes nothing."""

    kept: list[list[torch.Tensor]]

    def __init__(self, model: torch.nn.Module, config: object) -> None:
        self.model = model

    def step(self) -> None:
        self.kept.append([p.grad for p in self.model.parameters()])
        self.model.zero_grad()


def keeping() -> type[KeptGradients]:
    """A class of its own with an empty list, for one test."""
    return type("Keeping", (KeptGradients,), {"kept": []})
