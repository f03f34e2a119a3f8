"""The whole of MNIST, 70,000 handwritten digits, fetched from the network when asked for and only then.

`companion.data.digits` with ``source="full"`` comes here; lessons do so at the ``workstation`` budget. `pooch` fetches the
four files, tries again where a transfer breaks, checks each file's sha256 and keeps it in the user's cache folder
(``COMPANION_CACHE`` names another), so the second call needs no network.
"""

import gzip
import math
import struct
from pathlib import Path

import numpy as np
import torch

from companion.data.carriers import CorruptFile, MissingCarrier
from companion.data.sets import ImageSet, to_model
from companion.validate import check_choice, check_count

# The sums stand in many other projects' sources, too; the files have not changed since 1998.
BASE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
RETRIES = 3  # after a transfer that broke


class DownloadFailed(OSError):
    """A file could not be fetched; the message says why and what to do."""


def mnist(split: str = "train", *, limit: int | None = None) -> ImageSet:
    """All 70,000 digits of MNIST (11.6 MB, fetched once): 55,000 for training, 5,000 validation, 10,000 test.

    The test is MNIST's own; the validation digits are the last 5,000 of its training file.

    Args:
        split: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        limit: at most so many, from the start.

    Returns:
        Images in [-1, 1], shape (n, 1, 28, 28): -1 is paper, 1 is ink.

    Raises:
        ValueError: an unknown split or a limit below 1.
        DownloadFailed: no network, no such file, or a transfer that broke again and again.
        CorruptFile: what is served is another file; nothing of it is kept.
        MissingCarrier: `pooch`, which fetches, is not installed.

    Source: LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document recognition", 1998.
    """
    check_choice("split", split, ("train", "valid", "test", "all"))
    if limit is not None:
        check_count("limit", limit)
    parts = {"train": ("train",), "valid": ("train",), "test": ("t10k",), "all": ("train", "t10k")}[split]
    images, labels = (
        np.concatenate([read_idx(fetch(f"{part}-{kind}-ubyte.gz")) for part in parts])
        for kind in ("images-idx3", "labels-idx1")
    )
    held_out = len(images) // 12
    span = {"train": slice(None, -held_out), "valid": slice(-held_out, None)}.get(split, slice(None))
    return ImageSet(
        name="mnist",
        split=split,
        license="CC BY-SA 3.0",
        source=f"MNIST, LeCun et al. 1998, from {BASE}",
        images=to_model(torch.from_numpy(images[span][:limit])).unsqueeze(1),
        labels=torch.from_numpy(labels[span][:limit]).long(),
        classes=tuple("0123456789"),
    )


def fetch(name: str) -> Path:
    """Where a file of MNIST is on this machine; it is fetched if it is not there, or not with the right sum.

    Raises:
        DownloadFailed, CorruptFile, MissingCarrier: as for `mnist`.
    """
    try:
        import pooch  # here, because who fetches nothing needs neither it nor requests
        import requests
    except ModuleNotFoundError as error:
        raise MissingCarrier(
            "fetching needs the package 'pooch', which is not installed: "
            "pip install 'generative-ai-companion[data]' (or pip install pooch)"
        ) from error
    store = pooch.create(
        pooch.os_cache("generative-ai-companion"),
        BASE,
        registry={file: f"sha256:{digest}" for file, digest in SHA256.items()},
        env="COMPANION_CACHE",
        retry_if_failed=RETRIES,
    )
    try:
        return Path(store.fetch(name, downloader=pooch.HTTPDownloader(progressbar=True)))
    except requests.RequestException as error:
        raise DownloadFailed(
            f"{BASE}{name} could not be fetched ({error}); call again with a connection to the network, or put the file "
            f"by hand at {store.abspath / name}"
        ) from error
    except ValueError as error:
        raise CorruptFile(f"{BASE}{name}: got another file than wanted, and deleted it ({error})") from error


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
