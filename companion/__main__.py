"""The package's commands.

``python -m companion train NAME`` trains weights that ship with the course. ``python -m companion measure NAME`` makes a table
of training runs that ships with the course. ``python -m companion lesson FILE`` runs a lesson without Jupyter, on several
processes under ``torchrun --nproc-per-node N -m companion lesson FILE``. ``python -m companion progress`` lists the try cells
of the lessons and which of them you have solved.
"""

import argparse
import os
from functools import partial
from pathlib import Path

import torch

from companion.console import write_anything
from companion.exercises.tries import progress
from companion.image.gan.ladder import make_ladder
from companion.lesson import BUDGETS, run_as_program
from companion.models import all_recipes, make_weights
from companion.scaling.laws.recipes import RECIPES, make_runs

RUNS = {name: partial(make_runs, name) for name in RECIPES} | {"gan_ladder": make_ladder}


def main() -> None:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(prog="python -m companion", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train weights that ship with the course, and write them with their card")
    train.add_argument("name", choices=sorted(all_recipes()))
    train.add_argument("--smoke", action="store_true", help="every step in seconds; needs --folder")
    train.add_argument("--seed", type=int, help="the recipe's own if not given")
    train.add_argument("--folder", type=Path, help="where to write; the package itself if not given")
    train.add_argument("--checkpoint", type=Path, help="where to save the state and resume from; _build if not given")
    measure = commands.add_parser(
        "measure", help="make the training runs whose table ships with the course, or go on with them"
    )
    measure.add_argument("name", choices=sorted(RUNS))
    measure.add_argument("--smoke", action="store_true", help="a few runs in seconds; needs --table")
    measure.add_argument("--table", type=Path, help="where to write; the package itself if not given")
    lesson = commands.add_parser("lesson", help="run a lesson without Jupyter; torchrun shares its training")
    lesson.add_argument("file", type=Path, help="such as book/3_06_image/ddpm.ipynb")
    lesson.add_argument("--budget", choices=BUDGETS, default="workstation")
    lesson.add_argument("--seed", type=int, default=0)
    commands.add_parser("progress", help="which try cells of the lessons you have solved")
    asked = parser.parse_args()
    write_anything()
    if asked.command == "progress":
        done = progress()
        for id, holds in done.items():
            print({True: "✓ right", False: "✗ tried", None: "– not tried"}[holds], id, sep="\t")
        print(f"{sum(map(bool, done.values()))} of {len(done)} solved")
        return
    if asked.command == "lesson":
        os.environ.setdefault("MPLBACKEND", "Agg")
        run_as_program(asked.file, seed=asked.seed, budget=asked.budget)
        return
    torch.set_num_threads(int(os.environ.get("COMPANION_THREADS", "1")))
    if asked.command == "measure":
        try:
            runs = RUNS[asked.name](smoke=asked.smoke, path=asked.table)
        except ValueError as wrong:
            parser.error(str(wrong))
        print(f"{asked.name}: {len(runs)} runs, {sum(run.seconds for run in runs):.0f} s")
        return
    try:
        card = make_weights(
            asked.name, smoke=asked.smoke, seed=asked.seed, folder=asked.folder, checkpoint=asked.checkpoint
        )
    except ValueError as wrong:
        parser.error(str(wrong))
    measured = ", ".join(f"{name} {value:g}" for name, value in card.quality.items())
    print(f"{card.name}: {card.parameters:,} parameters, {card.seconds:.0f} s; {measured}")


if __name__ == "__main__":
    main()
