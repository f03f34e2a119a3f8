r"""The log-mel spectrogram of a sound, and the way back to sound by Griffin and Lim's phase recovery.

- short-time Fourier transform (eq-stft): :math:`S_{k,m} = \sum_{n=0}^{N-1} w_n\, x_{n + mH}\, e^{-2\pi i k n / N}`
- mel scale (eq-mel): :math:`\mathrm{mel}(f) = 2595 \log_{10}(1 + f / 700)`
- log-mel spectrogram (eq-log-mel): :math:`M_{j,m} = \log \max(\epsilon, \sum_k F_{jk} |S_{k,m}|)`
- phase recovery (eq-griffin-lim):
  :math:`S \leftarrow A \odot \frac{P(S)}{|P(S)|}` with :math:`P = \mathrm{STFT} \circ \mathrm{ISTFT}`

Sources: Griffin & Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP 32(2), 1984; the momentum of
`griffin_lim` from Perraudin, Balazs & Søndergaard, "A fast Griffin-Lim algorithm", WASPAA 2013. Frames are centred: the wave is
mirrored at its ends, as ``torch.stft`` does, so frame m is of the samples around mH.
"""

import io
import math
import wave as wave_file
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from companion.training.random import rand
from companion.validate import (
    Count,
    Finite,
    Positive,
    Range,
    Share,
    check_count,
    checked,
)


@checked
@dataclass(frozen=True)
class Analysis:
    """How a spectrogram is computed.

    Attributes:
        rate: samples per second.
        window: N, samples in a frame; a frame gives N/2 + 1 frequencies.
        hop: H, samples from one frame to the next, at most a quarter of the window.
        mels: bands of the mel spectrogram.
        floor: what quieter bands are raised to before the logarithm.
    """

    rate: Count = 8_000
    window: Annotated[int, Range(8)] = 256
    hop: Count = 64
    mels: Count = 48
    floor: Positive = 1e-2

    def __post_init__(self) -> None:
        check_count("hop", self.hop, high=self.window // 4)

    @property
    def frequencies(self) -> int:
        """Rows of the spectrogram."""
        return self.window // 2 + 1


@checked
def stft(waves: Finite[Tensor, "n samples"], how: Analysis) -> Complex[Tensor, "n frequencies frames"]:
    """The short-time Fourier transform with a Hann window (eq-stft): 1 + samples // hop frames."""
    if waves.shape[1] <= how.window // 2:
        raise ValueError(f"waves: got {waves.shape[1]} samples, wanted more than half a window, {how.window // 2}")
    window = torch.hann_window(how.window, dtype=waves.dtype, device=waves.device)
    return torch.stft(waves, how.window, how.hop, window=window, return_complex=True)


@checked
def istft(
    spectra: Complex[Tensor, "n {how.frequencies} frames"], how: Analysis, samples: int
) -> Float[Tensor, "n samples"]:
    """The waves whose transform is nearest to ``spectra`` in least squares; exact if it is the transform of any wave."""
    check_count("samples", samples, high=spectra.shape[-1] * how.hop + how.window)
    window = torch.hann_window(how.window, dtype=spectra.real.dtype, device=spectra.device)
    return torch.istft(spectra, how.window, how.hop, window=window, length=samples)


def hertz_to_mel(hertz: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """O'Shaughnessy's formula of the mel scale, on which equal steps sound about equally far apart (eq-mel)."""
    return 2595 * torch.log10(1 + hertz / 700)


def mel_filters(how: Analysis) -> Float[Tensor, "mels frequencies"]:
    """Triangles of height 1 over the frequencies, their corners equally spaced on the mel scale."""
    top = hertz_to_mel(torch.tensor(how.rate / 2, dtype=torch.float64))
    corners = torch.linspace(0, float(top), how.mels + 2, dtype=torch.float64)
    corners = 700 * (10 ** (corners / 2595) - 1)
    hertz = torch.linspace(0, how.rate / 2, how.frequencies, dtype=torch.float64)
    left, middle, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (hertz - left) / (middle - left), (right - hertz) / (right - middle)
    return torch.minimum(rising, falling).clamp(min=0).float()


def log_mel(waves: Float[Tensor, "n samples"], how: Analysis) -> Float[Tensor, "n mels frames"]:
    """The logarithm of the loudness in each mel band and frame (eq-log-mel)."""
    loudness = mel_filters(how).to(waves) @ stft(waves, how).abs()
    return loudness.clamp(min=how.floor).log()


@checked
def magnitude_from_log_mel(
    bands: Finite[Tensor, "n {how.mels} frames"], how: Analysis, iterations: Count = 50
) -> Float[Tensor, "n frequencies frames"]:
    """Magnitudes, nowhere negative, whose mel bands come near to the given ones.

    There are fewer bands than frequencies, so many answers fit; multiplicative updates (Lee & Seung, NIPS 2000) started from
    equal loudness choose a smooth one.
    """
    filters, wanted = mel_filters(how).to(bands), bands.exp()
    target = filters.T @ wanted
    magnitude = target.clone()
    for _ in range(iterations):
        magnitude = magnitude * target / (filters.T @ (filters @ magnitude)).clamp(min=1e-8)
    return magnitude


@checked
def griffin_lim(
    magnitude: Annotated[Float[Tensor, "n {how.frequencies} frames"], Range(0)],
    how: Analysis,
    samples: int,
    generator: torch.Generator,
    *,
    iterations: Annotated[int, Range(0)] = 60,
    momentum: Share = 0.99,
) -> Float[Tensor, "n samples"]:
    """Waves whose spectrogram comes near to ``magnitude``, from random phases (eq-griffin-lim).

    Args:
        magnitude: A, not negative.
        samples: the waves' length.
        generator: of the first phases.
        iterations: 0 keeps the random phases.
        momentum: 0 for Griffin and Lim's own iteration; 0.99 gets as near in far fewer steps.
    """
    turns = rand(magnitude.shape, generator, like=magnitude)
    spectra = torch.polar(magnitude, 2 * math.pi * turns)
    before = torch.zeros_like(spectra)
    for _ in range(iterations):
        possible = stft(istft(spectra, how, samples), how)
        ahead = possible + momentum * (possible - before)
        spectra = magnitude * ahead / ahead.abs().clamp(min=1e-8)
        before = possible
    return istft(spectra, how, samples)


def spectral_error(
    waves: Float[Tensor, "n samples"], magnitude: Float[Tensor, "n frequencies frames"], how: Analysis
) -> Float[Tensor, "n"]:
    """How far the waves' spectrograms are from the wanted ones: the norm of the difference over the wanted one's norm."""
    difference = (stft(waves, how).abs() - magnitude).flatten(1).norm(dim=1)
    return difference / magnitude.flatten(1).norm(dim=1).clamp(min=1e-8)


@checked
def wav_bytes(wave: Finite[Tensor, "samples"], rate: Count, *, bits: Literal[8, 16] = 16) -> bytes:
    """A wave in [-1, 1] as the bytes of a WAV file, for a player in the page; what lies outside is clipped.

    Args:
        bits: ``16``, or ``8`` for half the size and a faint hiss.
    """
    clipped = wave.detach().cpu().clamp(-1, 1)
    if bits == 16:
        data = (clipped * 32_767).round().numpy().astype("<i2").tobytes()
    else:
        data = ((clipped + 1) * 127.5).round().numpy().astype("u1").tobytes()
    stream = io.BytesIO()
    with wave_file.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(data)
    return stream.getvalue()
