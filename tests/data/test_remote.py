"""Fetching from a server on this machine: sums, broken transfers, taking up where they broke, no network."""

import gzip
import hashlib
import http.server
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from companion.data import CorruptFile, MissingCarrier, remote
from companion.data.remote import DownloadFailed, RemoteFile, fetch, read_idx
from tests.conftest import rejects

CONTENT = np.random.default_rng(0).bytes(300_000)
SUM = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; `breaks_after` bytes of a body it hangs up; `ranges` says whether it can send a part."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.breaks_after, self.ranges = {"/data.bin": CONTENT}, [], None, True

    def url(self, path: str = "/data.bin") -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if first >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - first))
        self.end_headers()
        self.wfile.write(body[first:][: self.server.breaks_after])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_file_is_fetched_once(server, tmp_path):
    file = RemoteFile(server.url(), SUM)
    place = fetch(file, folder=tmp_path)
    assert place == tmp_path / "data.bin" and place.read_bytes() == CONTENT
    assert fetch(file, folder=str(tmp_path)) == place
    assert server.asked == [None] and names(tmp_path) == ["data.bin"]


def test_the_cache_folder_can_be_chosen(server, tmp_path, monkeypatch):
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "new" / "folder"))
    assert fetch(RemoteFile(server.url(), SUM)) == tmp_path / "new" / "folder" / "data.bin"


def test_another_sum_deletes_the_file_and_says_so(server, tmp_path):
    server.files["/data.bin"] = CONTENT[:-1] + b"!"
    with rejects("got another file than wanted, and deleted it", CorruptFile):
        fetch(RemoteFile(server.url(), SUM), folder=tmp_path)
    assert names(tmp_path) == []


