"""Run the benchmarks and keep their ratios for the status page: ``python -m tests.benchmarks`` (`make bench`)."""

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
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        # Without the test suite's options: its run-time shape checks would be timed with our side, and only with ours.
        command = [
            *(sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-o", "addopts=", "-o", "filterwarnings=default"),
            *(
                "-o",
                "timeout=0",
                f"--benchmark-json={report}",
                *sorted(map(str, ROOT.glob("tests/benchmarks/bench_*.py"))),
            ),
        ]
        failed = subprocess.run(command, cwd=ROOT, env={**os.environ, "TQDM_DISABLE": "1"}).returncode
        if failed:
            return failed
        measured = json.loads(report.read_text(encoding="utf-8"))["benchmarks"]
    rows = [row["extra_info"] for row in measured]
    KEPT.write_text(json.dumps({"run": time.strftime("%Y-%m-%d"), "rows": rows}, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        mark = "" if row["ratio"] >= row["wanted"] else f"  (wanted {row['wanted']})"
        print(f"{row['ratio']:5.2f} × {row['against']:15} {row['low']:5.2f}–{row['high']:.2f}  {row['what']}{mark}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
