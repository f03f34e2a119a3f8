"""Run the lessons: ``python -m tests.lessons execute|smoke|nbval|sweep [NAME]``.

``execute``
    in place, one after the other: stores the outputs and what each lesson takes (`make lessons`).
``smoke``
    a copy by papermill, at the smallest budget, with another seed, and on a device that only pretends to be one.
``nbval``
    again at the laptop budget: every output must equal the stored one, but for those that depend on training.
``sweep``
    a copy at the laptop budget for each of several seeds: which claims hold.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lessons import notebooks, running

# Seconds for a whole lesson, and the memory that it may take. `make lessons` is held to them on a quiet machine; the tests to
# TOLERANCE times as much of the processor's time, as two lessons run at once and processors differ.
LIMITS = {"smoke": 15, "nbval": 90}
GOAL = 45  # at laptop, where a lesson can
ALL_LESSONS = 42 * 60  # at laptop, on one core
# A chapter may have up to three lessons that take longer.
FLAGSHIPS = {
    "3_02_history/eras",
    "3_06_image/ddpm",
    "3_06_image/flux",
    "3_06_image/stable_diffusion",
    "3_07_video/sora",
}
FLAGSHIP_SECONDS = 120
FLAGSHIPS_OF_A_CHAPTER = 3
# Longer than that until they are written anew.
EXCEPTIONS: dict[str, int] = {}
MEMORY_MB = 1500
TOLERANCE = 6.0  # a processor may need twice what another does, and half as much again beside others


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lessons", description=__doc__)
    parser.add_argument("action", choices=("execute", "smoke", "nbval", "sweep"))
    parser.add_argument("only", nargs="?", default="", help="a part of the lesson's name, such as 3_03")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds a sweep tries")
    parser.add_argument("--cell-timeout", type=int, default=1800, help="seconds before a cell counts as hanging")
    arguments = parser.parse_args()
    paths = notebooks.lessons(arguments.only)
    if arguments.action == "execute":
        return _each(paths, lambda path: running.execute(path, arguments.cell_timeout), 1, "stored")
    if arguments.action == "sweep":
        return _sweep(paths, arguments.seeds, arguments.cell_timeout)
    run = {"smoke": running.smoke, "nbval": running.nbval}[arguments.action]
    # Each lesson computes on one thread, so two at a time end sooner; the longest first, so that none is waited for at the end.
    paths = sorted(paths, key=_seconds, reverse=True)
    return _each(paths, lambda path: _within(arguments.action, path, run(path, arguments.cell_timeout)), 2, "passed")


def seconds_allowed(action: str, lesson: str) -> int:
    """The limit of an action for a lesson, by its name."""
    if action != "nbval":
        return LIMITS[action]
    return EXCEPTIONS.get(lesson, FLAGSHIP_SECONDS if lesson in FLAGSHIPS else LIMITS[action])


def _seconds(path: Path) -> float:
    """What a lesson took when it was last measured; one that was not comes first."""
    return json.loads(running.MEASURED.read_text(encoding="utf-8")).get(notebooks.name(path), {}).get("seconds", 1e9)


def _within(action: str, path: Path, cost: running.Cost) -> running.Cost:
    what, limit = f"{notebooks.name(path)}: {action}", seconds_allowed(action, notebooks.name(path))
    if cost.cpu_seconds > limit * TOLERANCE:
        raise running.LessonFailed(
            f"{what} took {cost.cpu_seconds:.0f} s of the processor, wanted at most {TOLERANCE * limit:.0f} s"
        )
    if cost.memory_mb > MEMORY_MB:
        raise running.LessonFailed(f"{what} took {cost.memory_mb:.0f} MB, wanted at most {MEMORY_MB} MB")
    return cost


def _each(paths: list[Path], run: Callable[[Path], running.Cost], at_once: int, done: str) -> int:
    """Run every lesson; the first to fail does not keep the others from running."""
    failed = []

    def one(path: Path) -> None:
        try:
            cost = run(path)
        except running.LessonFailed as error:
            failed.append(path)
            print(f"FAILED  {error}", flush=True)
        else:
            over = f"  over {GOAL} s" if done == "stored" and cost.seconds > GOAL else ""
            print(f"{done}  {cost.seconds:6.1f} s {cost.memory_mb:6.0f} MB  {notebooks.name(path)}{over}", flush=True)

    started = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, paths))
    print(f"{len(paths)} lessons in {time.perf_counter() - started:.0f} s")
    print(f"{len(paths) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def _sweep(paths: list[Path], seeds: int, timeout: int) -> int:
    """Run each lesson with seeds 0, 1, …; print a row for each claim, and keep the counts for the status page."""
    folder = running.ROOT / "_build" / "sweep"

    def one(job: tuple[Path, int]) -> tuple[str, int, dict[str, bool]]:
        path, seed = job
        try:
            _, notebook = running.parametrised(path, seed, "laptop", folder, timeout)
        except running.LessonFailed as error:
            print(error, file=sys.stderr, flush=True)
            notebook = notebooks.read(folder / f"{notebooks.name(path)}.seed{seed}.ipynb")
        held = {id: judged for id, judged, _ in notebooks.claims(notebook)}
        print(f"ran  {notebooks.name(path)}  seed {seed}: {sum(held.values())} claims hold", flush=True)
        return notebooks.name(path), seed, held

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(one, [(path, seed) for path in paths for seed in range(seeds)]))
    short = 0
    print("\n| claim | " + " | ".join(f"seed {seed}" for seed in range(seeds)) + " |\n| --- |" + " --- |" * seeds)
    for path in paths:
        wanted = json.loads(running.MEASURED.read_text(encoding="utf-8"))[notebooks.name(path)]["claims"]
        rows = {seed: held for lesson, seed, held in results if lesson == notebooks.name(path)}
        for id in wanted:
            marks = [rows[seed].get(id, False) for seed in range(seeds)]
            short += marks.count(False)
            print(f"| {id} | " + " | ".join("✓" if mark else "✗" for mark in marks) + " |")
        everywhere = sum(all(rows[seed].get(id, False) for seed in range(seeds)) for id in wanted)
        running.merge(running.MEASURED, notebooks.name(path), {"sweep": {"seeds": seeds, "claims_held": everywhere}})
    print(f"\n{short} of the claims' runs do not hold" if short else "\nevery claim holds with every seed")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
