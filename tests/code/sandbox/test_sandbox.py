"""The sandbox: each way out is really tried, each limit really reached, and a right program passes.

Every program here is run for real. The attempts go through Python and, where Python might have stopped them by itself, through
the C library as well, since a model may write `ctypes` too.
"""

import os
import platform
import signal
import socket
import textwrap
import time
from pathlib import Path

import pytest

from companion.code.sandbox import Limits, Sandbox, SandboxUnavailable
from companion.code.sandbox import sandbox as sandbox_module
from companion.data import human_eval
from tests.conftest import rejects

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="programs can be confined on Linux alone; elsewhere the sandbox refuses (tested below by name)",
)


@pytest.fixture(scope="module")
def box():
    with Sandbox() as sandbox:
        yield sandbox


def run(box, program: str, **limits):
    return box.run(textwrap.dedent(program), limits=Limits(**limits) if limits else None)


def test_a_right_program_passes_and_its_output_is_seen(box) -> None:
    outcome = run(box, "import math, re, itertools, collections, heapq\nprint(math.comb(5, 2), 'ü')")
    assert outcome.passed and outcome.output == "10 ü\n" and outcome.seconds > 0


def test_a_wrong_program_fails_with_its_error(box) -> None:
    outcome = run(box, "assert 1 == 2, 'no'")
    assert outcome.status == "error" and outcome.detail == "AssertionError: no"
    assert run(box, "def f(:").detail.startswith("SyntaxError")


def test_call_brings_answers_back_as_values(box) -> None:
    outcome = box.call(
        "def f(x, y=1):\n    return [x, y, (None, {'a': 1.5})]", "f", [(1,), ("zwei", 2), (), ([1, {2}], b"3")]
    )
    assert outcome.passed and outcome.answers[0] == [1, 1, (None, {"a": 1.5})]
    assert outcome.answers[1][:2] == ["zwei", 2] and outcome.answers[3][:2] == [[1, {2}], b"3"]
    assert isinstance(outcome.answers[2], RuntimeError) and "TypeError" in str(outcome.answers[2])


def test_what_is_no_literal_is_no_answer(box) -> None:
    """An object that is equal to everything would be right for every test, if it ever came out."""
    liar = "class Yes:\n    def __eq__(self, other): return True\ndef f(): return Yes()\ndef g(): return f"
    assert isinstance(box.call(liar, "f", [()]).answers[0], RuntimeError)
    assert box.call(liar, "nothing", [()]).status == "error"


def test_programs_do_not_see_each_other(box) -> None:
    run(box, "import builtins, math\nbuiltins.sneaky = 1\nmath.pi = 3")
    assert run(box, "import math\nassert math.pi > 3.1\nassert 'sneaky' not in dir(__builtins__)").passed


ESCAPES = {
    "read /etc/passwd": "open('/etc/passwd').read()",
    "read the checkout": f"open({str(Path(__file__))!r}).read()",
    "read this process's environment": "open('/proc/self/environ').read()",
    "read the parent's environment": f"open('/proc/{os.getpid()}/environ').read()",
    "list a folder": "import os\nos.listdir('/')",
    "make a folder": "import os\nos.mkdir('/tmp/companion-escape')",
    "delete": f"import os\nos.unlink({str(Path(__file__))!r})",
    "a second process": "import os\nos.fork()",
    "another program": "import os\nos.execv('/bin/sh', ['sh', '-c', 'true'])",
    "a shell": "import os\nif os.system('true') != 0: raise OSError('not permitted')",
    "a signal to the parent": "import os\nos.kill(os.getppid(), 9)",
    "a signal to everybody": "import os\nos.kill(-1, 9)",
    "more limits": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2**27, 2**28))",
    "another user": "import os\nos.setuid(1)",
    "a link": "import os\nos.symlink('/etc/passwd', '/tmp/companion-escape')",
    "silence the clock": "import signal\nsignal.signal(signal.SIGPROF, signal.SIG_IGN)",
    "stop the clock": "import signal\nsignal.setitimer(signal.ITIMER_PROF, 0)",
}


@pytest.mark.parametrize("way", ESCAPES)
def test_every_way_out_is_refused(box, way: str) -> None:
    outcome = run(box, ESCAPES[way])
    assert outcome.status == "error" and ("not permitted" in outcome.detail or "not allowed" in outcome.detail), outcome


