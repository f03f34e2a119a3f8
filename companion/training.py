"""The one training loop of the course.

What it does at each step is what the reader would write by hand: draw a batch, compute the loss, go backward, clip, let
AdamW step, average the weights. All randomness of a step is a function of ``(seed, step)``, so a run that is killed and
resumed from its checkpoint ends with the same bits as one that was left alone. Started by ``torchrun``, the same call
trains on several processes: each takes its share of the same batch.

Sources: AdamW: Loshchilov & Hutter, arXiv:1711.05101. Warm-up and cosine: arXiv:1608.03983. Gradient clipping:
Pascanu, Mikolov & Bengio, arXiv:1211.5063. Averaged weights: Polyak & Juditsky, 1992.
"""

import contextlib
import copy
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors
import safetensors.torch
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from companion.validate import check_choice, check_count, check_number

Batch = tuple[Tensor, ...]
Loss = Callable[[nn.Module, Batch, torch.Generator], Tensor]
Data = Sequence[Tensor] | Callable[[int, torch.Generator], Batch]


class TrainingDiverged(ArithmeticError):
    """The loss or its gradient is no longer a finite number."""


class CorruptCheckpoint(OSError):
    """A checkpoint cannot be read, or is another run's."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        steps: updates of the weights.
        batch_size: examples for one update, over all processes and accumulated parts together.
        lr: the highest learning rate, reached after the warm-up.
        warmup: the share of the steps in which the learning rate rises from 0.
        final_lr: the share of ``lr`` that is left at the end of the cosine.
        weight_decay: for weights of two and more axes except embeddings; biases, norms and embeddings do not decay.
        betas: AdamW's decay rates of the first and second moment.
        clip: the gradient's largest norm.
        accumulate: in how many parts a batch is computed, to save memory; the gradient is the same.
        ema: decay of the averaged weights, or None for none. Early on it is (1 + t)/(10 + t) where that is less.
        precision: ``"fp32"``, or ``"bf16"`` for autocast to bfloat16.
        seed: where the order of the data and the noise start.
    """

    steps: int
    batch_size: int = 64
    lr: float = 1e-3
    warmup: float = 0.05
    final_lr: float = 0.1
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0
    accumulate: int = 1
    ema: float | None = None
    precision: str = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        check_count("batch_size", self.batch_size)
        check_count("accumulate", self.accumulate)
        check_count("seed", self.seed, low=0)
        check_number("lr", self.lr, low=0, open_low=True)
        check_number("clip", self.clip, low=0, open_low=True)
        check_number("weight_decay", self.weight_decay, low=0)
        check_number("warmup", self.warmup, low=0, high=1)
        check_number("final_lr", self.final_lr, low=0, high=1)
        if self.ema is not None:
            check_number("ema", self.ema, low=0, high=1)
        check_choice("precision", self.precision, ("fp32", "bf16"))

    def lr_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0: linear warm-up, then half a cosine down to ``final_lr``."""
        warm = round(self.warmup * self.steps)
        if step < warm:
            return self.lr * (step + 1) / warm
        progress = (step - warm) / max(1, self.steps - 1 - warm)
        return self.lr * (self.final_lr + (1 - self.final_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


@dataclass
class History:
    """What to plot: one number a step, and the evaluations."""

    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    evaluated_at: list[int] = field(default_factory=list)
    evaluations: list[dict[str, float]] = field(default_factory=list)

    def smoothed_loss(self, window: int = 25) -> list[float]:
        """The running mean of the loss over the last ``window`` steps (fewer at the start)."""
        check_count("window", window)
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


class EMA:
    """An exponential moving average of a model's weights; its buffers are copied, not averaged."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        check_number("decay", decay, low=0, high=1)
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for averaged, online in zip(self.model.parameters(), model.parameters(), strict=True):
            averaged.lerp_(online, 1 - decay)
        for kept, online in zip(self.model.buffers(), model.buffers(), strict=True):
            kept.copy_(online)


