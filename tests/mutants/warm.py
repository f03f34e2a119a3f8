"""A process that has imported what the tests need from outside, and forks for each run of pytest: imports are paid for once.

Nothing of the project is imported here and nothing is computed, so a fork starts as clean as a fresh process would, and what a
mutant does to it ends with it. The first line of standard input lists the imports; then a line of JSON for each run,
``{"arguments": [of pytest], "cpu": seconds, "memory": bytes, "wall": seconds}``; answered with ``{"code": exit code,
"seconds": of the processor}``.
"""

import contextlib
import importlib
import json
import os
import resource
import sys
import time

WAITED_FOR_EVER = 124


def main() -> None:
    sys.path[0] = os.getcwd()  # as for python -m pytest
    warm_up(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        code, seconds = fork(**json.loads(line))
        print(json.dumps({"code": code, "seconds": seconds}), flush=True)


def warm_up(names: list[str]) -> None:
    """Import modules and names of modules (``transformers.GPT2Model``); what cannot be imported is left to the tests."""
    for name in names:
        module, _, attribute = name.rpartition(".")
        with contextlib.suppress(Exception):
            if module:
                getattr(importlib.import_module(module), attribute)
            else:
                importlib.import_module(attribute)


def fork(arguments: list[str], cpu: int, memory: int, wall: float) -> tuple[int, float]:
    """The exit code of one run in a child, and its processor's seconds."""
    child = os.fork()
    if child == 0:
        run_pytest(arguments, cpu, memory)
    end, rest = time.monotonic() + wall, 0.01
    while time.monotonic() < end:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        time.sleep(rest)
    os.killpg(child, 9)
    os.waitpid(child, 0)
    return WAITED_FOR_EVER, 0.0


def run_pytest(arguments: list[str], cpu: int, memory: int) -> None:
    """Become the run: a group of its own, silent, held to its limits. Does not return."""
    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        import pytest

        code = int(pytest.main(arguments))
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
