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

Every wait has a deadline, here and inside. A call that was interrupted leaves nothing behind: its interpreter is thrown away,
so no later call can read its reply. Threads may share a sandbox; their programs run one after the other.

What it does not do: hide the processor's timing, or protect against a hole in the kernel. And a program that runs *together*
with its test can look for the test and cheat. `Sandbox.call` is therefore the better way: the right answers stay outside.

Chen et al., "Evaluating Large Language Models Trained on Code", 2021, arXiv:2107.03374. Departure: they used gVisor and a
firewall; this uses the kernel's own filter, so that nothing has to be installed.
"""

import itertools
import json
import os
import platform
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from companion.code.sandbox.values import pack, same_value, unpack
from companion.validate import Range, checked

_CELL = Path(__file__).with_name("cell.py")
_MACHINES = ("x86_64", "aarch64")
_PATIENCE = 60.0  # seconds beyond a program's own, for an interpreter that starts on a busy machine
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

    Raises:
        ValueError: a limit that is none: not above 0, not finite, over 10⁶ seconds, 2²⁰ megabytes, 10⁹ bytes.
    """

    cpu_seconds: Annotated[float, Range(0, 1e6, open_low=True)] = 1.0
    wall_seconds: Annotated[float, Range(0, 1e6, open_low=True)] = 30.0
    memory_mb: Annotated[int, Range(64, 2**20)] = 256
    output_bytes: Annotated[int, Range(1, 10**9)] = 1_000_000


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

    def gives(self, wanted: Sequence[Any]) -> bool:
        """Whether it passed and its answers are those wanted, by value: nan is nan, and 1 is neither 1.0 nor True."""
        return self.passed and len(self.answers) == len(wanted) and all(map(same_value, self.answers, wanted))


