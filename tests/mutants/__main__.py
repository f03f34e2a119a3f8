"""Do the tests notice? ``python -m tests.mutants --module companion/nn/norms.py``, or ``--sample 300 --seed 0``.

A module's mutants are all tried, or a sample of them; a sample of the package is kept for the status page (`make mutants`).
With ``--again`` the survivors that are kept are tried once more: after new tests only they can have changed. With
``--marks "not built_book"`` the slow tests are asked too.
"""

import argparse
import json
import queue
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants import running
from tests.mutants.mutations import Mutant, modules, mutants, sample
from tests.mutants.running import ROOT, Result, files_that_test

KEPT = ROOT / "book" / "mutants.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.split("\n")[0])
    parser.add_argument("--module", nargs="+", help="only of these files, such as companion/nn/norms.py")
    parser.add_argument("--sample", type=int, help="so many places, each with one mutant; all of a module if not given")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--again", action="store_true", help="the survivors of the last sample")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--marks", default="not slow and not built_book", help="which tests, as for pytest's -m")
    asked = parser.parse_args()
    if asked.again:
        return again(asked.jobs, asked.marks)
    if not asked.module and not asked.sample:
        parser.error("got neither --module, --sample nor --again, wanted one of them")
    chosen = [Path(path).as_posix() for path in asked.module or modules(ROOT)]
    found = [one for path in chosen for one in mutants(path, (ROOT / path).read_text(encoding="utf-8"))]
    if asked.sample:
        found = sample(found, asked.sample, asked.seed)
    results = try_all(found, asked.jobs, asked.marks)
    print(report(results))
    if not asked.module:
        keep(results, asked.seed)
    return 0


def try_all(found: list[Mutant], jobs: int, marks: str) -> list[Result]:
    """Every mutant's result, in their order; so many at a time."""
    files = {path: files_that_test(path) for path in sorted({one.path for one in found})}
    copy = running.copy_project()
    print(f"{len(found)} mutants of {len(files)} modules; first the tests without any", flush=True)
    tests = sorted({name for names in files.values() for name in names})
    seconds = running.baseline(copy, tests, jobs, marks)
    staff = running.workers(copy, jobs, seconds, marks)
    free: queue.SimpleQueue[running.Worker] = queue.SimpleQueue()
    for worker in staff:
        free.put(worker)
    started = time.monotonic()

    def one(mutant: Mutant) -> Result:
        worker, names = free.get(), files[mutant.path]
        try:
            result = running.run(mutant, worker, names, sum(seconds.get(name, 0.0) for name in names), marks)
        finally:
            free.put(worker)
        print(f"{result.outcome:9} {result.seconds:5.1f} s  {mutant.path}:{mutant.line}  {mutant.operator}", flush=True)
        return result

    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(one, found))
    for worker in staff:
        worker.close()
    print(f"{time.monotonic() - started:.0f} s, {sum(result.seconds for result in results):.0f} s of the processor")
    return results


def again(jobs: int, marks: str, file: Path = KEPT) -> int:
    """Try the kept survivors once more, and take those that die now out of the table, as those whose line has changed."""
    table = json.loads(file.read_text(encoding="utf-8"))
    found = {key(row): mutant for row in table["survivors"] if (mutant := mutant_of(row))}
    results = try_all(list(found.values()), jobs, marks)
    print(report(results))
    killed = {(result.mutant.path, result.diff) for result in results if result.outcome == "killed"}
    for row in table["survivors"]:
        for room in (room_of(row["path"]), "all"):
            table["rooms"][room]["killed"] += key(row) in killed
            table["rooms"][room]["mutants"] -= key(row) not in found
    table["survivors"] = [row for row in table["survivors"] if key(row) in found and key(row) not in killed]
    table["run"] = time.strftime("%Y-%m-%d")
    write(table, file)
    return 0


def mutant_of(row: dict) -> Mutant | None:
    """The mutant that makes a row's change, the nearest to its line; None where the module has that line no longer."""
    file = ROOT / row["path"]
    if not file.is_file():
        return None
    source = file.read_text(encoding="utf-8")
    removed = {line[1:] for line in row["diff"].splitlines() if line.startswith("-")}
    lines = source.split("\n")
    likely = [one for one in mutants(row["path"], source) if lines[one.line - 1] in removed]
    likely.sort(key=lambda one: abs(one.line - row["line"]))
    return next((one for one in likely if running.difference(source, one.apply(source)) == row["diff"]), None)


def key(row: dict[str, str]) -> tuple[str, str]:
    """What makes a row of the table the same mutant, wherever its line stands by now."""
    return row["path"], row["diff"]


def room_of(path: str) -> str:
    """The package's folder of a module, or the module itself where it lies in none."""
    return "/".join(Path(path).parts[:2])


def report(results: list[Result]) -> str:
    """What survived, with place and change, and the rate of each module."""
    lines = [
        f"\n{result.mutant.path}:{result.mutant.line}  {result.outcome}\n{result.diff}"
        for result in results
        if result.outcome != "killed"
    ]
    rates = [f"{killed:4} of {total:4} killed  {path}" for path, (killed, total) in rates_by(results, "path").items()]
    return "\n".join([*lines, "", *rates])


def rates_by(results: Iterable[Result], by: str) -> dict[str, tuple[int, int]]:
    """Killed and all, for each module (``path``) or room (``room``), and at last for all of them."""
    killed, total = Counter(), Counter()
    for result in results:
        name = result.mutant.path if by == "path" else room_of(result.mutant.path)
        for group in (name, "all"):
            total[group] += 1
            killed[group] += result.outcome == "killed"
    return {name: (killed[name], total[name]) for name in sorted(total, key=lambda name: (name == "all", name))}


def keep(results: list[Result], seed: int, file: Path = KEPT) -> None:
    """Write the table of the status page; what a person has written under ``why`` stays with its survivor."""
    before = json.loads(file.read_text(encoding="utf-8"))["survivors"] if file.is_file() else []
    why = {key(row): row["why"] for row in before}
    table = {
        "run": time.strftime("%Y-%m-%d"),
        "seed": seed,
        "rooms": {
            name: {"killed": killed, "mutants": total} for name, (killed, total) in rates_by(results, "room").items()
        },
        "survivors": [
            {
                "path": result.mutant.path,
                "line": result.mutant.line,
                "diff": result.diff,
                "why": why.get((result.mutant.path, result.diff), ""),
            }
            for result in results
            if result.outcome != "killed"
        ],
    }
    write(table, file)


def write(table: dict, file: Path) -> None:
    """The table as a file."""
    file.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