def test_a_file_that_was_damaged_later_is_fetched_anew(server, tmp_path):
    file = RemoteFile(server.url(), SUM)
    fetch(file, folder=tmp_path).write_bytes(CONTENT[:100])
    assert fetch(file, folder=tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_transfer_is_taken_up_where_it_broke(server, tmp_path, ranges):
    file = RemoteFile(server.url(), SUM)
    server.breaks_after, server.ranges = 2 << 16, ranges
    with rejects("131,072 bytes that have arrived are kept.*call again", DownloadFailed):
        fetch(file, folder=tmp_path)
    assert names(tmp_path) == [f"data.bin.{SUM[:8]}.part"], "nothing stands under the final name"
    server.breaks_after = None
    assert fetch(file, folder=tmp_path).read_bytes() == CONTENT, "also if the server can only send the whole"
    assert server.asked == [None, "bytes=131072-"] and names(tmp_path) == ["data.bin"]


def test_it_may_break_many_times(server, tmp_path):
    file = RemoteFile(server.url(), SUM)
    server.breaks_after = 1 << 16
    for _ in range(4):
        with rejects("are kept", DownloadFailed):
            fetch(file, folder=tmp_path)
    assert fetch(file, folder=tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=65536-", "bytes=131072-", "bytes=196608-", "bytes=262144-"]


def test_a_whole_file_that_was_not_moved_is_used_and_a_wrong_one_is_not(server, tmp_path):
    file = RemoteFile(server.url(), SUM)
    part = tmp_path / f"data.bin.{SUM[:8]}.part"
    part.write_bytes(CONTENT)
    assert fetch(file, folder=tmp_path).read_bytes() == CONTENT
    (tmp_path / "data.bin").unlink()
    part.write_bytes(b"?" * 100)
    with rejects("got another file than wanted", CorruptFile):
        fetch(file, folder=tmp_path)
    assert fetch(file, folder=tmp_path).read_bytes() == CONTENT, "the next call starts anew"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_transfer_leaves_nothing_under_the_final_name(server, tmp_path):
    """A real process, killed while half of the file has arrived."""
    server.breaks_after = 150_000
    program = (
        "import os, sys, signal, companion.data.remote as r; from pathlib import Path\n"
        "class Bar(r.tqdm):\n"
        "    def update(self, n=1):\n"
        "        if Path(sys.argv[3]).stat().st_size > 100_000: os.kill(os.getpid(), signal.SIGKILL)\n"
        "r.tqdm = Bar\n"
        "r.fetch(r.RemoteFile(sys.argv[1], sys.argv[2]), folder=Path(sys.argv[3]).parent)\n"
    )
    part = tmp_path / f"data.bin.{SUM[:8]}.part"
    done = subprocess.run([sys.executable, "-c", program, server.url(), SUM, str(part)])
    assert done.returncode == -9
    assert not (tmp_path / "data.bin").exists() and 0 < part.stat().st_size < len(CONTENT)
    server.breaks_after = None
    assert fetch(RemoteFile(server.url(), SUM), folder=tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] is not None, "it was taken up"


def test_no_network_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with rejects(f"call again with a connection to the network, or put the file by hand at {tmp_path}", DownloadFailed):
        fetch(RemoteFile(f"http://127.0.0.1:{port}/data.bin", SUM), folder=tmp_path)
    assert names(tmp_path) == []
    (tmp_path / "data.bin").write_bytes(CONTENT)
    assert fetch(RemoteFile(f"http://127.0.0.1:{port}/data.bin", SUM), folder=tmp_path).read_bytes() == CONTENT


def test_no_such_file(server, tmp_path):
    with rejects("404", DownloadFailed):
        fetch(RemoteFile(server.url("/other.bin"), SUM), folder=tmp_path)
    assert names(tmp_path) == []


def test_without_pooch_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with rejects(r"pip install 'generative-ai-companion\[data\]'", MissingCarrier):
        fetch(RemoteFile("http://127.0.0.1/data.bin", SUM), folder=tmp_path)


@pytest.mark.parametrize(
    ("url", "sum"),
    [
        ("ftp://x/y", SUM),
        ("https://host", SUM),
        ("https://host/", SUM),
        ("", SUM),
        ("https://x/y", ""),
        ("https://x/y", SUM.upper()),
        ("https://x/y", SUM[:-1]),
    ],
)
def test_a_bad_name_or_sum_is_refused(url, sum):
    with rejects("url|sha256"):
        RemoteFile(url, sum)


def idx(array: np.ndarray) -> bytes:
    return gzip.compress(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())


def test_mnist_is_read_and_split(server, tmp_path, monkeypatch):
    generator = np.random.default_rng(1)
    files, arrays = {}, {}
    for part, n in (("train", 24), ("test", 5)):
        arrays[part, "images"] = generator.integers(0, 256, (n, 28, 28), np.uint8)
        arrays[part, "labels"] = generator.integers(0, 10, n).astype(np.uint8)
    for (part, kind), array in arrays.items():
        content = server.files[f"/{part}-{kind}.gz"] = idx(array)
        files[part, kind] = RemoteFile(server.url(f"/{part}-{kind}.gz"), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(remote, "MNIST", files)
    sets = {split: remote.mnist(split, folder=tmp_path) for split in ("train", "valid", "test", "all")}
    assert {split: len(found) for split, found in sets.items()} == {"train": 22, "valid": 2, "test": 5, "all": 29}
    joint = torch.cat([sets[split].images for split in ("train", "valid", "test")])
    assert torch.equal(joint, sets["all"].images) and joint.shape == (29, 1, 28, 28)
    expected = torch.from_numpy(np.concatenate([arrays["train", "images"], arrays["test", "images"]])) / 127.5 - 1
    torch.testing.assert_close(joint[:, 0], expected)
    assert sets["test"].labels.tolist() == arrays["test", "labels"].tolist()
    assert torch.equal(remote.mnist("valid", limit=1, folder=tmp_path).images, sets["valid"].images[:1])
    for split, limit in (("dev", None), ("train", 0)):
        with rejects("split|limit"):
            remote.mnist(split, limit=limit, folder=tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"plain", gzip.compress(b""), gzip.compress(b"\0\0\x08\x01\0\0\0\x09123"), idx(np.zeros(9, np.uint8))[:-9]],
    ids=["empty", "not packed", "packed nothing", "too few bytes", "cut off"],  # gzip writes the time into its bytes
)
def test_a_broken_idx_file_is_refused(tmp_path, content):
    (tmp_path / "x.gz").write_bytes(content)
    with rejects("x.gz: got", CorruptFile):
        read_idx(tmp_path / "x.gz")


def test_floats_are_not_taken_for_bytes(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"\0\0\x0d\x01\0\0\0\x01abcd"))
    with rejects("type 13", CorruptFile):
        read_idx(tmp_path / "x.gz")
