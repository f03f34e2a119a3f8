"""Several processes, one run: what `companion.training.train` needs when ``torchrun`` has started the program.

    torchrun --nproc-per-node 2 script.py

Each process takes its share of the same batch and computes its gradient; DistributedDataParallel averages the
gradients, so that all make the same update. On GPUs each process puts its model on its own: ``local_device("cuda")``.
"""

import atexit
import os

import torch
import torch.distributed as dist
from torch import Tensor, nn


def join() -> tuple[int, int]:
    """This process's rank and how many there are; joins the group if ``torchrun`` started the program, else (0, 1)."""
    if not dist.is_available():
        return 0, 1
    if not dist.is_initialized():
        if not dist.is_torchelastic_launched():
            return 0, 1
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        atexit.register(_leave)
    return dist.get_rank(), dist.get_world_size()


def local_device(kind: str) -> torch.device:
    """The device of this process: under ``torchrun``, ``"cuda"`` is the GPU that has the process's local rank."""
    local = os.environ.get("LOCAL_RANK")
    return torch.device(kind, int(local)) if kind == "cuda" and local is not None else torch.device(kind)


def mean_over_processes(value: float) -> float:
    """The mean of the processes' values, the same number in each; the value itself where there is one process."""
    if not (dist.is_available() and dist.is_initialized()):
        return value
    total = torch.tensor(value, dtype=torch.float64)  # on the CPU: not every device has float64
    dist.all_reduce(total)
    return float(total) / dist.get_world_size()


def share_of(batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """This process's examples of a batch that all processes drew alike.

    Raises:
        ValueError: a batch that the processes do not divide.
    """
    rank, world = join()
    if len(batch[0]) % world:
        raise ValueError(f"batch: got {len(batch[0])} examples, wanted a multiple of {world} processes")
    return tuple(part[rank::world] for part in batch)


def average_gradients(model: nn.Module) -> None:
    """Replace each gradient by its mean over the processes: DistributedDataParallel's sum, for loops without it."""
    _, world = join()
    if world > 1:
        for parameter in model.parameters():
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= world


def share_buffers(model: nn.Module) -> None:
    """Give every process the first one's buffers (batch-norm statistics, say), so that the models stay the same."""
    for buffer in model.buffers():
        dist.broadcast(buffer, src=0)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
