"""Recipes for pre-training a small language model, and a race between recipes that is fair on a busy machine.

`NANOGPT` is the recipe that nanoGPT's README gives for a laptop's processor (Karpathy, github.com/karpathy/nanoGPT): a GPT-2
of 4 layers, 4 heads and width 128 reads 2,000 batches of 12 passages of 64 characters; AdamW with a learning rate that rises
to 1e-3 in 100 steps and falls on a cosine to 1e-4, β₂ = 0.99, weight decay 0.1, clipping at 1, no dropout. Departures: our
GPT-2 has the biases of the published one, which nanoGPT leaves out by default, and its embeddings do not decay.

`TUNED` is the same model with a start and a course of training that suit its size better: weights from N(0, 1/width), three
times the learning rate, after a longer warm-up and down to nearly zero, five times the weight decay. It reads the same
passages in the same batches.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import torch
from jaxtyping import Int
from torch import Tensor, nn

from companion.language.scoring import mean_nats, next_token_loss, passages
from companion.text.gpt import GPT, GPTConfig
from companion.training.batches import Batches
from companion.training.distributed import average_gradients, mean_over_processes, share_of
from companion.training.loop import Loss
from companion.training.optimization import TrainConfig, Updater
from companion.validate import Count, Range, checked

CONTEXT, WIDTH = 64, 128


def gpt(vocab_size: int) -> GPT:
    """nanoGPT's model for a laptop: 0.81 million parameters with 65 characters."""
    return GPT(GPTConfig(vocab_size=vocab_size, context=CONTEXT, width=WIDTH, layers=4, heads=4))


def gpt_started_wider(vocab_size: int) -> GPT:
    """The same model, but its matrices start from N(0, 1/width) instead of N(0, 0.02²)."""
    return GPT(replace(gpt(vocab_size).config, init_std=WIDTH**-0.5))


@dataclass(frozen=True)
class PretrainingRecipe:
    """A model before training and how to train it.

    Attributes:
        name: for the legend of a figure.
        build: makes the model for an alphabet of so many tokens.
        config: the whole recipe; `race` may shorten it, and the learning rate's course with it.
        loss: what is trained on, as for `companion.training.train`.
    """

    name: str
    build: Callable[[int], nn.Module]
    config: TrainConfig
    loss: Loss = next_token_loss


_PUBLISHED = TrainConfig(
    steps=2_000, batch_size=12, lr=1e-3, warmup=0.05, final_lr=0.1, weight_decay=0.1, betas=(0.9, 0.99), clip=1.0
)

NANOGPT = PretrainingRecipe("GPT-2's block, nanoGPT's recipe", gpt, _PUBLISHED)
TUNED = PretrainingRecipe(
    "GPT-2's block, our recipe",
    gpt_started_wider,
    replace(_PUBLISHED, lr=3e-3, warmup=0.15, final_lr=0.02, weight_decay=0.5),
)


@dataclass
class Run:
    """How one recipe did.

    Attributes:
        model: trained.
        loss: of each step's batch; nats a token, unless the recipe says otherwise.
        seconds: the processor's time that the training had taken after each step, without the evaluations.
        evaluated_at: after how many steps the model was judged.
        valid: nats a token on the validation text, each time.
    """

    model: nn.Module
    loss: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    evaluated_at: list[int] = field(default_factory=list)
    valid: list[float] = field(default_factory=list)


@checked
def race(
    recipes: Sequence[PretrainingRecipe],
    ids: Int[Tensor, "tokens"],
    valid: Int[Tensor, "others"],
    vocab_size: int,
    *,
    share: Annotated[float, Range(0, 1, open_low=True)] = 1.0,
    judgements: Count = 1,
    seed: int = 0,
    watch: Callable[[list[Run]], None] | None = None,
) -> list[Run]:
    """Train recipes by turns, so that a slow minute of the machine hits all of them alike.

    The next step is always that of the recipe which has done the smallest part of its steps. A step is that of
    `companion.training.train`; the tests hold the losses of both to each other. Under ``torchrun`` each process takes its
    share of every batch.

    Args:
        recipes: what to train.
        ids: the training text; the models are trained on its device.
        valid: the text on which to judge.
        vocab_size: how many tokens there are.
        share: of each recipe's steps; the learning rate's course is shortened with them.
        judgements: how often to judge each model, at equal parts of its steps.
        seed: of the models and the batches; the same for all.
        watch: called with the runs after each round of judgements.

    Raises:
        ValueError: a share that leaves fewer steps than judgements.
        TrainingDiverged: a gradient that is not finite.
    """
    configs = [
        replace(recipe.config, steps=max(1, round(share * recipe.config.steps)), seed=seed) for recipe in recipes
    ]
    if any(config.steps < judgements for config in configs):
        raise ValueError(f"share: got {share}, wanted at least {judgements} steps of each recipe, one a judgement")
    runs = []
    for recipe in recipes:
        torch.manual_seed(seed)
        runs.append(Run(recipe.build(vocab_size).to(ids.device).train()))
    updaters = [Updater(run.model, config) for run, config in zip(runs, configs, strict=True)]
    batches = [
        Batches(passages(ids, run.model.config.context + 1), config.batch_size, seed)
        for run, config in zip(runs, configs, strict=True)
    ]
    for round_ in range(1, judgements + 1):
        goals = [config.steps * round_ // judgements for config in configs]
        while any(updater.steps_done < goal for updater, goal in zip(updaters, goals, strict=True)):
            parts = [updater.steps_done / config.steps for updater, config in zip(updaters, configs, strict=True)]
            behind = min((i for i in range(len(runs)) if updaters[i].steps_done < goals[i]), key=parts.__getitem__)
            _step(runs[behind], recipes[behind].loss, updaters[behind], batches[behind])
        for run, updater in zip(runs, updaters, strict=True):
            run.valid.append(mean_nats(updater.best, valid))
            run.evaluated_at.append(updater.steps_done)
        if watch is not None:
            watch(runs)
    for run, updater in zip(runs, updaters, strict=True):
        run.model = updater.best.eval()
    return runs


def _step(run: Run, objective: Loss, updater: Updater, batches: Batches) -> None:
    """One step of one recipe, with its time."""
    started = time.process_time()
    loss = objective(run.model, share_of(batches(updater.steps_done)), torch.Generator())
    loss.backward()
    average_gradients(run.model)
    run.loss.append(mean_over_processes(loss.item()))
    updater.step()
    run.seconds.append((run.seconds[-1] if run.seconds else 0.0) + time.process_time() - started)
