"""The sandbox: each way out is really tried, each limit really reached, and a right program passes.

Every program here is run for real. The attempts go through Python and, where Python might have stopped them by itself, through
the C library as well, since a model may write `ctypes` too.
"""

import ast
import json
import math
import os
import platform
import re
import signal
import socket
import struct
import textwrap
import threading
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


@pytest.mark.parametrize(
    ("column", "header"),
    [(0, "x86_64-linux-gnu/asm/unistd_64.h"), (1, "asm-generic/unistd.h")],
    ids=["x86_64", "aarch64"],
)
def test_the_system_calls_that_stay_have_the_kernels_numbers(column: int, header: str) -> None:
    """A wrong number would open the door of another call. Both machines' headers come with Debian's linux-libc-dev."""
    file = Path("/usr/include", header)
    if not file.is_file():
        pytest.skip(f"{file} is not installed")
    numbers = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", file.read_text())}
    cell = ast.parse(Path(sandbox_module.__file__).with_name("cell.py").read_text())
    assigned = {ast.unparse(node.targets[0]): node.value for node in cell.body if isinstance(node, ast.Assign)}
    allowed = {name: pair[column] for name, pair in ast.literal_eval(assigned["_ALLOWED"]).items()}
    assert allowed == {name: numbers.get(name) for name in allowed}


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


# What a program can get at: its callers' frames with all their names, every object, every descriptor, every module.
SEARCH = """
import gc, os, sys
frame, seen = sys._getframe(), []
while frame is not None:
    seen += [value for value in frame.f_locals.values()]
    seen += gc.get_referents(frame)
    frame = frame.f_back
gc.unfreeze()
todo, known = seen + gc.get_objects(), set()
texts = set()
while todo:
    one = todo.pop()
    if id(one) in known:
        continue
    known.add(id(one))
    if type(one) is bytes and len(one) <= 64:
        texts.add(one)
    elif type(one) is str and len(one) <= 64:
        texts.add(one.encode("utf-8", "replace"))
    elif type(one) in (dict, list, tuple, set, frozenset):
        todo += gc.get_referents(one)
"""
WRITE = """
def spread(text):
    for fd in range(8):
        try:
            os.write(fd, text)
        except OSError:
            pass
"""
FORGERIES = {
    "all that is found, as marks": SEARCH + WRITE + """
for text in sorted(texts, key=lambda text: len(text) not in (16, 34))[:5_000]:
    spread(text + b'{"error": null, "answers": []}')
    spread(text + b'passed{"error": null, "answers": []}')
os._exit(0)
""",
    "a verdict without a mark": "import os\n" + WRITE + """
spread(b'passed{"error": null, "answers": []}')
os._exit(0)
""",
    "other words for failure": """
import json, os, sys
json.dumps = lambda *_, **__: '{"error": null, "answers": []}'
names = sys._getframe(1).f_globals
names["describe"] = lambda caught: None
names["ended"] = names["take_secret"] = lambda *_: True
raise AssertionError("wrong")
""",
    "errors taken away": """
import sys
frame = sys._getframe(1)
errors = frame.f_locals["errors"]
class Empty(list):
    def append(self, _): pass
frame.f_locals["errors"] = Empty()
raise AssertionError("wrong")
""",
    "a jump to the other line": """
import sys
def trace(frame, event, argument):
    if event == "exception" and frame.f_code.co_name == "ended":
        frame.f_lineno += 4
    return trace
frame = sys._getframe(1)
frame.f_trace = trace
sys.settrace(trace)
raise AssertionError("wrong")
""",
    "words that are a program": """
import os, sys
class Words(Exception):
    def __str__(self):
        frame = sys._getframe(1)
        frame.f_back.f_locals["errors"].clear()
        for fd in range(2, 8):
            try: os.write(fd, b'passed{"error": null, "answers": []}')
            except OSError: pass
        os._exit(0)
raise Words
""",
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_the_verdict_is_out_of_the_programs_reach(box, forgery: str) -> None:
    outcome = box.run(FORGERIES[forgery], limits=Limits(cpu_seconds=20, output_bytes=10**8))
    assert outcome.status in ("error", "crashed"), outcome.status


def test_the_search_for_the_mark_is_a_real_one(box) -> None:
    """It finds what a caller's frame holds under a name."""
    program = f"""
SEARCH = {SEARCH!r}
def caller():
    mark, names = bytes([65] * 16), {{}}
    exec(SEARCH, names)
    return bytes([65] * 16) in names["texts"]
assert caller()
"""
    assert box.run(program, limits=Limits(cpu_seconds=20)).passed


QUICK = Limits(wall_seconds=0.5)


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("import os, time\nos.close(1)\ntime.sleep(600)", "timeout"),
        ("import os, time\nfor fd in range(8):\n    try: os.close(fd)\n    except OSError: pass\ntime.sleep(600)", "timeout"),
        ("import os, time\nfor fd in range(1, 8):\n    try: os.write(fd, b'x')\n    except OSError: pass\ntime.sleep(600)",
         "timeout"),
        ("import os\nwhile True:\n    for fd in range(1, 8):\n        try: os.write(fd, b'x' * 4096)\n"
         "        except OSError: pass", "output"),
        ("import os, time\ntry: os.fork()\nexcept OSError: pass\nos.closerange(0, 8)\ntime.sleep(600)", "timeout"),
    ],
)  # fmt: skip
def test_every_wait_has_a_deadline(box, program: str, status: str) -> None:
    """A program holds nobody up: not without its output, not without its verdict's pipe, not with a flood of either."""
    limits = QUICK if status == "timeout" else Limits(output_bytes=100_000, cpu_seconds=20)
    outcome = box.run(program, limits=limits)
    assert outcome.status == status
    if status == "timeout":
        assert outcome.seconds < 60, "the program's own sleep is ten times as long"
    assert box.run("x = 1").passed


