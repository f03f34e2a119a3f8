"""Run code that a model wrote, so that it can do nothing but compute.

A program from a language model may contain anything, by accident or by imitation: it may delete files, open connections,
fill the memory, never end. Chen et al. (2021, section 2.3) built a sandbox before they ran a single sample. This one stands on
three walls, all of them the operating system's, not Python's:

1. **a filter on system calls** (Linux, seccomp): no file can be opened, no connection made, no process started, no signal
   sent; each attempt is refused and becomes an ordinary Python error (`companion.code.sandbox.cell` lists what is left),
2. **limits**: processor time, memory, output,
3. **a clock outside**: a process that does not end is killed.

It needs Linux on x86-64 or 64-bit ARM and no privileges. Where the walls cannot be had, `Sandbox` refuses to start, and it
tries them each time before it runs anything. The caller's environment (its variables, its open files) never reaches a program.

What it does not do: hide the processor's timing, or protect against a hole in the kernel. And a program that runs *together*
with its test can look for the test and cheat. `Sandbox.call` is therefore the better way: the right answers stay outside.

Chen et al., "Evaluating Large Language Models Trained on Code", 2021, arXiv:2107.03374. Departure: they used gVisor and a
firewall; this uses the kernel's own filter, so that nothing has to be installed.
"""

import ast
import contextlib
import json
import platform
import secrets
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from companion.validate import Count, Positive, Range, checked

_CELL = Path(__file__).with_name("cell.py")
_MACHINES = ("x86_64", "aarch64")
# One attempt for each wall; each must fail, and the program must live to say so.
_ATTEMPTS = """
def attempts():
    import io, os
    import _socket
    def refused(f):
        try:
            f()
        except OSError as error:
            return error.errno == 1
        return False
    return [refused(f) for f in (
        lambda: io.open("/etc/hostname"), lambda: io.open("/tmp/companion-probe", "w"), lambda: os.listdir("/"),
        lambda: _socket.socket(), os.fork, lambda: os.kill(os.getppid(), 0), lambda: os.execv("/bin/true", ["true"]),
    )]
"""


class SandboxUnavailable(OSError):
    """This machine cannot confine a program, so none is run; the message says what is missing."""


@checked
@dataclass(frozen=True)
class Limits:
    """What one program may use up.

    Attributes:
        cpu_seconds: processor time; what counts for an endless loop.
        wall_seconds: time on the clock; what counts for a program that waits. Larger, since a machine may be busy.
        memory_mb: address space, the interpreter's own 60 MB or so included.
        output_bytes: what it may print, with its answers.
    """

    cpu_seconds: Positive = 1.0
    wall_seconds: Positive = 30.0
    memory_mb: Annotated[int, Range(64)] = 256
    output_bytes: Count = 1_000_000