class Updater:
    """Everything that happens to one model's weights between two gradients: schedule, clipping, AdamW, average.

    `train` uses one; a pair of adversaries uses two.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.model, self.config, self.steps_done = model, config, 0
        self.optimizer = torch.optim.AdamW(decay_groups(model, config.weight_decay), lr=config.lr, betas=config.betas)
        self.ema = EMA(model, config.ema) if config.ema is not None else None

    def step(self) -> tuple[float, float]:
        """Use the gradients that stand in the parameters, then clear them.

        Returns:
            The learning rate and the gradient's norm before clipping.

        Raises:
            TrainingDiverged: the gradient is not finite; the weights are left as they were.
        """
        lr = self.config.lr_at(self.steps_done)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip))
        if not math.isfinite(norm):
            raise TrainingDiverged(
                f"the gradient's norm is {norm} at step {self.steps_done} of {self.config.steps} (learning rate {lr:.2g}): "
                "lower the learning rate, or look for a division by zero or a log of zero in the loss"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update(self.model)
        self.steps_done += 1
        return lr, norm


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Split a model's parameters for AdamW: matrices and kernels decay; biases, norms and embeddings do not.

    Every parameter that needs a gradient stands in one group, once, also where two layers share it.
    """
    embeddings = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters(recurse=False)}
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise ValueError("model: got no parameter that needs a gradient, wanted at least one")
    decays = [p for p in trained if p.ndim >= 2 and id(p) not in embeddings]
    rest = [p for p in trained if p.ndim < 2 or id(p) in embeddings]
    return [{"params": decays, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


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
        loss: ``loss(model, batch, generator)``, the mean over the batch's examples; its noise comes from the generator.
        data: tensors with one first axis, read in a new order in each epoch; or ``draw(n, generator)``, a fresh batch.
        config: how to train.
        evaluate: numbers of the model (averaged weights where there are) for the history, without gradients.
        evaluate_every: steps between two evaluations; only at the end if not given.
        checkpoint: a file to save to and, if it exists, to resume from. It is replaced in one move, never half-written.
        checkpoint_every: steps between two savings; it is also saved at the end.

    Raises:
        ValueError: tensors of unequal length or without examples; a batch that its parts or the processes do not divide.
        TrainingDiverged: the loss or the gradient is not finite; the message names the step.
        CorruptCheckpoint: the checkpoint is unreadable, or was made with another configuration or model.
    """
    started = time.perf_counter()
    rank, world = _processes()
    device = next(model.parameters()).device
    if config.batch_size % (world * config.accumulate):
        raise ValueError(
            f"batch_size: got {config.batch_size}, wanted a multiple of {world} processes × {config.accumulate} parts"
        )
    batches = _Batches(data, config)
    updater, history = Updater(model, config), History()
    if checkpoint is not None and Path(checkpoint).exists():
        _load(Path(checkpoint), updater, history)
    objective: nn.Module = _Objective(model, loss)
    if world > 1:
        objective = DistributedDataParallel(objective)
    model.train()
    steps = range(updater.steps_done, config.steps)
    bar = tqdm(steps, initial=updater.steps_done, total=config.steps, delay=2, leave=False, disable=rank > 0)
    for step in bar:
        batch = [part.to(device) for part in batches(step)]
        with _noise(config.seed, step, rank, device) as generator:
            value = _backward(objective, [part[rank::world] for part in batch], generator, config)
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"the loss is {value} at step {step} of {config.steps} (learning rate {config.lr_at(step):.2g}; the last "
                f"losses: {[round(v, 4) for v in history.loss[-3:]]}): lower the learning rate, or check the data"
            )
        lr, norm = updater.step()
        history.loss.append(value)
        history.lr.append(lr)
        history.grad_norm.append(norm)
        last = step == config.steps - 1
        if evaluate is not None and (last or (evaluate_every and (step + 1) % evaluate_every == 0)):
            history.evaluated_at.append(step + 1)
            with evaluating(_best(updater)) as best:
                history.evaluations.append(evaluate(best))
        if checkpoint is not None and rank == 0 and (last or (step + 1) % checkpoint_every == 0):
            _save(Path(checkpoint), updater, history)
        bar.set_postfix(loss=f"{value:.4f}", refresh=False)
    return TrainResult(_best(updater).eval(), history, time.perf_counter() - started)


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """The model in evaluation mode and without gradients; afterwards each of its modules is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        for module, mode in modes:
            module.training = mode


def mean_over_examples(values: Callable[..., Tensor], data: Sequence[Tensor], *, batch_size: int = 256) -> float:
    """The mean of ``values(*batch)``, one number an example, over all examples: the same for every batch size.

    A mean of the batches' means would weigh the examples of a short last batch more.
    """
    check_count("batch_size", batch_size)
    n = _length(data)
    total = 0.0
    with torch.no_grad():
        for first in range(0, n, batch_size):
            batch = [part[first : first + batch_size] for part in data]
            got = values(*batch)
            if got.shape != batch[0].shape[:1]:
                raise ValueError(
                    f"values: got shape {tuple(got.shape)}, wanted one number an example: ({len(batch[0])},)"
                )
            total += float(got.double().sum())
    return total / n


class _Objective(nn.Module):
    """The loss as a module, so that DistributedDataParallel sees the whole computation, not the model's forward only."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return self.loss(self.model, batch, generator)


def _backward(objective: nn.Module, batch: list[Tensor], generator: torch.Generator, config: TrainConfig) -> float:
    """Add the gradient of the mean loss over all parts to the parameters; the value is this process's mean loss."""
    total = 0.0
    for part in range(config.accumulate):
        # Only the last part's gradients need to travel between the processes.
        quiet = isinstance(objective, DistributedDataParallel) and part < config.accumulate - 1
        with objective.no_sync() if quiet else contextlib.nullcontext():
            micro = tuple(t[part :: config.accumulate] for t in batch)
            with torch.autocast(batch[0].device.type, torch.bfloat16, enabled=config.precision == "bf16"):
                value = objective(micro, generator) / config.accumulate
            value.backward()
        total += value.item()
    return total


class _Batches:
    """The batch of each step, as a function of the step: epochs follow one another, each in an order of its own."""

    def __init__(self, data: Data, config: TrainConfig) -> None:
        self.data, self.size, self.seed = data, config.batch_size, config.seed
        self.n = None if callable(data) else _length(data)
        self.orders: dict[int, Tensor] = {}

    def __call__(self, step: int) -> Batch:
        if self.n is None:
            return self.data(self.size, torch.Generator().manual_seed(_mix(self.seed, "draw", step)))
        places = torch.arange(step * self.size, (step + 1) * self.size)
        index = torch.empty(self.size, dtype=torch.long)
        for epoch in range(int(places[0]) // self.n, int(places[-1]) // self.n + 1):
            here = places // self.n == epoch
            index[here] = self._order(epoch)[places[here] % self.n]
        return tuple(part[index] for part in self.data)

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self.orders:
            generator = torch.Generator().manual_seed(_mix(self.seed, "order", epoch))
            self.orders = {e: o for e, o in self.orders.items() if e >= epoch - 1}
            self.orders[epoch] = torch.randperm(self.n, generator=generator)
        return self.orders[epoch]


def _length(data: Sequence[Tensor]) -> int:
    lengths = [len(part) for part in data]
    if not lengths or 0 in lengths or len(set(lengths)) > 1:
        raise ValueError(f"data: got tensors with {lengths} examples, wanted one number of examples, at least 1")
    return lengths[0]


def _mix(*parts: object) -> int:
    """A seed of 63 bits from anything that has a repr."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1


@contextlib.contextmanager
def _noise(seed: int, step: int, rank: int, device: torch.device) -> Iterator[torch.Generator]:
    """The generator of a step; the global one, which dropout uses, is seeded too and put back afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(_mix(seed, "global", step, rank))
        yield torch.Generator(device).manual_seed(_mix(seed, "noise", step, rank))


def _processes() -> tuple[int, int]:
    """This process's rank and how many there are; joins the group if ``torchrun`` started the program."""
    if not dist.is_available() or "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank(), dist.get_world_size()


def _best(updater: Updater) -> nn.Module:
    return updater.ema.model if updater.ema is not None else updater.model


def _tensors(updater: Updater) -> dict[str, Tensor]:
    """Everything that a run carries from one step to the next, by name."""
    kept: dict[str, Tensor] = {}
    models = {"model": updater.model} | ({"ema": updater.ema.model} if updater.ema else {})
    for prefix, model in models.items():
        kept |= {f"{prefix}.{name}": p.detach() for name, p in model.named_parameters()}
        kept |= {f"{prefix}.{name}": b for name, b in model.named_buffers()}
    for name, parameter in updater.model.named_parameters():
        state = updater.optimizer.state.get(parameter, {})
        kept |= {f"adamw.{name}.{key}": value for key, value in state.items()}
    return kept


def _save(path: Path, updater: Updater, history: History) -> None:
    tensors = {name: value.contiguous() for name, value in _tensors(updater).items()}
    about = {
        "step": updater.steps_done,
        "config": asdict(updater.config),
        "ema_updates": updater.ema.updates if updater.ema else 0,
        "history": asdict(history),
    }
    data = safetensors.torch.save(tensors, {"training": json.dumps(about)})
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    with open(unfinished, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(unfinished, path)


def _load(path: Path, updater: Updater, history: History) -> None:
    try:
        with safetensors.safe_open(path, "pt") as stream:
            about = json.loads((stream.metadata() or {})["training"])
            saved = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118  not a dict
    except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        raise CorruptCheckpoint(f"{path}: no readable checkpoint of a training run; delete it to start anew") from error
    ours = json.loads(json.dumps(asdict(updater.config)))
    differ = {key: (about["config"].get(key), ours[key]) for key in ours if about["config"].get(key) != ours[key]}
    if differ:
        raise CorruptCheckpoint(
            f"{path} was made with another configuration (saved, wanted): {differ}; delete it to start anew"
        )
    # AdamW makes its state at the first step; give it empty state to fill.
    for parameter in updater.model.parameters():
        if parameter.requires_grad and about["step"]:
            updater.optimizer.state[parameter] = {
                "step": torch.zeros(()),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
    wanted = _tensors(updater)
    shapes = {name: tuple(t.shape) for name, t in wanted.items()}
    if shapes != {name: tuple(t.shape) for name, t in saved.items()}:
        raise CorruptCheckpoint(f"{path} was made with another model; delete it to start anew")
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(saved[name])
    updater.steps_done = about["step"]
    if updater.ema:
        updater.ema.updates = about["ema_updates"]
    for key, value in about["history"].items():
        getattr(history, key).extend(value)
