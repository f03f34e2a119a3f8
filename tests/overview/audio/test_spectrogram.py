"""The spectrogram against transformers and against its printed equations, the way back, and bad input."""

import io
import math
import wave

import numpy as np
import pytest
import torch
from transformers import audio_utils

from companion.overview.audio.spectrogram import (
    Analysis,
    griffin_lim,
    hertz_to_mel,
    istft,
    log_mel,
    magnitude_from_log_mel,
    mel_filters,
    spectral_error,
    stft,
    wav_bytes,
)
from tests.conftest import rejects

# An even rate: transformers halves it in whole numbers.
HOW = Analysis(rate=11_026, window=200, hop=40, mels=13)


def _waves(n: int = 3, samples: int = 1_234, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(n, samples, generator=torch.Generator().manual_seed(0), dtype=dtype) / 4


def test_stft_is_the_printed_sum_in_float64() -> None:
    """eq-stft, term by term: window, mirrored ends, one frame every hop."""
    waves = _waves(dtype=torch.float64)
    half, n = HOW.window // 2, torch.arange(HOW.window, dtype=torch.float64)
    mirrored = torch.cat([waves[:, 1 : half + 1].flip(1), waves, waves[:, -half - 1 : -1].flip(1)], 1)
    w = 0.5 - 0.5 * torch.cos(2 * math.pi * n / HOW.window)
    got = stft(waves, HOW)
    assert got.shape == (3, HOW.frequencies, 1 + 1_234 // HOW.hop)
    for k in (0, 1, 37, HOW.frequencies - 1):
        for m in (0, 2, 17, 30):
            x = mirrored[:, m * HOW.hop : m * HOW.hop + HOW.window]
            want = (w * x * torch.exp(-2j * math.pi * k * n / HOW.window)).sum(1)
            torch.testing.assert_close(got[:, k, m], want, atol=1e-10, rtol=0)


@pytest.mark.parametrize("samples", [101, 1_234, 1_240])
def test_istft_inverts_stft(samples: int) -> None:
    waves = _waves(samples=samples, dtype=torch.float64)
    torch.testing.assert_close(istft(stft(waves, HOW), HOW, samples), waves, atol=1e-10, rtol=0)


def test_mel_filters_equal_transformers() -> None:
    for how in (HOW, Analysis(), Analysis(rate=16_000, window=400, hop=100, mels=30)):
        want = audio_utils.mel_filter_bank(
            how.frequencies, how.mels, 0.0, how.rate / 2, how.rate, norm=None, mel_scale="htk"
        )
        np.testing.assert_allclose(mel_filters(how).numpy(), want.T, atol=1e-6)


def test_log_mel_equals_transformers() -> None:
    waves = _waves()
    bank = audio_utils.mel_filter_bank(HOW.frequencies, HOW.mels, 0.0, HOW.rate / 2, HOW.rate, mel_scale="htk")
    for row, got in zip(waves, log_mel(waves, HOW), strict=True):
        want = audio_utils.spectrogram(
            row.numpy(), audio_utils.window_function(HOW.window, "hann"), HOW.window, HOW.hop, power=1.0, mel_filters=bank,
            mel_floor=HOW.floor, log_mel="log",
        )  # fmt: skip
        np.testing.assert_allclose(got.numpy(), want, atol=1e-4)  # logarithms of float32 sums
        np.testing.assert_allclose(got.exp().numpy(), np.exp(want), atol=1e-5, rtol=1e-5)


def test_mel_scale_and_log_mel_as_printed() -> None:
    """eq-mel and eq-log-mel in float64."""
    f = torch.tensor([0.0, 440.0, 1_000.0, 4_000.0], dtype=torch.float64)
    torch.testing.assert_close(
        hertz_to_mel(f), torch.tensor([2595 * math.log10(1 + float(x) / 700) for x in f]).double()
    )
    assert abs(float(hertz_to_mel(torch.tensor(1_000.0))) - 1_000) < 0.1, "1000 Hz is 1000 mel"
    waves = _waves(dtype=torch.float64)
    loud = torch.einsum("jk,nkm->njm", mel_filters(HOW).double(), stft(waves, HOW).abs())
    torch.testing.assert_close(log_mel(waves, HOW), torch.log(torch.maximum(loud, torch.tensor(HOW.floor).double())))


def test_a_tone_stands_in_its_row() -> None:
    how = Analysis()
    tone = torch.sin(2 * math.pi * 1_000 * torch.arange(4_000) / how.rate)[None]
    rows = stft(tone, how).abs()[0].argmax(0)
    assert (rows[3:-3] == 1_000 * how.window // how.rate).all()


def test_a_clip_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    waves = _waves()
    torch.testing.assert_close(log_mel(waves, HOW)[1:2], log_mel(waves[1:2], HOW))


def test_griffin_lim_step_as_printed() -> None:
    """Without momentum one iteration is eq-griffin-lim: the phases of P(S) and the wanted magnitudes."""
    waves = _waves(dtype=torch.float64)
    magnitude = stft(waves, HOW).abs()
    once = griffin_lim(magnitude, HOW, 1_234, torch.Generator().manual_seed(3), iterations=1, momentum=0)
    turns = torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    spectra = magnitude * torch.exp(2j * math.pi * turns)
    possible = stft(istft(spectra, HOW, 1_234), HOW)
    want = istft(magnitude * possible / possible.abs(), HOW, 1_234)
    torch.testing.assert_close(once, want, atol=1e-8, rtol=0)


def test_griffin_lim_never_gets_worse_and_momentum_gets_nearer() -> None:
    """Griffin & Lim prove that each plain iteration lowers the distance to the possible spectrograms."""
    tone = torch.sin(2 * math.pi * 500 * torch.arange(2_000) / HOW.rate)
    waves = torch.stack([tone * torch.linspace(0, 1, 2_000), tone.roll(300) + 0.1 * torch.randn(2_000)])
    magnitude = stft(waves, HOW).abs()

    def error(iterations: int, momentum: float) -> float:
        seed = torch.Generator().manual_seed(1)
        made = griffin_lim(magnitude, HOW, 2_000, seed, iterations=iterations, momentum=momentum)
        return float(spectral_error(made, magnitude, HOW).mean())

    plain = [error(i, 0.0) for i in (0, 2, 5, 20, 50)]
    assert all(later <= earlier + 1e-4 for earlier, later in zip(plain, plain[1:], strict=False)), plain
    assert plain[-1] < 0.5 * plain[0] and error(50, 0.99) < plain[-1]


def test_spectral_error_is_zero_for_the_wave_itself() -> None:
    waves = _waves()
    assert spectral_error(waves, stft(waves, HOW).abs(), HOW).max() < 1e-6


def test_magnitude_from_log_mel_has_the_wanted_bands() -> None:
    how = Analysis()
    bands = log_mel(torch.sin(2 * math.pi * 700 * torch.arange(3_000) / how.rate)[None], how)
    magnitude = magnitude_from_log_mel(bands, how, iterations=200)
    again = mel_filters(how) @ magnitude
    assert (magnitude >= 0).all()
    assert float((again - bands.exp()).norm() / bands.exp().norm()) < 0.02


@pytest.mark.parametrize("bits", [8, 16])
def test_wav_round_trip(bits: int) -> None:
    x = torch.tensor([0.0, 0.5, -0.5, 1.0, -1.0, 2.0])
    with wave.open(io.BytesIO(wav_bytes(x, 8_000, bits=bits))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8_000, 1, bits // 8)
        raw = file.readframes(6)
    if bits == 16:
        back = torch.from_numpy(np.frombuffer(raw, "<i2").astype(np.float32)) / 32_767
    else:
        back = torch.from_numpy(np.frombuffer(raw, "u1").astype(np.float32)) / 127.5 - 1
    torch.testing.assert_close(back, x.clamp(-1, 1), atol=1 / 2 ** (bits - 1), rtol=0)


def test_bad_input() -> None:
    seed = torch.Generator()
    for name, bad in {"rate": 0, "window": 7, "hop": 65, "mels": 0, "floor": 0.0}.items():
        with rejects(name):
            Analysis(**{name: bad})
    with rejects("waves"):
        stft(torch.zeros(1_000), HOW)
    with rejects("waves"):
        stft(torch.zeros(0, 1_000), HOW)
    with rejects("half a window"):
        stft(torch.zeros(2, 100), HOW)
    with rejects("waves"):
        log_mel(torch.full((2, 500), float("nan")), HOW)
    with rejects("spectra"):
        istft(torch.zeros(2, 5, 6, dtype=torch.complex64), HOW, 500)
    with rejects("samples"):
        istft(stft(_waves(), HOW), HOW, 100_000)
    with rejects("bands"):
        magnitude_from_log_mel(torch.zeros(1, 12, 5), HOW)
    with rejects("magnitude: got values from -1 to -1, wanted numbers from 0"):
        griffin_lim(-torch.ones(1, HOW.frequencies, 5), HOW, 160, seed)
    with rejects("momentum"):
        griffin_lim(torch.ones(1, HOW.frequencies, 5), HOW, 160, seed, momentum=1.5)
    with rejects("bits"):
        wav_bytes(torch.zeros(5), 8_000, bits=12)
    with rejects("wave"):
        wav_bytes(torch.zeros(1, 5), 8_000)