class Sandbox:
    """A warm interpreter behind walls, which forks for each program: several hundred programs a second.

    Use it as ``with Sandbox() as sandbox: sandbox.run("print(1)")``, or call `close` at the end.

    Raises:
        SandboxUnavailable: the machine cannot confine a program.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._cell: tuple[subprocess.Popen, socket.socket, int] | None = None  # with the process that started it
        self._lock, self._calls = threading.RLock(), itertools.count()
        self.limits = limits or Limits()
        if platform.system() != "Linux" or platform.machine() not in _MACHINES:
            raise SandboxUnavailable(
                f"programs cannot be confined on {platform.system()} ({platform.machine()}): the filter on system calls "
                f"(seccomp) needs Linux on {' or '.join(_MACHINES)}; nothing was run. A virtual machine or a container has it"
            )
        self._try_the_walls()

    def run(self, source: str, *, limits: Limits | None = None) -> Outcome:
        """Run a whole program; it passes if it comes to its end.

        What it prints cannot make it pass (`companion.code.sandbox.cell`). But the program and a test inside it share one
        process: a program that is out to deceive can make the test hold, as by an object that is equal to everything.
        """
        return self._outcome({"source": source, "entry": None, "inputs": []}, limits or self.limits)

    def call(
        self, source: str, entry: str, inputs: Sequence[tuple[Any, ...]], *, limits: Limits | None = None
    ) -> Outcome:
        """Run a program, then call its function ``entry`` with each of the inputs; the answers come back for comparison.

        Inputs and answers are Python values: numbers, texts, lists and so on (`companion.code.sandbox.values`). Anything else
        a function returns is no answer but an error. `Outcome.gives` compares.

        Raises:
            ValueError: an input that is not a tuple of such values.
        """
        try:
            given = [pack(tuple(arguments)) for arguments in inputs]
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"inputs: {error}; wanted tuples of Python values, got another thing") from error
        return self._outcome({"source": source, "entry": entry, "inputs": given}, limits or self.limits)

    def close(self) -> None:
        """End the warm interpreter, and with it what it runs."""
        with self._lock:
            found, self._cell = self._cell, None
            if found is None:
                return
            cell, line, owner = found
            line.close()
            if owner == os.getpid():  # a fork of the caller has a copy of this object, and no right to end it
                cell.kill()
                cell.wait()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _try_the_walls(self) -> None:
        try:
            found = self._outcome(
                {"source": _ATTEMPTS, "entry": "attempts", "inputs": [pack(())]}, Limits(cpu_seconds=5)
            )
        except (OSError, ValueError) as error:
            self.close()
            raise SandboxUnavailable(f"the confined interpreter does not start: {error}; nothing was run") from error
        if found.answers != ([True] * 7,):
            self.close()
            raise SandboxUnavailable(
                "the kernel does not hold the filter on system calls (seccomp), as under some emulators: the trial gave "
                f"{found.status} {found.detail} {list(found.answers)}; nothing was run"
            )

    def _outcome(self, order: dict[str, Any], limits: Limits) -> Outcome:
        with self._lock:
            try:
                reply = self._ask(order, limits)
            except ConnectionError:  # the interpreter was killed from outside: another one, once
                reply = self._ask(order, limits)
        return _read(reply, expected=len(order["inputs"]))

    def _ask(self, order: dict[str, Any], limits: Limits) -> dict[str, Any]:
        """One order and its reply. Whatever goes wrong in between, the interpreter ends, and its reply with it."""
        end, number = time.monotonic() + limits.wall_seconds + _PATIENCE, next(self._calls)
        try:
            line = self._line()
            body = json.dumps(order | limits.__dict__ | {"call": number}).encode()
            _wait_until(line, end)
            line.sendall(struct.pack("<I", len(body)) + body)
            reply = json.loads(_receive(line, struct.unpack("<I", _receive(line, 4, end))[0], end))
            if reply["call"] != number:
                raise ConnectionError("the confined interpreter answers another call")
            return reply
        except TimeoutError:
            self.close()
            return {"why": "timeout", "text": "", "seconds": limits.wall_seconds + _PATIENCE}
        except BaseException:
            self.close()
            raise

    def _line(self) -> socket.socket:
        """The line to the warm interpreter of this process, which is started if there is none."""
        if self._cell is not None and self._cell[2] != os.getpid():
            self.close()
        if self._cell is None:
            ours, theirs = socket.socketpair()
            with theirs:
                cell = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-B", str(_CELL)],
                    stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={}, cwd="/",
                )  # fmt: skip
            self._cell = cell, ours, os.getpid()
        return self._cell[1]


def _wait_until(line: socket.socket, end: float) -> None:
    """Let the next wait on the line end then, with `TimeoutError`."""
    line.settimeout(max(1e-3, end - time.monotonic()))


def _receive(line: socket.socket, size: int, end: float) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        _wait_until(line, end)
        part = line.recv(size - len(parts))
        if not part:
            raise ConnectionError("the confined interpreter ended")
        parts += part
    return bytes(parts)


def _read(reply: dict[str, Any], expected: int) -> Outcome:
    """The verdict from what the cell saw: first what it knows itself, then what the program's process said."""
    status, detail, answers = "crashed", "", ()
    if reply["why"] is not None:
        status = reply["why"]
    elif reply["signal"] in (27, 24):  # SIGPROF, SIGXCPU
        status = "cpu"
    elif reply["code"] == 70:
        raise OSError("the walls could not be put up, so the program was not run")
    elif (reply["ended"] or reply["failed"]) and not reply["signal"] and (said := _said(reply["said"])) is not None:
        detail = str(said.get("error") or "")
        status = "passed" if reply["ended"] else "memory" if detail.startswith("MemoryError") else "error"
        answers = tuple(map(_value, said.get("answers") or [])) if reply["ended"] else ()
        if len(answers) != expected and reply["ended"]:
            status, detail = "crashed", f"{len(answers)} answers for {expected} inputs"
    return Outcome(status, detail, reply["text"], answers, reply["seconds"])


def _said(text: str) -> dict | None:
    """What the program's process said of its end, if it is of the form that was asked for."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    good = isinstance(said, dict) and isinstance(said.get("answers"), list)
    return said if good and all(isinstance(pair, list) and len(pair) == 2 for pair in said["answers"]) else None


def _value(pair: list) -> Any:
    kind, content = pair
    if kind != "value":
        return RuntimeError(str(content))
    try:
        return unpack(content)
    except (ValueError, RecursionError) as error:
        return RuntimeError(str(error))