def test_no_connection_not_even_to_this_machine(box) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=600):
            listener.accept()[0].close()  # it can be reached from outside
        attempt = f"import _socket\n_socket.socket(2, 1).connect(('127.0.0.1', {port}))"
        assert "PermissionError" in run(box, attempt).detail
        raw = f"import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nassert libc.socket(2, 1, 0) == -1  # {port}"
        assert run(box, raw).passed
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize("place", [Path.home(), Path(__file__).parent, Path("/tmp"), Path("/dev/shm")])
def test_nothing_is_written_anywhere(box, place: Path) -> None:
    target = place / f"companion-escape-{os.getpid()}"
    assert "PermissionError" in run(box, f"open({str(target)!r}, 'w').write('x')").detail
    through_c = f"""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.open({str(target).encode()!r}, 0o101, 0o644) == -1
        assert libc.creat({str(target).encode()!r}, 0o644) == -1
    """
    assert run(box, through_c).passed
    assert not target.exists()


def test_system_calls_by_number_are_refused(box) -> None:
    """Those that a list of forbidden calls would forget: io_uring, memfd, process_vm_readv, bpf, new mounts, namespaces."""
    numbers = {"x86_64": [425, 319, 310, 321, 428, 272, 56, 57, 58, 435, 101, 257, 437, 41, 62, 234, 200, 16, 13],
               "aarch64": [425, 279, 270, 280, 428, 97, 220, 435, 117, 56, 437, 198, 129, 131, 130, 29, 134]}  # fmt: skip
    program = f"""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        for number in {numbers[platform.machine()]}:
            got = libc.syscall(number, 0, 0, 0, 0, 0, 0)
            assert got == -1 and ctypes.get_errno() == 1, (number, got, ctypes.get_errno())
    """
    outcome = run(box, program)
    assert outcome.passed, outcome


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the other doors into the kernel are x86-64's")
@pytest.mark.parametrize("door", ["x32", "int 0x80"])
def test_the_other_doors_into_the_kernel_kill(box, door: str) -> None:
    by_number = "libc.syscall(0x40000000 + 39)"
    # mov eax, 20 (getpid of the 32-bit table); int 0x80; ret
    by_machine_code = r"""
        libc.mmap.restype = ctypes.c_void_p
        page = libc.mmap(None, 4096, 7, 0x22, -1, 0)
        ctypes.memmove(page, b'\xb8\x14\x00\x00\x00\xcd\x80\xc3', 8)
        ctypes.CFUNCTYPE(ctypes.c_int)(page)()
    """
    call = by_number if door == "x32" else textwrap.dedent(by_machine_code)
    outcome = run(box, f"import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nprint('ready', flush=True)\n{call}")
    assert outcome.status == "crashed" and outcome.output == "ready\n"


def test_the_environment_does_not_come_in(monkeypatch) -> None:
    monkeypatch.setenv("COMPANION_SECRET", "swordfish-7141")
    with Sandbox() as fresh:
        # The interpreter itself sets LC_CTYPE; nothing else is there, and no object of the process holds the secret.
        program = """
            import os, gc, sys
            assert not set(os.environ) - {'LC_CTYPE'}, dict(os.environ)
            half = 'swordfish' + '-'
            held = [x for o in gc.get_objects() if isinstance(o, dict) for x in o.values() if isinstance(x, str)]
            assert not [x for x in held if half + str(7141) in x]
        """
        outcome = fresh.run(textwrap.dedent(program))
        assert outcome.passed, outcome


def test_open_files_of_the_caller_do_not_come_in(box) -> None:
    with open(__file__) as held:
        os.set_inheritable(held.fileno(), True)
        with Sandbox() as fresh:
            program = """
                import os
                for fd in range(2, 256):
                    try:
                        os.read(fd, 1)
                    except OSError as error:
                        assert error.errno == 9
                    else:
                        raise ValueError(fd)
            """
            assert fresh.run(textwrap.dedent(program)).passed


def test_endless_loop_ends_by_processor_time(box) -> None:
    outcome = run(box, "while True: pass", cpu_seconds=0.2)
    assert outcome.status == "cpu" and not outcome.passed
    inside_c = run(box, "sum(iter(int, 1))", cpu_seconds=0.2)
    assert inside_c.status == "cpu", "a loop that never returns to Python's own checks"
    caught = "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    assert run(box, caught, cpu_seconds=0.2).status == "cpu"


