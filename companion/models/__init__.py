"""How the shipped weights were trained: one module each, run by ``python -m companion train NAME``.

A recipe trains at most ninety minutes on two cores, can be stopped and resumed, and measures what it made; `make_weights`
writes the weights and their card (`companion.weights`).
"""

import importlib
import pkgutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from companion import weights
from companion.validate import check_choice, check_count


@dataclass(frozen=True)
class Recipe:
    """How one set of weights is made.

    Attributes:
        name: of the weights and of the module.
        about: what the model is and does, in a sentence.
        data: what it is trained on, with licence and source.
        build: makes the untrained model.
        train: ``train(model, seed, smoke, checkpoint)`` trains it and returns the model to ship (averaged weights, say), in
            seconds if ``smoke``; it saves to and resumes from the file ``checkpoint``.
        measure: ``measure(model, smoke=False)``: the quality of a trained model, each number by its name; the same in every
            call, in at most a minute; of a few examples if ``smoke``.
        seed: of the shipped weights.
    """

    name: str
    about: str
    data: str
    build: Callable[[], nn.Module]
    train: Callable[[nn.Module, int, bool, Path], nn.Module]
    measure: Callable[..., dict[str, float]]
    seed: int = 0


def all_recipes() -> dict[str, Recipe]:
    """Every recipe by its name, from the ``RECIPE`` of every module of this package."""
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    return {recipe.name: recipe for recipe in (module.RECIPE for module in modules)}


def make_weights(
    name: str,
    *,
    smoke: bool = False,
    seed: int | None = None,
    checkpoint: Path | str | None = None,
    folder: Path | None = None,
) -> weights.Card:
    """Train a model by its recipe, measure it as it will ship, and write weights and card.

    Args:
        name: of the recipe.
        smoke: every step of the recipe in seconds, for a test; the weights are no good.
        seed: the recipe's own if not given.
        checkpoint: where the training saves its state and resumes from; ``_build/NAME.checkpoint`` if not given. It is
            removed when the weights are written.
        folder: where to write; the package's own folder if not given, which ``smoke`` must not overwrite.

    Raises:
        ValueError: no recipe of that name, or ``smoke`` without a folder.
    """
    recipes = all_recipes()
    check_choice("name", name, sorted(recipes))
    if smoke and folder is None:
        raise ValueError("folder: got none for a smoke run, wanted one: it must not replace the shipped weights")
    recipe = recipes[name]
    seed = recipe.seed if seed is None else seed
    check_count("seed", seed, low=0)
    checkpoint = Path("_build") / f"{name}.checkpoint" if checkpoint is None else Path(checkpoint)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    started = time.process_time()
    trained = recipe.train(recipe.build(), seed, smoke, checkpoint)
    seconds = time.process_time() - started
    shipped = weights.round_to_16_bits(trained).eval()
    written = weights.save_weights(
        shipped,
        name=name,
        about=recipe.about,
        data=recipe.data,
        seed=seed,
        seconds=seconds,
        quality={key: round(float(value), 4) for key, value in recipe.measure(shipped, smoke=smoke).items()},
        **({} if folder is None else {"folder": folder}),
    )
    checkpoint.unlink(missing_ok=True)
    return written
