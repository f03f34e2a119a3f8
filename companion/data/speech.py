"""Spoken digits: the words "zero" to "nine" said by the sixty voices of a speech synthesiser."""

import hashlib
import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from companion.data.carriers import MissingCarrier, carrier_folder, check_digest
from companion.data.digits import DIGIT_NAMES
from companion.data.sets import AudioSet
from companion.data.splits import split_indices
from companion.validate import Count, Finite, checked

RATE = 8_000  # samples per second, as on a telephone
SAMPLES = 5_120  # 0.64 s
# eSpeak NG's English variants without robots, near copies of one another, and the breathy voices, whose noise differs from
# one process to the next.
VOICES = (
    *(f"m{i}" for i in range(1, 9)), "f1", "f4",
    "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Hugo", "Jacky", "Lee", "Mario", "Mike", "Mr serious",
    "RicishayMax", "RicishayMax2", "Tweaky", "adam", "anika", "announcer", "aunty", "belinda", "boris", "caleb",
    "david", "ed", "edward", "grandma", "grandpa", "gustave", "ian", "iven", "iven2", "iven4", "john", "kaukovalta",
    "klatt", "klatt3", "linda", "marcelo", "max", "mike2", "norbert", "pablo", "paul", "pedro", "quincy", "rob",
    "shelby", "steph", "travis", "zac",
)  # fmt: skip
_WOMEN = frozenset(("f1", "f4", "Andrea", "Annie", "anika", "aunty", "belinda", "grandma", "linda", "steph"))
# How each voice says each word: accent, pitch (0-99), words a minute.
TAKES = (("en-us", 50, 155), ("en-gb-x-rp", 42, 165), ("en-us", 58, 170), ("en-gb-scotland", 50, 160))
_DATA_FILES = ("phontab", "phondata", "phonindex", "intonations", "en_dict")
_SHA256 = "6c1cc6b8d8e311578443b301d69dd81596e85b3d5062e6d0f1c50e3e4715ec14"


def spoken_digits(split: str = "train", *, limit: int | None = None) -> AudioSet:
    """2,400 spoken digits: 60 voices say ten words four times each, in three accents and at several pitches and speeds.

    48 voices are for training, 6 for validation, 6 for the test, so no voice stands in two splits. The sound is computed
    (about two seconds for all, once a process) and is the same on every call. Each clip starts with 20 ms of silence and is
    as loud at its loudest point as every other.

    Args:
        split: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        limit: at most so many clips.

    Returns:
        Waves in [-1, 1] at 8,000 samples a second, shape (n, 5120).

    Raises:
        ValueError: an unknown split or a limit below 1.
        MissingCarrier: ``espeakng-loader`` is not installed, or does not run on this system.
        CorruptFile: its data files are not the known ones.

    Source: eSpeak NG 1.52, a formant synthesiser (GPL-3); it is called as a program, its sound carries no licence.
    """
    speakers = [voice for voice in VOICES for _ in TAKES for _ in DIGIT_NAMES]
    labels = [digit for _ in VOICES for _ in TAKES for digit in range(len(DIGIT_NAMES))]
    chosen = split_indices(speakers, split, strata=[voice in _WOMEN for voice in speakers], limit=limit)
    waves = _all_clips()
    return AudioSet(
        name="spoken_digits",
        split=split,
        license="generated; the synthesiser is GPL-3",
        source="eSpeak NG 1.52, from espeakng-loader",
        waves=waves[chosen],
        labels=torch.tensor(labels)[chosen],
        classes=tuple("0123456789"),
        speakers=tuple(speakers[i] for i in chosen),
        rate=RATE,
    )


@checked
def resample(wave: Finite[Tensor, " n"], rate: Count, wanted: Count) -> Float[Tensor, " m"]:
    """Change the sampling rate by cutting or padding the spectrum: exact for what both rates can hold.

    The wave is padded with silence until both lengths are whole numbers.

    Raises:
        ValueError: not one wave of finite floats, or a rate that is not above 0.
    """
    common = np.gcd(rate, wanted)
    block, out = rate // common, wanted // common
    blocks = -(-len(wave) // block)
    padded = torch.nn.functional.pad(wave, (0, blocks * block - len(wave)))
    spectrum = torch.fft.rfft(padded.double())
    length = blocks * out
    if wanted < rate:
        spectrum = spectrum[: length // 2 + 1]
        spectrum[-1] = 0  # the highest frequency has no phase of its own left
    return (torch.fft.irfft(spectrum, n=length) * (length / len(padded))).to(wave.dtype)


@lru_cache(maxsize=1)
def _all_clips() -> Float[Tensor, "n samples"]:
    """Every voice, take and word, in that order: always the whole list, because a clip depends on those before it."""
    clips = [
        [f"{accent}+{voice}", pitch, speed, word]
        for voice in VOICES
        for accent, pitch, speed in TAKES
        for word in DIGIT_NAMES
    ]
    rate, sounds = _speak(clips)
    waves = torch.zeros(len(sounds), SAMPLES)
    lead = RATE // 50
    for row, sound in zip(waves, sounds, strict=True):
        wave = resample(torch.from_numpy(sound / 32768.0).float(), rate, RATE)
        loud = torch.nonzero(wave.abs() > 0.02 * wave.abs().max())
        wave = wave[int(loud[0]) : int(loud[-1]) + 1][: SAMPLES - lead]
        row[lead : lead + len(wave)] = 0.9 * wave / wave.abs().max()
    return waves


def _speak(clips: list[list]) -> tuple[int, list[np.ndarray]]:
    """The rate, and the samples of each (voice, pitch, speed, text), from one fresh process."""
    library, data = _engine()
    order = json.dumps({"library": str(library), "data": str(data), "clips": clips})
    program = Path(__file__).with_name("_espeak.py")
    done = subprocess.run([sys.executable, "-I", str(program)], input=order.encode(), capture_output=True, timeout=300)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise MissingCarrier(f"'espeakng-loader' is installed but eSpeak NG does not run here: {said[0]}")
    numbers = np.frombuffer(done.stdout, dtype="<i2")
    rate, place, sounds = int(numbers[:2].view("<i4")[0]), 2, []
    for _ in clips:
        length = int(numbers[place : place + 2].view("<i4")[0])
        sounds.append(numbers[place + 2 : place + 2 + length])
        place += 2 + length
    return rate, sounds


def _engine() -> tuple[Path, Path]:
    """The library and its data folder, checked."""
    folder = carrier_folder("espeakng_loader", distribution="espeakng-loader", extra="speech")
    ending = {"win32": "espeak-ng.dll", "darwin": "libespeak-ng.dylib"}.get(sys.platform, "libespeak-ng.so")
    library, data = folder / ending, folder / "espeak-ng-data"
    files = [data / name for name in _DATA_FILES] + [data / "voices" / "!v" / voice for voice in VOICES]
    missing = [str(file) for file in (library, *files) if not file.is_file()]
    if missing:
        raise MissingCarrier(f"'espeakng-loader' is installed but has no file {missing[0]}; install the locked version")
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + b"\0" + file.read_bytes())
    check_digest("eSpeak NG's data", total.hexdigest(), _SHA256, "espeakng-loader")
    return library, data