@dataclass(frozen=True)
class Outcome:
    """What became of a program.

    Attributes:
        status: ``"passed"`` (it came to its end), ``"error"`` (a Python error), ``"cpu"``, ``"timeout"``, ``"memory"``,
            ``"output"`` (a limit was reached), ``"crashed"`` (the process ended by itself before the program did).
        detail: the error's kind and words, if there is one.
        output: what it printed.
        answers: for `Sandbox.call`: for each input the value, or an `Exception` that was raised.
        seconds: on the clock, from order to verdict.
    """

    status: str
    detail: str
    output: str
    answers: tuple[Any, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the program came to its end."""
        return self.status == "passed"


class Sandbox:
    """A warm interpreter behind walls, which forks for each program: several hundred programs a second.

    Use it as ``with Sandbox() as sandbox: sandbox.run("print(1)")``, or call `close` at the end.

    Raises:
        SandboxUnavailable: the machine cannot confine a program.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._cell: subprocess.Popen | None = None
        if platform.system() != "Linux" or platform.machine() not in _MACHINES:
            raise SandboxUnavailable(
                f"programs cannot be confined on {platform.system()} ({platform.machine()}): the filter on system calls "
                f"(seccomp) needs Linux on {' or '.join(_MACHINES)}; nothing was run. A virtual machine or a container has it"
            )
        self._try_the_walls()

    def run(self, source: str, *, limits: Limits | None = None) -> Outcome:
        """Run a whole program; it passes if it comes to its end.

        The program and what checks it share one process, so a program that is out to deceive can look as if it had passed.
        """
        return self._outcome({"source": source, "entry": None, "inputs": []}, limits or self.limits)

    def call(
        self, source: str, entry: str, inputs: Sequence[tuple[Any, ...]], *, limits: Limits | None = None
    ) -> Outcome:
        """Run a program, then call its function ``entry`` with each of the inputs; the answers come back for comparison.

        Inputs and answers are Python literals (numbers, strings, lists, …). Anything else a function returns is no answer
        but an error.

        Raises:
            ValueError: an input that is not a tuple of literals.
        """
        given = [repr(tuple(arguments)) for arguments in inputs]
        for text in given:
            if _literal(text) is None:
                raise ValueError(f"inputs: got {text[:80]}, wanted tuples of Python literals")
        return self._outcome({"source": source, "entry": entry, "inputs": given}, limits or self.limits)

    def close(self) -> None:
        """End the warm interpreter."""
        cell, self._cell = self._cell, None
        if cell is not None:
            cell.kill()
            cell.wait()
            cell.stdout.close()
            with contextlib.suppress(BrokenPipeError):  # a message to one that no longer reads
                cell.stdin.close()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _try_the_walls(self) -> None:
        try:
            found = self._outcome({"source": _ATTEMPTS, "entry": "attempts", "inputs": ["()"]}, Limits(cpu_seconds=5))
        except (OSError, EOFError, ValueError) as error:
            self.close()
            raise SandboxUnavailable(f"the confined interpreter does not start: {error}; nothing was run") from error
        if found.answers != ([True] * 7,):
            self.close()
            raise SandboxUnavailable(
                "the kernel does not hold the filter on system calls (seccomp), as under some emulators: the trial gave "
                f"{found.status} {found.detail} {list(found.answers)}; nothing was run"
            )

    def _outcome(self, order: dict[str, Any], limits: Limits) -> Outcome:
        mark = f"\0{secrets.token_hex(16)}\0"
        message = {**order, "mark": mark, **limits.__dict__}
        try:
            reply = self._ask(message)
        except (BrokenPipeError, EOFError):  # the interpreter was killed from outside: start another, once
            self.close()
            reply = self._ask(message)
        return _read(reply, expected=len(order["inputs"]))

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        if self._cell is None:
            self._cell = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", str(_CELL)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}, cwd="/",
            )  # fmt: skip
        body = json.dumps(message).encode()
        self._cell.stdin.write(struct.pack("<I", len(body)) + body)
        self._cell.stdin.flush()
        head = self._cell.stdout.read(4)
        if len(head) < 4:
            raise EOFError("the confined interpreter ended")
        return json.loads(self._cell.stdout.read(struct.unpack("<I", head)[0]))


def _read(reply: dict[str, Any], expected: int) -> Outcome:
    """The verdict from what the cell saw: first what it knows itself, then what the program's process said."""
    status, detail, answers = "crashed", "", ()
    if reply["why"] is not None:
        status = reply["why"]
    elif reply["signal"] in (27, 24):  # SIGPROF, SIGXCPU
        status = "cpu"
    elif reply["code"] == 70:
        raise OSError("the walls could not be put up, so the program was not run")
    elif reply["verdict"] and not reply["signal"]:
        said = _said(reply["verdict"])
        if said is not None:
            detail = str(said.get("error") or "")
            status = "memory" if detail.startswith("MemoryError") else "error" if detail else "passed"
            answers = tuple(_value(pair) for pair in said.get("answers") or [])
            if status == "passed" and len(answers) != expected:
                status, detail = "crashed", f"{len(answers)} answers for {expected} inputs"
    return Outcome(status, detail, reply["text"], answers, reply["seconds"])


def _said(verdict: str) -> dict | None:
    try:
        said = json.loads(verdict)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _value(pair: Any) -> Any:
    kind, text = pair
    if kind == "error":
        return RuntimeError(text)
    literal = _literal(text)
    return RuntimeError(f"not a literal: {text[:80]}") if literal is None else literal[0]


def _literal(text: str) -> tuple[Any] | None:
    """The value of a literal, in a tuple of its own so that None can be told from failure."""
    try:
        return (ast.literal_eval(text),)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
