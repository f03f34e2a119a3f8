"""A program of its own: runs programs that nobody has read, each in a fresh process behind the kernel's walls.

`companion.code.sandbox` starts it with nothing but the standard library and an empty environment. It imports what the programs
may use, tries the walls once, and then waits. For each order it forks. The child closes what it does not need, sets its limits,
and asks the kernel for a filter (seccomp) that no process can take off again: of some 350 system calls, those few stay that a
computation needs. There is no call to open a file among them, none to make a socket, a process or a thread, none to send a
signal. So what the program may read is what this process had in its memory: the modules below and its own text.

The protocol, in both directions over one socket (standard input): the length as four bytes, then JSON.

**The verdict** has a pipe of its own, and counts only with a secret that the cell makes up after the fork. The child reads it
before the program starts, and it lies on the interpreter's stack, behind no name, until the program has ended: the program
finds it in no frame and no object, so what it prints or writes, to whatever pipe, is no verdict. Against one that searches raw
memory (by `ctypes`) only `Sandbox.call` helps, where the right answers are not in this process at all.
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
from importlib import import_module

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from values import pack, unpack

del sys.path[0]

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
_SECRET, _VERDICT, _LENGTH = 2, 3, 16  # the child's end of two pipes, and how many bytes a secret has
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
        most = resource.getrlimit(name)[1]  # the machine's own limit may be lower
        size = size if most == resource.RLIM_INFINITY else min(size, most)
        resource.setrlimit(name, (size, size))
    # To the millisecond; its signal ends the process. A timer of less than a microsecond would never ring.
    signal.setitimer(signal.ITIMER_PROF, max(order["cpu_seconds"], 1e-6))


def inmate(order: dict, output: int, verdict: int, secret: int) -> None:
    """Run one program in this process and end it: what it prints goes to one pipe, how it went to another."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(secret, _SECRET)
    os.dup2(verdict, _VERDICT)
    os.closerange(_VERDICT + 1, 1024)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    stream = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = stream
    sys.path[:], sys.argv[:] = [], ["program"]
    del sys.settrace  # it could make another line than the next one of this file be executed
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    limit(order)
    wall()
    answers, errors = [], []
    try:
        # In this order: the secret to the stack, then the program. Which of two constants follows, it cannot change.
        os.write(_VERDICT, take_secret() + (b"passed" if ended(order, module.__dict__, answers, errors) else b"failed"))
        stream.flush()
        os.write(
            1, b""
        )  # an error if the program closed its output: what it printed may be lost, and it did not end well
        said = {"error": describe(errors[0]) if errors else None, "answers": answers}
        os.write(_VERDICT, json.dumps(said).encode())
    finally:
        os._exit(0)


def take_secret() -> bytes:
    """The secret of this program's verdict; it can be read once."""
    secret = os.read(_SECRET, _LENGTH)
    os.close(_SECRET)
    return secret


def ended(order: dict, names: dict, answers: list, errors: list) -> bool:
    """Run the program, then its function on each input, and tell whether it came to its end; even SystemExit is none."""
    try:
        exec(compile(order["source"], "program", "exec"), names)
        if order["entry"] is not None:
            answers += [answer(names[order["entry"]], given) for given in order["inputs"]]
    except BaseException as caught:  # noqa: BLE001  the program decides nothing about its verdict
        errors.append(caught)
        return False
    return True


def answer(function, given) -> list:
    """What the function gives for one input: ["value", packed] or ["error", text]."""
    try:
        return ["value", pack(function(*unpack(given)))]
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
    end, cell = started + order["wall_seconds"], os.getpid()
    (output, to_output), (verdict, to_verdict), (from_secret, to_secret) = os.pipe(), os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _LIBC.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # never outlive the cell
            if os.getppid() == cell:
                inmate(order, to_output, to_verdict, from_secret)
        finally:
            os._exit(70)  # the walls could not be put up: the program has not run
    secret = os.urandom(_LENGTH)  # after the fork, so that it is not in the child's memory
    os.write(to_secret, secret)
    for used in (to_output, to_verdict, from_secret, to_secret):
        os.close(used)
    heard, why = listen((output, verdict), end, order["output_bytes"])
    state = None if why else wait(child, end)
    if state is None:
        why = why or "timeout"
        os.kill(child, signal.SIGKILL)
        state = os.waitpid(child, 0)[1]
    os.close(output)
    os.close(verdict)
    said = heard[verdict]
    return {
        "why": why, "signal": os.WTERMSIG(state) if os.WIFSIGNALED(state) else 0,
        "code": os.WEXITSTATUS(state) if os.WIFEXITED(state) else 0, "text": heard[output].decode(errors="replace"),
        "ended": said.startswith(secret + b"passed"), "failed": said.startswith(secret + b"failed"),
        "said": said[_LENGTH + len(b"passed") :].decode(errors="replace"), "seconds": time.monotonic() - started,
    }  # fmt: skip


def listen(pipes: tuple, end: float, most: int) -> tuple:
    """What comes through the pipes until all are closed, and why the listening stopped before, if it did."""
    heard = {pipe: bytearray() for pipe in pipes}
    still = set(pipes)
    while still:
        ready = select.select([*still, 0], [], [], max(0.0, end - time.monotonic()))[0]
        if not ready or time.monotonic() > end:
            return heard, "timeout"
        if 0 in ready:  # nobody sends an order before the reply to the last: the caller is gone
            return heard, "alone"
        for pipe in ready:
            part = os.read(pipe, 65_536)
            heard[pipe] += part
            if not part:
                still.discard(pipe)
        if sum(map(len, heard.values())) > most:
            return heard, "output"
    return heard, None


def wait(child: int, end: float) -> "int | None":
    """How the child ended, or None if it is still there when its time is up: it may have closed its pipes and gone to sleep."""
    while (found := os.waitpid(child, os.WNOHANG))[0] == 0:
        left = end - time.monotonic()
        if left <= 0:
            return None
        signal.sigtimedwait({signal.SIGCHLD}, left)
    return found[1]


def receive() -> "dict | None":
    """The next order; None when nobody is there any more."""
    head = read(4)
    body = read(struct.unpack("<I", head)[0]) if len(head) == 4 else b""
    return json.loads(body) if body else None


def read(size: int) -> bytes:
    """So many bytes of the socket; fewer if it is closed."""
    parts = b""
    while len(parts) < size and (part := os.read(0, size - len(parts))):
        parts += part
    return parts


def send(message: dict) -> None:
    """A message through the socket."""
    body = json.dumps(message).encode()
    left = memoryview(struct.pack("<I", len(body)) + body)
    while left:
        left = left[os.write(0, left) :]


def main() -> None:
    """Serve orders until standard input ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # `wait` asks for it
    for name in _MODULES.split():
        import_module(name)
    unpack(json.loads(json.dumps(pack({"warm": [1.5, None]}))))
    gc.freeze()  # what is here already need not be looked at, and so copied, in each child
    while (order := receive()) is not None:
        send({"call": order["call"]} | serve(order))


if __name__ == "__main__":
    main()
