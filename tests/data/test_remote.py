"""Fetching MNIST from a server on this machine: sums, transfers that break, the cache; no network."""

import gc
import gzip
import hashlib
import http.server
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from companion.data import CorruptFile, MissingCarrier, digits, remote
from companion.data.remote import DownloadFailed, fetch, mnist, read_idx
from tests.conftest import rejects

# pooch does not close the connection of an answer that it refuses.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
CONTENT = np.random.default_rng(0).bytes(300_000)


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; the first ``breaks`` answers end in the middle."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.breaks = {"data.bin": CONTENT}, [], 0


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.removeprefix("/")
        self.server.asked.append(name)
        body = self.server.files.get(name)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        broken, self.server.breaks = self.server.breaks > 0, self.server.breaks - 1
        self.wfile.write(body[: len(body) // 2] if broken else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    with Server() as server:
        monkeypatch.setattr(remote, "BASE", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setattr(remote, "SHA256", {"data.bin": hashlib.sha256(CONTENT).hexdigest()})
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    gc.collect()  # connections that are left open, while the mark above holds


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_file_is_fetched_once_into_the_chosen_folder(server, tmp_path):
    place = fetch("data.bin")
    assert place == tmp_path / "cache" / "data.bin" and place.read_bytes() == CONTENT
    assert fetch("data.bin") == place
    assert server.asked == ["data.bin"] and names(tmp_path / "cache") == ["data.bin"]


def test_another_sum_is_refused_and_nothing_of_it_is_kept(server, tmp_path):
    server.files["data.bin"] = CONTENT[:-1] + b"!"
    with rejects("data.bin: got another file than wanted, and deleted it", CorruptFile):
        fetch("data.bin")
    assert names(tmp_path / "cache") == []


def test_a_file_that_was_damaged_later_is_fetched_anew(server):
    fetch("data.bin").write_bytes(CONTENT[:100])
    assert fetch("data.bin").read_bytes() == CONTENT


def test_a_broken_transfer_is_tried_again(server, tmp_path):
    server.breaks = remote.RETRIES
    assert fetch("data.bin").read_bytes() == CONTENT
    assert len(server.asked) == remote.RETRIES + 1 and names(tmp_path / "cache") == ["data.bin"]


def test_one_that_breaks_always_is_an_error_and_leaves_nothing(server, tmp_path):
    server.breaks = 100
    with rejects("could not be fetched.*call again", DownloadFailed):
        fetch("data.bin")
    assert names(tmp_path / "cache") == []


def test_no_network_says_what_to_do(server, tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(remote, "BASE", f"http://127.0.0.1:{free.getsockname()[1]}/")
    place = tmp_path / "cache" / "data.bin"
    with rejects(f"call again with a connection to the network, or put the file by hand at {place}", DownloadFailed):
        fetch("data.bin")
    place.write_bytes(CONTENT)
    assert fetch("data.bin").read_bytes() == CONTENT


def test_no_such_file(server):
    del server.files["data.bin"]
    with rejects("404", DownloadFailed):
        fetch("data.bin")


def test_without_pooch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with rejects(r"pip install 'generative-ai-companion\[data\]'", MissingCarrier):
        fetch("data.bin")


def test_the_known_sums_are_sums_of_the_four_files():
    assert len(remote.SHA256) == len(set(remote.SHA256.values())) == 4
    assert all(len(digest) == 64 and set(digest) <= set("0123456789abcdef") for digest in remote.SHA256.values())


def idx(array: np.ndarray) -> bytes:
    return gzip.compress(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())


def test_mnist_is_read_and_split(server, monkeypatch):
    generator = np.random.default_rng(1)
    sums, arrays = {}, {}
    for part, n in (("train", 24), ("t10k", 5)):
        arrays[part, "images-idx3"] = generator.integers(0, 256, (n, 28, 28), np.uint8)
        arrays[part, "labels-idx1"] = generator.integers(0, 10, n).astype(np.uint8)
    for (part, kind), array in arrays.items():
        content = server.files[f"{part}-{kind}-ubyte.gz"] = idx(array)
        sums[f"{part}-{kind}-ubyte.gz"] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(remote, "SHA256", sums)
    sets = {split: digits(split, source="full") for split in ("train", "valid", "test", "all")}
    assert {split: len(found) for split, found in sets.items()} == {"train": 22, "valid": 2, "test": 5, "all": 29}
    joint = torch.cat([sets[split].images for split in ("train", "valid", "test")])
    assert torch.equal(joint, sets["all"].images) and joint.shape == (29, 1, 28, 28)
    pixels = np.concatenate([arrays["train", "images-idx3"], arrays["t10k", "images-idx3"]])
    torch.testing.assert_close(joint[:, 0], torch.from_numpy(pixels) / 127.5 - 1)
    assert sets["test"].labels.tolist() == arrays["t10k", "labels-idx1"].tolist()
    assert torch.equal(digits("valid", limit=1, source="full").images, sets["valid"].images[:1])
    assert sorted(server.asked) == sorted(sums), "each file once"


def test_bad_arguments_are_refused_before_anything_is_fetched(server):
    for split, limit in (("dev", None), ("train", 0)):
        with rejects("split|limit"):
            mnist(split, limit=limit)
    with rejects("source: got 'all'"):
        digits(source="all")
    assert server.asked == []


@pytest.mark.parametrize(
    "content",
    [b"", b"plain", gzip.compress(b""), gzip.compress(b"\0\0\x08\x01\0\0\0\x09123"), idx(np.zeros(9, np.uint8))[:-9]],
    ids=["empty", "not packed", "packed nothing", "too few bytes", "cut off"],  # gzip writes the time into its bytes
)
def test_a_broken_idx_file_is_refused(tmp_path, content):
    (tmp_path / "x.gz").write_bytes(content)
    with rejects("x.gz: got", CorruptFile):
        read_idx(tmp_path / "x.gz")


@pytest.mark.parametrize("head", [b"\0\0\x0d", b"\0\0\x07", b"\0\1\x08"], ids=["floats", "no type", "no zeros"])
def test_other_types_are_not_taken_for_bytes(tmp_path, head):
    (tmp_path / "x.gz").write_bytes(gzip.compress(head + b"\x01\0\0\0\x01a"))
    with rejects(f"type {head[2]}", CorruptFile):
        read_idx(tmp_path / "x.gz")
