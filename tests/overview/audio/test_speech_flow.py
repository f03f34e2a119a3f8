"""The model of spectrograms: its components, what its velocity depends on, and that it learns which digit is which."""

import torch

from companion.diffusion.flow_matching import on_path
from companion.overview.audio.listener import Listener, accuracy, listener_loss
from companion.overview.audio.speech_flow import SpeechFlow, fit_components, speak, speech_loss
from companion.training import TrainConfig, train
from tests.conftest import rejects


def _bands(n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Spectrograms of three "words": a bar that rises, stays or falls, at a pitch and a length of its own."""
    seed = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 3
    start = 4 + 4 * torch.rand(n, generator=seed)
    end = 10 + 8 * torch.rand(n, generator=seed)
    time, row = torch.arange(20.0), torch.arange(12.0)
    centre = start[:, None] + (labels[:, None] - 1) * 0.2 * time
    bars = torch.exp(-((row[None, :, None] - centre[:, None]) ** 2)) * (time < end[:, None, None])
    return (bars + 1e-2).log(), labels


def test_components_are_orthonormal_and_invert_each_other() -> None:
    """eq-components, both ways, with all directions kept."""
    bands, _ = _bands()
    parts = fit_components(bands, 39)
    torch.testing.assert_close(parts.pca.axes[:, :39].T @ parts.pca.axes[:, :39], torch.eye(39), atol=1e-5, rtol=0)
    torch.testing.assert_close(parts.decode(parts.encode(bands)), bands, atol=1e-3, rtol=0)
    z = ((bands.double() - parts.mean.double()).flatten(1) @ parts.pca.axes[:, :39].double()) / parts.scale
    torch.testing.assert_close(parts.encode(bands).double(), z, atol=1e-4, rtol=0)
    few = fit_components(bands, 5)
    torch.testing.assert_close(
        few.encode(few.decode(few.encode(bands) * 0.3)), few.encode(bands) * 0.3, atol=0.3, rtol=0
    )


def test_components_order_and_scale() -> None:
    bands, _ = _bands()
    z = fit_components(bands, 6).encode(bands)
    spread = z.std(0)
    assert abs(float(spread[0]) - 1) < 1e-4 and (spread.diff() <= 1e-5).all()
    covariance = torch.cov(z.T)
    assert (covariance - covariance.diag().diag()).abs().max() < 1e-4
    assert fit_components(bands, 2).decode(torch.full((1, 2), -50.0)).min() >= bands.min()


def test_velocity_depends_on_point_time_and_digit_and_not_on_the_batch() -> None:
    """Also I47: the time is not lost on the batch axis."""
    torch.manual_seed(0)
    model = SpeechFlow(7, 3, width=16, depth=2).eval()
    x, t, digit = torch.randn(5, 7), torch.rand(5), torch.tensor([0, 1, 2, 0, 1])
    with torch.no_grad():
        v = model(x, t, digit)
        assert v.shape == (5, 7)
        assert ((model(x, 1 - t, digit) - v).abs().amax(1) > 1e-5).all()
        assert ((model(x, t, (digit + 1) % 3) - v).abs().amax(1) > 1e-5).all()
        assert ((model(x + 1, t, digit) - v).abs().amax(1) > 1e-5).all()
        torch.testing.assert_close(model(x[3:4], t[3:4], digit[3:4]), v[3:4])


def test_loss_as_printed() -> None:
    """eq-speech-flow in float64, with the noise and times that the loss drew."""
    torch.manual_seed(0)
    model = SpeechFlow(7, 3, width=16, depth=2).double()
    z, digit = torch.randn(5, 7, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1])
    got = speech_loss(model, (z, digit), torch.Generator().manual_seed(4))
    seed = torch.Generator().manual_seed(4)
    noise = torch.randn(z.shape, generator=seed, dtype=z.dtype)
    t = torch.rand(5, generator=seed, dtype=z.dtype)
    x_t = (1 - t[:, None]) * noise + t[:, None] * z
    torch.testing.assert_close(x_t, on_path(noise, z, t))
    want = ((model(x_t, t, digit) - (z - noise)) ** 2).sum(1).mean() / 7
    torch.testing.assert_close(got, want)


def test_learns_what_each_word_looks_like() -> None:
    """A listener trained on real pictures names the generated ones; told nothing, it could be right one time in three."""
    bands, labels = _bands(300)
    parts = fit_components(bands, 12)
    torch.manual_seed(0)
    listener = train(
        Listener(3, width=8), listener_loss, (bands, labels), TrainConfig(steps=120, batch_size=32, lr=3e-3)
    ).model
    assert accuracy(listener, bands, labels) > 0.95
    model = SpeechFlow(12, 3, width=64, depth=2)
    data = (parts.encode(bands), labels)
    trained = train(model, speech_loss, data, TrainConfig(steps=500, batch_size=64, lr=3e-3)).model
    asked = torch.arange(3).repeat(30)
    made = speak(trained, parts, asked, torch.Generator().manual_seed(0))
    assert made.shape == (90, 12, 20)
    assert accuracy(listener, made, asked) > 0.85
    untrained = speak(SpeechFlow(12, 3, width=64, depth=2), parts, asked, torch.Generator().manual_seed(0))
    assert accuracy(listener, untrained, asked) < 0.6


def test_samples_follow_the_generator_alone() -> None:
    bands, _ = _bands()
    parts, model = fit_components(bands, 4), SpeechFlow(4, 3, width=16, depth=1)
    digit = torch.tensor([0, 2])
    one, two, other = (speak(model, parts, digit, torch.Generator().manual_seed(s), steps=3) for s in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert not one.requires_grad


def test_bad_input() -> None:
    bands, labels = _bands()
    parts, model, listener = fit_components(bands, 4), SpeechFlow(4, 3), Listener(3)
    with rejects("bands"):
        fit_components(bands[0], 3)
    with rejects("k:"):
        fit_components(bands, 40)
    with rejects("alike"):
        fit_components(torch.ones(5, 3, 4), 2)
    with rejects("bands"):
        fit_components(bands * float("nan"), 2)
    with rejects("bands"):
        parts.encode(bands[:, :, :5])
    with rejects("z"):
        parts.decode(torch.zeros(2, 5))
    with rejects("width"):
        SpeechFlow(4, width=0)
    with rejects("digit"):
        model(torch.zeros(1, 4), torch.zeros(1), torch.tensor([3]))
    with rejects("t:"):
        model(torch.zeros(2, 4), torch.zeros(1), torch.tensor([0, 1]))
    with rejects("digit"):
        speak(model, parts, torch.zeros(0, dtype=torch.long), torch.Generator())
    with rejects("classes"):
        Listener(0)
    with rejects("labels"):
        accuracy(listener, bands, labels[:5])
    with rejects("labels"):
        accuracy(listener, bands, labels + 1)
