"""Run the benchmarks and keep what they measure for the status page: ``python -m tests.benchmarks [NAME]`` (`make bench`).

With a name only the files whose names contain it are run, and only their rows are replaced.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "book" / "benchmarks.json"


def main() -> int:
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        # Without the test suite's options: its run-time shape checks would be timed with our side, and only with ours.
        command = [
            *(sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-o", "addopts=", "-o", "filterwarnings=default"),
            *(
                "-o",
                "timeout=0",
                f"--benchmark-json={report}",
                *sorted(str(file) for file in ROOT.glob("tests/benchmarks/bench_*.py") if only in file.name),
            ),
        ]
        failed = subprocess.run(command, cwd=ROOT, env={**os.environ, "TQDM_DISABLE": "1"}).returncode
        if failed:
            return failed
        measured = json.loads(report.read_text(encoding="utf-8"))["benchmarks"]
    rows = [row["extra_info"] for row in measured]
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if only else {"rows": [], "quality": []}
    for kind, key in (("rows", "ratio"), ("quality", "lower")):
        new = [row for row in rows if key in row]
        same = {(row["what"], row["against"]) for row in new}
        kept[kind] = [row for row in kept.get(kind, []) if (row["what"], row["against"]) not in same] + new
    kept["run"] = time.strftime("%Y-%m-%d")
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        measure = "ratio" if "ratio" in row else "lower"
        mark = "" if row[measure] >= row["wanted"] else f"  (wanted {row['wanted']})"
        how = (
            f"{row['ratio']:5.2f} × {row['low']:5.2f}–{row['high']:.2f}"
            if measure == "ratio"
            else f"{row['lower']:5.3f} nats lower, {row['low']:.3f}–{row['high']:.3f}"
        )
        print(f"{how}  {row['against']:15} {row['what']}{mark}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
