"""What every test has: one thread, seeded random numbers, no network; `gen` for generators and `rejects` for bad input."""

import contextlib
import gc
import os
import re
from collections.abc import Iterator

import jaxtyping
import pytest
import torch

# Also in the processes that tests start: two threads that share a core with another test wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# And for the workers, which start after this: glibc gives a large tensor's memory back to the system when it is freed, and the
# next one waits until the system has wiped as much again: up to half of the time of what takes many examples at once.
os.environ.setdefault("MALLOC_MMAP_MAX_", "0")
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**30))
# Where there is no such device torch still notes each seed for it, with the whole stack as text: before every test and at every
# step of a training.
for device in (torch.cuda, torch.xpu, torch.mtia):
    if not device.is_available():
        device.manual_seed_all = lambda seed: None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """What is imported and collected stays: to look for garbage among a million objects takes half a second each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with slow tests first: two workers take a file at a time, and neither shall wait for a long one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def gen(seed: int = 0) -> torch.Generator:
    """A generator of random numbers with this seed."""
    return torch.Generator().manual_seed(seed)


@contextlib.contextmanager
def jaxtyping_off() -> Iterator[None]:
    """What a caller sees outside pytest, where types are not checked at run time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


@contextlib.contextmanager
def rejects(pattern: str, error: type[Exception] = ValueError) -> Iterator[None]:
    """Expect a clear error: of this kind, with words that match, and (unless the kind says it) what was got and wanted.

    The run-time shape checks of pytest are off inside, so that what a caller sees is tested, not what pytest sees.
    """
    with jaxtyping_off(), pytest.raises(error) as caught:
        yield
    message = str(caught.value)
    assert re.search(pattern, message), f"the error says {message!r}, which does not match {pattern!r}"
    if error is ValueError:
        assert "got" in message and "wanted" in message, f"the error does not say what was got and wanted: {message!r}"
