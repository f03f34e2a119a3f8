"""A small model that answers, for the tests of this folder."""

import torch

from companion.text.gpt import GPT, GPTConfig
from companion.text.reasoning.tasks import Task


def small(task: Task, seed: int = 0) -> GPT:
    """One layer of width 32, untrained: it answers anything."""
    torch.manual_seed(seed)
    return GPT(GPTConfig(task.vocab_size, context=task.context, width=32, layers=1, heads=4, init_std=32**-0.5))
