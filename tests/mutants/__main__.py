"""Do the tests notice? ``python -m tests.mutants --module companion/nn/norms.py``, or ``--sample 300 --seed 0``.

A module's mutants are all tried, or a sample of them; a sample of the package is kept for the status page (`make mutants`).
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
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--marks", default="not slow and not built_book", help="which tests, as for pytest's -m")
    asked = parser.parse_args()
    if not asked.module and not asked.sample:
        parser.error("got neither --module nor --sample, wanted one of them")
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


def report(results: list[Result]) -> str:
    """What survived, with place and change, and the rate of each module."""
    lines = [
        f"\n{result.mutant.path}:{result.mutant.line}  {result.outcome}\n{result.diff}"
        for result in results
        if result.outcome != "killed"
    ]
    rates = [f"{killed:4} of {total:4} killed  {path}" for path, (killed, total) in rates_by(results, "path").items()]
    return "\n".join([*lines, "", *rates])


def rates_by(results: Iterable[Result], key: str) -> dict[str, tuple[int, int]]:
    """Killed and all, for each module (``path``) or room (``room``), and at last for all of them."""
    killed, total = Counter(), Counter()
    for result in results:
        name = result.mutant.path if key == "path" else "/".join(Path(result.mutant.path).parts[:2])
        for group in (name, "all"):
            total[group] += 1
            killed[group] += result.outcome == "killed"
    return {name: (killed[name], total[name]) for name in sorted(total, key=lambda name: (name == "all", name))}


def keep(results: list[Result], seed: int, file: Path = KEPT) -> None:
    """Write the table of the status page; what a person has written under ``why`` stays with its survivor."""
    before = json.loads(file.read_text(encoding="utf-8"))["survivors"] if file.is_file() else []
    why = {(row["path"], row["diff"]): row["why"] for row in before}
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
    file.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
