"""Spoken digits: the same sound each time, voices apart, and a resampler that is exact."""

import hashlib
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from companion.data import CorruptFile, MissingCarrier, spoken_digits
from companion.data import speech as speech_module
from companion.data.digits import DIGIT_NAMES
from companion.data.speech import RATE, SAMPLES, TAKES, VOICES, resample
from tests.conftest import rejects

SPLITS = ("train", "valid", "test")


def test_shapes_and_range() -> None:
    clips = spoken_digits("valid")
    assert clips.waves.shape == (240, SAMPLES) and clips.waves.dtype == torch.float32
    assert clips.rate == RATE and clips.classes == tuple("0123456789") and "GPL" in clips.license
    torch.testing.assert_close(clips.waves.abs().amax(1), torch.full((240,), 0.9))
    assert (clips.waves[:, : RATE // 50] == 0).all(), "each clip starts with 20 ms of silence"
    assert clips.labels.bincount(minlength=10).tolist() == [24] * 10
    assert "240 clips of 0.64 s" in repr(clips)


def test_no_voice_in_two_splits_and_all_are_used() -> None:
    voices = [set(spoken_digits(split).speakers) for split in SPLITS]
    assert [len(v) for v in voices] == [48, 6, 6]
    assert set.union(*voices) == set(VOICES) and sum(map(len, voices)) == len(VOICES)
    for names in voices:
        assert names & speech_module._WOMEN and names - speech_module._WOMEN


def test_no_two_clips_are_equal() -> None:
    waves = spoken_digits("all").waves
    assert len({wave.numpy().tobytes() for wave in waves}) == len(VOICES) * len(TAKES) * len(DIGIT_NAMES) == 2_400


@pytest.mark.slow
def test_same_sound_in_another_process() -> None:
    """eSpeak's voices carry state from phrase to phrase: the same list must sound the same in every process."""
    program = (
        "from companion.data import spoken_digits; import hashlib;"
        "print(hashlib.sha256(spoken_digits('all').waves.numpy().tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    assert there == hashlib.sha256(spoken_digits("all").waves.numpy().tobytes()).hexdigest()


def test_limit_and_order_do_not_change_a_clip() -> None:
    few, many = spoken_digits("test", limit=7), spoken_digits("test")
    assert torch.equal(few.waves, many.waves[:7]) and few.speakers == many.speakers[:7]
    few.waves.zero_()
    assert spoken_digits("test").waves[0].abs().max() > 0, "a caller cannot spoil the remembered sound"


def test_a_word_is_told_by_its_sound() -> None:
    """Nearest neighbours over coarse spectra, from other voices only, name most words: chance is one in ten."""
    train, test = spoken_digits("train"), spoken_digits("valid")

    def features(waves: torch.Tensor) -> torch.Tensor:
        size = 512
        power = torch.stft(waves, size, size, window=torch.hann_window(size), return_complex=True).abs()
        coarse = torch.nn.functional.adaptive_avg_pool2d(power[:, None], (24, 11)).flatten(1)
        return (coarse + 1e-2).log()

    nearest = torch.cdist(features(test.waves), features(train.waves)).argmin(1)
    assert (train.labels[nearest] == test.labels).float().mean() > 0.7


def test_resample_is_exact_for_a_tone() -> None:
    """A tone that both rates can hold comes out as the tone sampled at the other rate."""
    for rate, wanted, seconds in ((22_050, 8_000, 0.1), (8_000, 16_000, 0.1), (8_000, 8_000, 0.1)):
        time = torch.arange(round(rate * seconds)) / rate
        again = torch.arange(round(wanted * seconds)) / wanted
        got = resample(torch.sin(2 * math.pi * 440 * time), rate, wanted)
        torch.testing.assert_close(got, torch.sin(2 * math.pi * 440 * again), atol=1e-4, rtol=0)


def test_resample_drops_what_the_lower_rate_cannot_hold() -> None:
    time = torch.arange(2_205) / 22_050
    assert resample(torch.sin(2 * math.pi * 6_000 * time), 22_050, 8_000).abs().max() < 1e-3


def test_bad_input() -> None:
    with rejects("split"):
        spoken_digits("dev")
    with rejects("limit"):
        spoken_digits(limit=0)
    with rejects("wave"):
        resample(torch.zeros(2, 3), 8_000, 16_000)
    with rejects("wave"):
        resample(torch.tensor([0.0, float("nan")]), 8_000, 16_000)
    with rejects("rate"):
        resample(torch.zeros(5), 0, 16_000)


def test_a_missing_or_foreign_engine_is_named(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(speech_module, "_SHA256", "0" * 64)
    with rejects("eSpeak NG's data.*sha256", CorruptFile):
        speech_module._engine()
    monkeypatch.setattr(speech_module, "carrier_folder", lambda *_, **__: tmp_path)
    with rejects("no file", MissingCarrier):
        speech_module._engine()


@pytest.mark.parametrize("clip", [["no-such-voice", 50, 160, "one"]])
def test_an_engine_that_fails_says_why(clip: list) -> None:
    with rejects("no voice 'no-such-voice'", MissingCarrier):
        speech_module._speak([clip])


def test_speak_returns_the_samples_of_each_clip() -> None:
    rate, sounds = speech_module._speak([["en-us+m1", 50, 160, "one"], ["en-us+m1", 50, 160, "one hundred and eleven"]])
    assert rate == 22_050 and len(sounds[1]) > 2 * len(sounds[0]) and np.abs(sounds[0]).max() > 1_000


def test_the_engines_answer_is_cut_into_its_clips(monkeypatch) -> None:
    """The rate, then each clip's length and its samples; lengths above 2¹⁵ need both halves of the number."""
    clips = [np.arange(5, dtype="<i2"), np.zeros(0, "<i2"), np.full(70_000, -3, "<i2"), np.array([7], "<i2")]
    answer = np.array([22_050], "<i4").tobytes() + b"".join(
        np.array([len(clip)], "<i4").tobytes() + clip.tobytes() for clip in clips
    )
    done = subprocess.CompletedProcess([], 0, stdout=answer, stderr=b"")
    monkeypatch.setattr(speech_module.subprocess, "run", lambda *_, **__: done)
    rate, sounds = speech_module._speak([["", 0, 0, ""]] * 4)
    assert rate == 22_050
    for sound, clip in zip(sounds, clips, strict=True):
        assert np.array_equal(sound, clip)
