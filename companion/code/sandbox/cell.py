"""A program of its own: runs programs that nobody has read, each in a fresh process behind the kernel's walls.

`companion.code.sandbox` starts it with nothing but the standard library and an empty environment. It imports what the programs
may use, tries the walls once, and then waits. For each order it forks. The child closes what it does not need, sets its limits,
and asks the kernel for a filter (seccomp) that no process can take off again: of some 350 system calls, those few stay that a
computation needs. There is no call to open a file among them, none to make a socket, a process or a thread, none to send a
signal. So what the program may read is what this process had in its memory: the modules below and its own text.

The protocol, in both directions: the length as four bytes, then JSON.
"""

import ctypes
import errno
import gc
import json
import os
import platform
import resource
import select
import signal
import struct
import sys
import time
import types
from ast import literal_eval
from importlib import import_module

# What a program may import: it cannot open a file, so it finds what is already here. The last is for the trial of the walls.
_MODULES = (
    "bisect cmath collections contextlib copy dataclasses datetime decimal enum fractions functools hashlib heapq itertools "
    "math numbers operator random re statistics string textwrap traceback typing _socket"
)
# What a computation needs: memory, time, its pipe, its own end. Numbers of x86-64, of 64-bit ARM.
_ALLOWED = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigreturn": (15, 139), "sched_yield": (24, 124),
    "mremap": (25, 216), "madvise": (28, 233), "nanosleep": (35, 101), "getpid": (39, 172), "exit": (60, 93),
    "gettimeofday": (96, 169), "sysinfo": (99, 179), "futex": (202, 98), "restart_syscall": (219, 128),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "getrandom": (318, 278),
}  # fmt: skip
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH of linux/audit.h
_SET_DEATH_SIGNAL, _SET_SECCOMP, _SET_NO_NEW_PRIVILEGES, _FILTER = 1, 22, 38, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_X32 = 0x40000000  # system calls of x86-64's other interface carry this bit


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def filter_code(machine: str) -> bytes:
    """The filter as instructions of the kernel's packet filter: 8 bytes each (operation, two jumps, a number)."""
    column, architecture = _MACHINES[machine]
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    for number in sorted(pair[column] for pair in _ALLOWED.values()):
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("<HBBI", *step) for step in [*code, (_RETURN, 0, 0, _REFUSE)])


_LIBC = ctypes.CDLL(None, use_errno=True)
_CODE = filter_code(platform.machine())
_ORDER = _Filter(len(_CODE) // 8, _CODE)


def wall() -> None:
    """Put the filter on this process, for ever. Raises `OSError` where the kernel does not do it."""
    if _LIBC.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS) is refused")
    if _LIBC.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(_ORDER), 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP) is refused")


def limit(order: dict) -> None:
    """Limits on what the process may use up: processor time, memory, files, core dumps."""
    megabyte = 2**20
    seconds = int(order["cpu_seconds"]) + 1
    sizes = {
        resource.RLIMIT_AS: order["memory_mb"] * megabyte, resource.RLIMIT_CPU: seconds, resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0, resource.RLIMIT_NPROC: 0, resource.RLIMIT_NOFILE: 3,
    }  # fmt: skip
    for name, size in sizes.items():
        resource.setrlimit(name, (size, size))
    signal.setitimer(signal.ITIMER_PROF, order["cpu_seconds"])  # to the millisecond; its signal ends the process


def inmate(order: dict, out: int) -> None:
    """Run one program in this process and end it. What it prints goes to the pipe, then the mark, then how it went."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.closerange(2, 1024)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    stream = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = stream
    sys.path[:], sys.argv[:] = [], ["program"]
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    limit(order)
    wall()
    mark, answers, error = order["mark"], None, None
    try:
        exec(compile(order["source"], "program", "exec"), module.__dict__)
        if order["entry"] is not None:
            answers = [answer(module.__dict__[order["entry"]], given) for given in order["inputs"]]
    except BaseException as caught:  # noqa: BLE001  even SystemExit: the program decides nothing about its verdict
        error = describe(caught)
    try:
        stream.flush()
        os.write(1, f"{mark}{json.dumps({'error': error, 'answers': answers})}".encode())
    finally:
        os._exit(0)


def answer(function, given: str) -> list:
    """What the function gives for one input, as text: ["value", text] or ["error", text]."""
    try:
        return ["value", repr(function(*literal_eval(given)))[:100_000]]
    except Exception as caught:  # noqa: BLE001  whatever it is, it is the answer
        return ["error", describe(caught)]


def describe(caught: BaseException) -> str:
    """An error's kind and words, short; even if its words are themselves an error."""
    try:
        return f"{type(caught).__name__}: {str(caught)[:300]}"
    except BaseException:  # noqa: BLE001
        return type(caught).__name__


def serve(order: dict) -> dict:
    """Fork, wait, and tell what became of the program; it is killed when its time or its output is used up."""
    started = time.monotonic()
    inward, outward = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            inmate(order, outward)
        finally:
            os._exit(70)  # the walls could not be put up: the program has not run
    os.close(outward)
    heard, why, end = bytearray(), None, started + order["wall_seconds"]
    while why is None:
        if not select.select([inward], [], [], max(0.0, end - time.monotonic()))[0]:
            why = "timeout"
        elif not (part := os.read(inward, 65_536)):
            break
        else:
            heard += part
            why = "output" if len(heard) > order["output_bytes"] else None
    if why is not None:
        os.kill(child, signal.SIGKILL)
    os.close(inward)
    state = os.waitpid(child, 0)[1]
    text, _, verdict = bytes(heard).partition(order["mark"].encode())
    return {
        "why": why, "signal": os.WTERMSIG(state) if os.WIFSIGNALED(state) else 0, "text": text.decode(errors="replace"),
        "code": os.WEXITSTATUS(state) if os.WIFEXITED(state) else 0, "verdict": verdict.decode(errors="replace"),
        "seconds": time.monotonic() - started,
    }  # fmt: skip


def receive() -> dict | None:
    """The next order from standard input; None when nobody is there any more."""
    head = sys.stdin.buffer.read(4)
    if len(head) < 4:
        return None
    return json.loads(sys.stdin.buffer.read(struct.unpack("<I", head)[0]))


def send(message: dict) -> None:
    """A message to standard output."""
    body = json.dumps(message).encode()
    sys.stdout.buffer.write(struct.pack("<I", len(body)) + body)
    sys.stdout.buffer.flush()


def main() -> None:
    """Serve orders until standard input ends."""
    _LIBC.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # never outlive the parent
    for name in _MODULES.split():
        import_module(name)
    json.loads(json.dumps({"warm": [1.5, None]}))
    gc.freeze()  # what is here already need not be looked at, and so copied, in each child
    while (order := receive()) is not None:
        send(serve(order))


if __name__ == "__main__":
    main()