def test_an_interpreter_that_answers_no_more_is_given_up(monkeypatch) -> None:
    monkeypatch.setattr(sandbox_module, "_PATIENCE", 0.2)
    with Sandbox() as fresh:
        os.kill(fresh._cell[0].pid, signal.SIGSTOP)
        assert fresh.run("x = 1", limits=Limits(wall_seconds=0.2)).status == "timeout"
        monkeypatch.undo()
        assert fresh.run("print(3)").output == "3\n"


class Stop(BaseException):
    pass


def test_after_an_interruption_no_call_reads_an_earlier_reply(monkeypatch) -> None:
    """Interrupted before the order is sent, while its reply is awaited, and between two halves of the reply."""
    with Sandbox() as fresh:
        for at in range(1, 5):
            count = 0
            real = sandbox_module._wait_until

            def interrupt(*arguments, at=at, real=real):
                nonlocal count
                count += 1
                if count == at:
                    raise Stop
                real(*arguments)

            with monkeypatch.context() as patch:
                patch.setattr(sandbox_module, "_wait_until", interrupt)
                try:
                    fresh.run("print('the first')")
                    assert at > 3, "every call waits three times at least"
                except Stop:
                    pass
            assert fresh.run(f"print('the second', {at})").output == f"the second {at}\n"


def test_an_alarm_in_the_middle_of_a_call_leaves_nothing_behind() -> None:
    def ring(*_):
        raise Stop

    with Sandbox() as fresh:
        before = signal.signal(signal.SIGALRM, ring)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(Stop):
                fresh.run("import time\ntime.sleep(1)\nprint('late')", limits=Limits(wall_seconds=20))
        finally:
            signal.signal(signal.SIGALRM, before)
        assert fresh.run("print('new')").output == "new\n"


def test_a_sleeping_program_does_not_outlive_its_sandbox() -> None:
    """Closed from another thread's point of view: the interpreter is killed, and its child with it."""
    fresh = Sandbox()
    line = fresh._line()
    order = {"source": "import time\ntime.sleep(600)", "entry": None, "inputs": [], "call": 0}
    body = json.dumps(order | Limits(wall_seconds=500).__dict__).encode()
    line.sendall(struct.pack("<I", len(body)) + body)
    cell = fresh._cell[0].pid
    children = Path(f"/proc/{cell}/task/{cell}/children")
    if not children.exists():
        pytest.skip("this kernel does not list a process's children")
    while not (found := children.read_text().split()):
        time.sleep(0.01)
    fresh.close()
    while Path(f"/proc/{found[0]}").exists() and "\nState:\tZ" not in Path(f"/proc/{found[0]}/status").read_text():
        time.sleep(0.01)


def test_threads_share_a_sandbox_and_each_gets_its_own_reply(box) -> None:
    wrong = []

    def work(thread: int) -> None:
        for i in range(15):
            number = 1_000 * thread + i
            outcome = box.call(f"print({number})\ndef f(x): return [x, {number}]", "f", [(number,)])
            if outcome.answers != ([number, number],) or outcome.output != f"{number}\n":
                wrong.append(outcome)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_thread_that_started_the_interpreter_may_end() -> None:
    made = []
    thread = threading.Thread(target=lambda: made.append(Sandbox()))
    thread.start()
    thread.join()
    pid = made[0]._cell[0].pid
    assert made[0].run("x = 1").passed and made[0]._cell[0].pid == pid, "the same interpreter, not a second one"
    made[0].close()


