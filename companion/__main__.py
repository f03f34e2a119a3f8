"""The package's commands: ``python -m companion train NAME`` trains weights that ship with the course."""

import argparse
import os
from pathlib import Path

import torch

from companion.models import all_recipes, make_weights


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
    asked = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("COMPANION_THREADS", "1")))
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
