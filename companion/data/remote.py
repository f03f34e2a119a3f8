"""Larger sets, fetched from the network when asked for and only then; no lesson needs one.

A file is known by its sha256, so it does not matter who serves it or how often the transfer broke. It arrives under a name
that ends in ``.part``; `pooch` checks its sum and moves it to its place. A transfer that breaks is taken up where it broke.
"""

import gzip
import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from companion.data.carriers import CorruptFile, MissingCarrier
from companion.data.sets import ImageSet, to_model
from companion.validate import check_choice, check_count


class DownloadFailed(OSError):
    """A file could not be fetched; the message says why and what to do."""


@dataclass(frozen=True)
class RemoteFile:
    """A file on the network.

    Attributes:
        url: where it is; its last part is the file's name.
        sha256: what its content must add up to, in hexadecimal.
    """

    url: str
    sha256: str

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")) or not self.name:
            raise ValueError(f"url: got {self.url!r}, wanted one that starts with https:// and ends in a file's name")
        if len(self.sha256) != 64 or not set(self.sha256) <= set("0123456789abcdef"):
            raise ValueError(f"sha256: got {self.sha256!r}, wanted 64 hexadecimal digits in lower case")

    @property
    def name(self) -> str:
        return self.url.split("://", 1)[1].partition("/")[2].rpartition("/")[2]


# The sums stand in torchvision's and many other projects' sources; the files have not changed since 1998.
_BASE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST = {
    ("train", "images"): RemoteFile(
        _BASE + "train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    ("train", "labels"): RemoteFile(
        _BASE + "train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    ("test", "images"): RemoteFile(
        _BASE + "t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    ("test", "labels"): RemoteFile(
        _BASE + "t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}


def mnist(split: str = "train", *, limit: int | None = None, folder: Path | str | None = None) -> ImageSet:
    """All 70,000 digits of MNIST (11.6 MB, fetched once): 55,000 for training, 5,000 validation, 10,000 test.

    The test is MNIST's own; the validation digits are the last 5,000 of its training file. `companion.data.digits` holds
    5,000 digits of the same collection: do not train on the one and test on the other.

    Args:
        split: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        limit: at most so many, from the start.
        folder: where the files are kept, as for `fetch`.

    Returns:
        Images in [-1, 1], shape (n, 1, 28, 28): -1 is paper, 1 is ink.

    Raises:
        ValueError: an unknown split or a limit below 1.
        DownloadFailed, CorruptFile, MissingCarrier: as for `fetch`.

    Source: LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document recognition", 1998.
    """
    check_choice("split", split, ("train", "valid", "test", "all"))
    if limit is not None:
        check_count("limit", limit)
    parts = {"train": ("train",), "valid": ("train",), "test": ("test",), "all": ("train", "test")}[split]
    images, labels = (
        np.concatenate([read_idx(fetch(MNIST[part, kind], folder=folder)) for part in parts])
        for kind in ("images", "labels")
    )
    held_out = len(images) // 12
    span = {"train": slice(None, -held_out), "valid": slice(-held_out, None)}.get(split, slice(None))
    return ImageSet(
        name="mnist",
        split=split,
        license="CC BY-SA 3.0",
        source=f"MNIST, LeCun et al. 1998, from {_BASE}",
        images=to_model(torch.from_numpy(images[span][:limit])).unsqueeze(1),
        labels=torch.from_numpy(labels[span][:limit]).long(),
        classes=tuple("0123456789"),
    )


def fetch(file: RemoteFile, *, folder: Path | str | None = None) -> Path:
    """The place of a file on this machine; it is fetched if it is not there, or not with the right sum.

    Args:
        folder: where to keep it; if not given, ``COMPANION_CACHE`` or the user's cache folder.

    Raises:
        DownloadFailed: no network, no such file, or a transfer that broke; what has arrived is kept for the next call.
        CorruptFile: the file has another sum; it is deleted.
        MissingCarrier: `pooch`, which fetches, is not installed.
    """
    try:
        import pooch  # here, because who fetches nothing needs neither it nor requests
        import requests
    except ModuleNotFoundError as error:
        raise MissingCarrier(
            "fetching needs the package 'pooch', which is not installed: "
            "pip install 'generative-ai-companion[data]' (or pip install pooch)"
        ) from error
    place = Path(folder or os.environ.get("COMPANION_CACHE") or pooch.os_cache("generative-ai-companion"))
    part = place / f"{file.name}.{file.sha256[:8]}.part"

    def transfer(url: str, target: str, _pooch: object) -> None:
        _download(url, part)
        os.replace(part, target)  # pooch's temporary file: checked, then moved to its place or deleted

    try:
        pooch.get_logger().disabled = True
        return Path(pooch.retrieve(file.url, f"sha256:{file.sha256}", file.name, place, downloader=transfer))
    except requests.RequestException as error:
        kept = f"the {part.stat().st_size:,} bytes that have arrived are kept; " if part.exists() else ""
        raise DownloadFailed(
            f"{file.url} could not be fetched ({error}); {kept}call again with a connection to the network, or put the "
            f"file by hand at {place / file.name}"
        ) from error
    except ValueError as error:
        raise CorruptFile(f"{file.url}: got another file than wanted, and deleted it ({error})") from error


def read_idx(file: Path | str) -> np.ndarray:
    """The array in a gzipped IDX file of unsigned bytes, the format of MNIST.

    Raises:
        CorruptFile: the file is not of this format, or its size is not what its header says.
    """
    try:
        with gzip.open(file) as stream:
            content = stream.read()
        zeros, kind, axes = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{axes}I", content, 4)
    except (OSError, EOFError, struct.error) as error:
        raise CorruptFile(f"{file}: got no gzipped IDX file ({error}); delete it and fetch it again") from error
    pixels = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if (zeros, kind) != (0, 8) or pixels.size != math.prod(shape):
        raise CorruptFile(f"{file}: got {pixels.size} bytes of type {kind}, wanted shape {shape} of type 8 (bytes)")
    return pixels.reshape(shape).copy()


def _download(url: str, part: Path) -> None:
    """Write what ``url`` serves to a file; go on where an earlier transfer stopped, if the server can."""
    import requests

    here = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={here}-"} if here else {})
    with requests.get(url, headers=headers, stream=True, timeout=30) as response:
        if here and response.status_code == 416:  # nothing is left to send; the sum will tell if that is right
            return
        response.raise_for_status()
        goes_on = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {here}-")
        size = int(response.headers.get("Content-Length", 0)) + (here if goes_on else 0)
        quiet = bool(os.environ.get("TQDM_DISABLE"))
        with (
            open(part, "ab" if goes_on else "wb") as stream,
            tqdm(initial=here if goes_on else 0, total=size or None, unit="B", unit_scale=True, delay=2, leave=False,
                 disable=quiet, desc=part.name) as bar,
        ):  # fmt: skip
            for chunk in response.iter_content(1 << 16):
                stream.write(chunk)
                bar.update(len(chunk))
