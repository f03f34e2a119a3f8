"""What happens to one model's weights between two gradients: learning rate, clipping, AdamW, average.

With g the gradient, clipped to a norm of at most ``clip``, m and v the running means of g and g², corrected for their
start at zero, η the learning rate of the step and λ the weight decay, AdamW sets θ ← (1 - ηλ) θ - η m / (√v + ε). The
average a of the weights is a ← d a + (1 - d) θ with d = min(decay, (1 + t) / (10 + t)) at its t-th update, so that the
untrained weights are soon forgotten.

Where the configuration asks for it, matrices and kernels take Muon's steps instead (`companion.training.muon`).

Sources: AdamW: Loshchilov & Hutter, arXiv:1711.05101. Warm-up and cosine: arXiv:1608.03983, arXiv:1706.02677. Clipping:
Pascanu, Mikolov & Bengio, arXiv:1211.5063. Averaged weights: Polyak & Juditsky, 1992.
"""

import copy
import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import nn

from companion.training.muon import Muon
from companion.validate import Count, NonNegative, Positive, Range, Share, check_count, check_number, checked


class TrainingDiverged(ArithmeticError):
    """The loss or its gradient is no longer a finite number."""


@checked
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
        optimizer: ``"adamw"``, or ``"muon"`` for Muon's steps of what decays and AdamW's of the rest.
        betas: AdamW's decay rates of the first and second moment.
        clip: the gradient's largest norm.
        accumulate: in how many parts a batch is computed, to save memory; the gradient is the same.
        ema: decay of the averaged weights, or None for none. Early on it is (1 + t)/(10 + t) where that is less.
        precision: ``"fp32"``, ``"bf16"`` for autocast to bfloat16, or ``"auto"`` for bfloat16 where the device is fast at it.
        seed: where the order of the data and the noise start.

    Raises:
        ValueError: a value out of its range; the message names the field.
    """

    steps: Count
    batch_size: Count = 64
    lr: Positive = 1e-3
    warmup: Share = 0.05
    final_lr: Share = 0.1
    weight_decay: NonNegative = 0.01
    optimizer: Literal["adamw", "muon"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.99)
    clip: Positive = 1.0
    accumulate: Count = 1
    ema: Share | None = None
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    seed: Annotated[int, Range(0)] = 0

    def __post_init__(self) -> None:
        for beta in self.betas:
            check_number("betas", beta, low=0, high=1 - 1e-9)

    def lr_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0: linear warm-up, then half a cosine down to ``final_lr``.

        With w = round(warmup · steps) and p = (step - w) / (steps - 1 - w), at most 1: lr · (step + 1) / w before step
        w, then lr · (final_lr + (1 - final_lr) · (1 + cos πp) / 2).
        """
        check_count("step", step, low=0)
        warm = round(self.warmup * self.steps)
        if step < warm:
            return self.lr * (step + 1) / warm
        progress = min(1.0, (step - warm) / max(1, self.steps - 1 - warm))
        return self.lr * (self.final_lr + (1 - self.final_lr) * (1 + math.cos(math.pi * progress)) / 2)


class EMA:
    """An exponential moving average of a model's weights; its buffers are copied, not averaged.

    Attributes:
        model: a copy of the model that holds the averaged weights; in evaluation mode, without gradients.
        averages: the weights by name in float32 at least: in half precision a step of 1 - decay is rounded away. What is of
            that precision already is the copy's own parameter.
        updates: how often the average was updated.
    """

    @checked
    def __init__(self, model: nn.Module, decay: Share) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.averages = {
            name: p if torch.finfo(p.dtype).bits >= 32 else p.float() for name, p in self.model.named_parameters()
        }
        self.used, self.kept = list(self.model.parameters()), list(self.model.buffers())  # to walk the modules once
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model's present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for averaged, online in zip(self.averages.values(), model.parameters(), strict=True):
            averaged.lerp_(online.to(averaged.dtype), 1 - decay)
        self.write()
        for kept, online in zip(self.kept, model.buffers(), strict=True):
            kept.copy_(online)

    @torch.no_grad()
    def write(self) -> None:
        """Round the averages into the model, where its precision is less."""
        for averaged, used in zip(self.averages.values(), self.used, strict=True):
            if averaged is not used:
                used.copy_(averaged)


class Updater:
    """One model's optimiser with all that belongs to it. `companion.training.train` uses one; two adversaries use two.

    Attributes:
        steps_done: how many updates the weights have had.
        ema: the averaged weights, or None if the configuration asks for none.
        optimizer: torch's AdamW, or `Muon`.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.model, self.config, self.steps_done = model, config, 0
        self.parameters = list(model.parameters())
        groups = decay_groups(model, config.weight_decay)
        if config.optimizer == "muon":
            groups = [group | {"orthogonal": group is groups[0]} for group in groups]
        kind = Muon if config.optimizer == "muon" else torch.optim.AdamW
        self.optimizer = kind(groups, lr=config.lr, betas=config.betas, fused=_fusable(model))
        self.ema = EMA(model, config.ema) if config.ema is not None else None

    def step(self) -> tuple[float, float]:
        """Use the gradients that stand in the parameters, then clear them.

        Returns:
            The learning rate and the gradient's norm before clipping.

        Raises:
            ValueError: no parameter has a gradient.
            TrainingDiverged: the gradient is not finite; the weights are left as they were.
        """
        if all(parameter.grad is None for parameter in self.parameters):
            raise ValueError("model: got no gradient in any parameter, wanted loss.backward() before each step")
        lr = self.config.lr_at(self.steps_done)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        norm = float(nn.utils.clip_grad_norm_(self.parameters, self.config.clip))
        if not math.isfinite(norm):
            raise TrainingDiverged(
                f"the gradient's norm is {norm} at step {self.steps_done} of {self.config.steps} (learning rate "
                f"{lr:.2g}): lower the learning rate, or look for a division by zero or a log of zero in the loss"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update(self.model)
        self.steps_done += 1
        return lr, norm

    @property
    def best(self) -> nn.Module:
        """The model to use: the averaged weights where there are, otherwise the model itself."""
        return self.model if self.ema is None else self.ema.model


def _fusable(model: nn.Module) -> bool:
    """Whether torch has one kernel for the whole of AdamW where this model is: the same arithmetic in fewer passes."""
    return all(p.device.type in ("cpu", "cuda", "mps") for p in model.parameters() if p.requires_grad)


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Split a model's parameters for AdamW: matrices and kernels decay; biases, norms and embeddings do not.

    Every parameter that needs a gradient stands in one group, once, also where two layers share it.

    Raises:
        ValueError: no parameter needs a gradient.
    """
    embeddings = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters(recurse=False)}
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise ValueError("model: got no parameter that needs a gradient, wanted at least one")
    decays = [p for p in trained if p.ndim >= 2 and id(p) not in embeddings]
    rest = [p for p in trained if p.ndim < 2 or id(p) in embeddings]
    return [{"params": decays, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
