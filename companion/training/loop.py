"""The one training loop of the course.

What it does at each step is what the reader would write by hand: draw a batch, compute the loss, go backward, clip, let
AdamW step, average the weights (`companion.training.optimization`). All randomness of a step is a function of the seed and the
step (`batches`), so a run that is killed and resumed from its `checkpoint` ends with the same bits as
one that was left alone. Started by ``torchrun``, the same call trains on several processes
(`companion.training.distributed`): each takes its share of the same batch.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from companion.training.batches import Batch, Batches, Data, count_examples, seeded
from companion.training.checkpoint import CorruptCheckpoint, load_checkpoint, save_checkpoint
from companion.training.distributed import join, mean_over_processes, share_buffers
from companion.training.losses import MaskedMean
from companion.training.modes import evaluating
from companion.training.optimization import TrainConfig, TrainingDiverged, Updater, decay_groups
from companion.training.precision import uses_bf16
from companion.validate import Count, check_count, checked

Loss = Callable[[nn.Module, Batch, torch.Generator], Tensor | MaskedMean]


@dataclass
class History:
    """What to plot: one number a step, and the evaluations.

    Attributes:
        loss: the mean loss over the batch, of all processes, before the step's update.
        lr: the learning rate.
        grad_norm: the gradient's norm before clipping.
        evaluated_at: after how many steps each evaluation was made.
        evaluations: what ``evaluate`` returned.
    """

    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    evaluated_at: list[int] = field(default_factory=list)
    evaluations: list[dict[str, float]] = field(default_factory=list)

    @checked
    def smoothed_loss(self, window: Count = 25) -> list[float]:
        """The running mean of the loss over the last ``window`` steps (fewer at the start)."""
        sums = [0.0]
        for value in self.loss:
            sums.append(sums[-1] + value)
        return [(sums[i] - sums[max(0, i - window)]) / min(i, window) for i in range(1, len(sums))]


@dataclass(frozen=True)
class TrainResult:
    """A trained model.

    Attributes:
        model: the model to use: the averaged weights where the configuration asks for them, in evaluation mode.
        history: the course of the run.
        seconds: the wall time of this call.
    """

    model: nn.Module
    history: History
    seconds: float


def train(
    model: nn.Module,
    loss: Loss,
    data: Data,
    config: TrainConfig,
    *,
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
    evaluate_every: int | None = None,
    checkpoint: Path | str | None = None,
    checkpoint_every: int = 500,
) -> TrainResult:
    """Train a model in place.

    Args:
        model: on the device on which it is to be trained.
        loss: ``loss(model, batch, generator)``, the mean over the batch's examples, or a `MaskedMean` if examples have
            unequally many targets; its noise comes from the generator.
        data: tensors with one first axis, read in a new order in each epoch; or ``draw(n, generator)``, a fresh batch.
        config: how to train.
        evaluate: numbers of the model (averaged weights where there are) for the history, without gradients.
        evaluate_every: steps between two evaluations; only at the end if not given.
        checkpoint: a file to save to and, if it exists, to resume from. It is replaced in one move, never half-written.
        checkpoint_every: steps between two savings; it is also saved at the end.

    Raises:
        ValueError: tensors of unequal length or without examples; a batch that its parts or the processes do not
            divide; a loss that is not one number; a model without parameters to train.
        TrainingDiverged: the loss or the gradient is not finite; the message names the step, whose weights are left.
        CorruptCheckpoint: the checkpoint is unreadable, or was made with another configuration, model or data.
    """
    started = time.perf_counter()
    check_count("checkpoint_every", checkpoint_every)
    check_count("evaluate_every", evaluate_every if evaluate_every is not None else 1)
    rank, world = join()
    if config.batch_size % (world * config.accumulate):
        raise ValueError(
            f"batch_size: got {config.batch_size}, wanted a multiple of {world} processes × {config.accumulate} parts"
        )
    decay_groups(model, config.weight_decay)  # an error for a model without weights, before anything is sent
    device = next(model.parameters()).device
    batches = Batches(data, config.batch_size, config.seed)
    objective: nn.Module = _Objective(model, loss)
    if world > 1:
        # Gives every process the weights of the first; its buffers come after each gradient, below.
        objective = DistributedDataParallel(objective, broadcast_buffers=False)
    updater, history = Updater(model, config), History()
    updater.optimizer.zero_grad()
    if checkpoint is not None and Path(checkpoint).exists():
        history = History(**load_checkpoint(checkpoint, updater, data=batches.about, lists=asdict(history)))
    if mean_over_processes(updater.steps_done) != updater.steps_done:
        raise CorruptCheckpoint(f"{checkpoint}: not all processes see the same checkpoint; put it on a shared disk")
    model.train()
    quiet = rank > 0 or bool(os.environ.get("TQDM_DISABLE"))
    steps = range(updater.steps_done, config.steps)
    bar = tqdm(steps, initial=updater.steps_done, total=config.steps, delay=2, leave=False, disable=quiet)
    for step in bar:
        batch = [part.to(device) for part in batches(step)]
        with seeded(device, config.seed, step, rank) as generator:
            total, count = _backward(objective, [part[rank::world] for part in batch], generator, config, device)
        if world > 1:  # the gradients are the processes' mean already, so this is what they must be divided by
            total, count = mean_over_processes(total), mean_over_processes(count)
            share_buffers(model)
        if not count:
            raise ValueError(f"loss: got no target in the batch of step {step}, wanted at least one")
        value = total / count
        if count != 1:
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad /= count
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"the loss is {value} at step {step} of {config.steps} (learning rate {config.lr_at(step):.2g}; the "
                f"last losses: {[round(v, 4) for v in history.loss[-3:]]}): lower the learning rate, or check the data"
            )
        lr, norm = updater.step()
        history.loss.append(value)
        history.lr.append(lr)
        history.grad_norm.append(norm)
        done, last = step + 1, step == config.steps - 1
        if evaluate is not None and (last or (evaluate_every and done % evaluate_every == 0)):
            with seeded(device, config.seed, "evaluate", step), evaluating(updater.best) as best:
                history.evaluations.append({name: float(number) for name, number in evaluate(best).items()})
            history.evaluated_at.append(done)
        if checkpoint is not None and rank == 0 and (last or done % checkpoint_every == 0):
            save_checkpoint(checkpoint, updater, data=batches.about, history=asdict(history))
        bar.set_postfix(loss=f"{value:.4f}", refresh=False)
    for trained, used in zip(model.parameters(), updater.best.parameters(), strict=True):
        used.requires_grad_(trained.requires_grad)
    model.eval()
    return TrainResult(updater.best.eval(), history, time.perf_counter() - started)


def mean_over_examples(values: Callable[..., Tensor], data: Sequence[Tensor], *, batch_size: int = 256) -> float:
    """The mean of ``values(*batch)``, one number an example, over all examples: the same for every batch size.

    A mean of the batches' means would weigh the examples of a short last batch more.
    """
    check_count("batch_size", batch_size)
    n = count_examples(data)
    total = 0.0
    with torch.no_grad():
        for first in range(0, n, batch_size):
            batch = [part[first : first + batch_size] for part in data]
            got = values(*batch)
            if not isinstance(got, Tensor) or got.shape != batch[0].shape[:1]:
                form = f"shape {tuple(got.shape)}" if isinstance(got, Tensor) else type(got).__name__
                raise ValueError(f"values: got {form}, wanted one number an example: ({len(batch[0])},)")
            total += float(got.cpu().double().sum())
    return total / n


class _Objective(nn.Module):
    """The loss as a module, so that DistributedDataParallel sees the whole computation, not only the model's."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor | float]:
        """Sum and number of the loss's terms; a plain loss, a mean over as many examples as any other part, counts 1."""
        value = self.loss(self.model, batch, generator)
        value, count = (value.total, value.count) if isinstance(value, MaskedMean) else (value, 1.0)
        if not isinstance(value, Tensor) or value.numel() != 1:
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"loss: got {got}, wanted one number: the mean over the batch's examples")
        if not value.requires_grad:
            raise ValueError(
                "loss: got a loss without a gradient, wanted one that depends on the model; no .detach() in it"
            )
        return value.squeeze(), count


def _backward(
    objective: nn.Module, batch: list[Tensor], generator: torch.Generator, config: TrainConfig, device: torch.device
) -> tuple[float, float]:
    """Add the gradient of the loss's sum over all parts to the parameters; this process's sum, and of how many terms."""
    total = count = 0.0
    for part in range(config.accumulate):
        # Only the last part's gradients need to travel between the processes.
        wait = isinstance(objective, DistributedDataParallel) and part < config.accumulate - 1
        with objective.no_sync() if wait else contextlib.nullcontext():
            micro = tuple(t[part :: config.accumulate] for t in batch)
            with torch.autocast(device.type, torch.bfloat16, enabled=uses_bf16(config.precision, device)):
                value, terms = objective(micro, generator)
            value.backward()
        total, count = total + value.item(), count + float(terms)
    return total, count