def test_waiting_ends_by_the_clock(box) -> None:
    started = time.monotonic()
    assert run(box, "import time\ntime.sleep(60)", wall_seconds=0.3).status == "timeout"
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("x = [0] * 10**9", "memory"),
        ("x = []\nwhile True: x.append(bytearray(10**6))", "memory"),
        ("x = 'a' * 10**10", "memory"),
        ("while True: print('x' * 1000)", "output"),
        ("print('x' * 10**7)", "output"),
        ("import ctypes\nctypes.string_at(0)", "crashed"),
        ("import os\nos._exit(0)", "crashed"),
        ("import sys\nsys.exit(0)", "error"),
        ("raise KeyboardInterrupt", "error"),
        ("def f(): f()\nf()", "error"),
        ("import os\nos.close(1)", "crashed"),
    ],
)
def test_limits_and_ways_to_stop_early(box, program: str, status: str) -> None:
    """To stop early, as by exit code 0, is not to pass."""
    outcome = run(box, program, cpu_seconds=5)
    assert outcome.status == status and len(outcome.output) < 1_200_000


def test_fork_bombs_do_not_go_off(box) -> None:
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except PermissionError: raise SystemExit('refused')"
    assert run(box, bomb).detail == "SystemExit: refused"
    by_c = "import ctypes\nlibc = ctypes.CDLL(None)\nassert libc.fork() == libc.vfork() == -1"
    assert run(box, by_c).passed


def test_a_program_cannot_forge_the_verdict_by_printing(box) -> None:
    forged = 'print("\\0' + "0" * 32 + '\\0{\\"error\\": null, \\"answers\\": [[\\"value\\", \\"7\\"]]}")'
    outcome = box.call(f"def f(): return 8\n{forged}", "f", [()])
    assert outcome.answers == (8,)


def test_survives_its_interpreter_being_killed(box) -> None:
    with Sandbox() as fresh:
        os.kill(fresh._cell.pid, signal.SIGKILL)
        fresh._cell.wait()
        assert fresh.run("x = 1").passed


def test_no_process_is_left(box) -> None:
    fresh = Sandbox()
    pid = fresh._cell.pid
    fresh.run("x = 1")
    fresh.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_reference_solutions_of_human_eval_pass_and_empty_ones_do_not(box) -> None:
    tasks = human_eval().tasks
    failed = [t.name for t in tasks if not box.run(t.program(t.solution), limits=Limits(cpu_seconds=10)).passed]
    assert failed == []
    assert not any(box.run(t.program("    pass\n")).passed for t in tasks[:40])


def test_refuses_where_programs_cannot_be_confined(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(sandbox_module.platform, "system", lambda: "Darwin")
    with rejects("Darwin.*seccomp.*nothing was run", SandboxUnavailable):
        Sandbox()
    monkeypatch.undo()
    monkeypatch.setattr(sandbox_module.platform, "machine", lambda: "riscv64")
    with rejects("riscv64.*needs Linux", SandboxUnavailable):
        Sandbox()


@pytest.mark.parametrize(
    ("right", "broken", "says"),
    [
        ("    if _LIBC.prctl(_SET_NO_NEW", "    return\n    if _LIBC.prctl(_SET_NO_NEW", "does not hold the filter"),
        ("_FILTER = 1, 22, 38, 2", "_FILTER = 1, 999, 38, 2", "could not be put up"),
        ('"getrandom": (318, 278),', '"getrandom": (318, 278), "openat": (257, 56),', "does not hold the filter"),
        ('"getrandom": (318, 278),', '"getrandom": (318, 278), "socket": (41, 198),', "does not hold the filter"),
        ("def main() -> None:", "def main() -> None:\n    sys.exit(3)", "does not start"),
    ],
)  # fmt: skip
def test_a_wall_with_a_hole_is_found_before_anything_runs(monkeypatch, tmp_path, right, broken, says) -> None:
    source = sandbox_module._CELL.read_text(encoding="utf-8")
    assert source.count(right) == 1
    (tmp_path / "cell.py").write_text(source.replace(right, broken), encoding="utf-8")
    monkeypatch.setattr(sandbox_module, "_CELL", tmp_path / "cell.py")
    with rejects(says, SandboxUnavailable):
        Sandbox()


def test_many_programs_a_second(box) -> None:
    started = time.process_time() + os.times().children_user
    for i in range(50):
        assert box.call("def f(x):\n    return x + 1", "f", [(i,)]).answers == (i + 1,)
    assert time.process_time() + os.times().children_user - started < 2


def test_bad_input(box) -> None:
    with rejects("cpu_seconds"):
        Limits(cpu_seconds=0)
    with rejects("memory_mb"):
        Limits(memory_mb=1)
    with rejects("inputs"):
        box.call("def f(x): return x", "f", [(object(),)])