ANSWERS = {
    "infinity": ("float('inf')", math.inf),
    "minus infinity": ("[-float('inf')]", [-math.inf]),
    "nan": ("(float('nan'), 1)", (math.nan, 1)),
    "long text": ("'x' * 300_000", "x" * 300_000),
    "long list": ("list(range(60_000))", list(range(60_000))),
    "long number": ("10 ** 20_000", 10**20_000),
    "nested": (
        "{1: [(2, {3}, frozenset({4})), b'5', None, 1j, True]}",
        {1: [(2, {3}, frozenset({4})), b"5", None, 1j, True]},
    ),
    "empty": ("[[], (), {}, set(), frozenset(), '', b'']", [[], (), {}, set(), frozenset(), "", b""]),
    "odd text": ("'\\ud800\\0\\n'", "\ud800\0\n"),
    "named": ("__import__('collections').namedtuple('P', 'x y')(1, 2)", (1, 2)),
    "counted": ("__import__('collections').Counter('aab')", {"a": 2, "b": 1}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_judged_by_value(box, name: str) -> None:
    source, wanted = ANSWERS[name]
    outcome = box.call(f"def f(x): return {source}\ndef g(x): return x", "f", [(0,)])
    assert outcome.gives([wanted]) and not outcome.gives(["another"]) and not outcome.gives([wanted, wanted])
    assert box.call("def g(x): return x", "g", [(wanted,)]).gives([wanted]), "and so are inputs"


def test_an_answer_as_deep_as_it_likes_or_inside_itself_is_an_error_at_most(box) -> None:
    deep = box.call("def f():\n    x = []\n    for _ in range(100_000): x = [x]\n    return x", "f", [()])
    inside = box.call("def f():\n    x = []\n    x.append(x)\n    return x", "f", [()])
    assert not deep.gives([[]]) and not inside.gives([[]])
    assert isinstance(inside.answers[0], RuntimeError)


def test_survives_its_interpreter_being_killed(box) -> None:
    with Sandbox() as fresh:
        os.kill(fresh._cell[0].pid, signal.SIGKILL)
        fresh._cell[0].wait()
        assert fresh.run("x = 1").passed


def test_no_process_is_left(box) -> None:
    fresh = Sandbox()
    pid = fresh._cell[0].pid
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
    (tmp_path / "values.py").write_text(sandbox_module._CELL.with_name("values.py").read_text(), encoding="utf-8")
    monkeypatch.setattr(sandbox_module, "_CELL", tmp_path / "cell.py")
    with rejects(says, SandboxUnavailable):
        Sandbox()


def test_many_programs_a_second(box) -> None:
    started = time.process_time() + os.times().children_user
    for i in range(50):
        assert box.call("def f(x):\n    return x + 1", "f", [(i,)]).answers == (i + 1,)
    assert time.process_time() + os.times().children_user - started < 2


@pytest.mark.parametrize(
    "limits",
    [
        {"cpu_seconds": 1e6}, {"wall_seconds": 1e6}, {"memory_mb": 2**20}, {"output_bytes": 10**9},
        {"cpu_seconds": 1e6, "wall_seconds": 1e6, "memory_mb": 2**20, "output_bytes": 10**9},
    ],
)  # fmt: skip
def test_the_largest_limits_work(box, limits: dict) -> None:
    assert box.run("print(1)", limits=Limits(**limits)).output == "1\n"


@pytest.mark.parametrize("tiny", [1e-12, 1e-7, 5e-324])
def test_the_smallest_limits_end_a_program_at_once(box, tiny: float) -> None:
    assert box.run("while True: pass", limits=Limits(cpu_seconds=tiny)).status == "cpu"
    assert box.run("while True: pass", limits=Limits(wall_seconds=tiny)).status == "timeout"
    assert box.run("print('x')", limits=Limits(output_bytes=1)).status == "output"


def test_bad_input(box) -> None:
    with rejects("cpu_seconds"):
        Limits(cpu_seconds=0)
    with rejects("memory_mb"):
        Limits(memory_mb=1)
    for name in ("cpu_seconds", "wall_seconds", "memory_mb", "output_bytes"):
        for absurd in (1e10, 10**18, 0, -1, math.nan, math.inf, None, "2"):
            with rejects(name):
                Limits(**{name: absurd})
    with rejects("inputs"):
        box.call("def f(x): return x", "f", [(object(),)])
