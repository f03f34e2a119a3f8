"""Resolve ``pyproject.toml`` into ``requirements.lock``: ``python -m tests.book.lock`` (`make lock`)."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
# What the CUDA build of torch would bring: the lock must not, since torch's own wheel asks for what it needs.
_CUDA = re.compile(r"^(nvidia-|cuda-|triton)")


def resolve() -> str:
    """The text of a lock with the newest versions that fit, for Python 3.11 on every platform."""
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--all-extras", "--universal"),
        *("--python-version", "3.11", "--no-annotate", "--no-header", "--quiet"),
    ]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    kept = dict.fromkeys(re.sub(r"^(torch==[\d.]+).*", r"\1", line) for line in lines if not _CUDA.match(line))
    return "\n".join(kept) + "\n"


if __name__ == "__main__":
    LOCK.write_text(resolve(), encoding="utf-8")
    print(f"{LOCK.name}: {len(LOCK.read_text(encoding='utf-8').splitlines())} packages")
