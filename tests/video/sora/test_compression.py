"""The compression network: what sees what, unit variance, and that it beats PCA with as many numbers."""

import pytest
import torch

from companion.data.moving_digits import film_maker
from companion.models.sora_digits import load
from companion.nn.patches import patchify
from companion.video.sora.compression import FilmCompressor, compression_loss
from tests.conftest import rejects


def films(n=3, frames=12, height=8, width=12):
    return torch.rand(n, 1, frames, height, width) * 2 - 1


class TestDependence:
    @pytest.mark.parametrize("frame", range(12))
    def test_a_latent_frame_depends_on_its_own_four_frames_alone_I58(self, frame):
        net, x = FilmCompressor(channels=5).eval(), films()
        changed = x.clone()
        changed[:, :, frame] *= -1
        moved = (net.encode(x) - net.encode(changed)).abs().amax((0, 1, 3, 4)) > 1e-6
        assert moved.tolist() == [t == frame // 4 for t in range(3)]

    @pytest.mark.parametrize("step", range(3))
    def test_four_frames_depend_on_their_own_latent_alone_I58(self, step):
        net, z = FilmCompressor(channels=5).eval(), torch.randn(2, 5, 3, 2, 4)
        changed = z.clone()
        changed[:, :, step] += 1
        moved = (net.decode(z) - net.decode(changed)).abs().amax((0, 1, 3, 4)) > 1e-6
        assert moved.tolist() == [t // 4 == step for t in range(12)]

    def test_films_do_not_see_each_other_I47(self):
        net, x = FilmCompressor().eval(), films()
        torch.testing.assert_close(net.encode(x)[1:2], net.encode(x[1:2]), rtol=0, atol=1e-5)

    def test_any_length_and_shape_I57(self):
        net = FilmCompressor(channels=5).eval()
        for size in ((4, 8, 8), (12, 8, 12), (8, 20, 4)):
            z = net.encode(films(2, *size))
            assert z.shape == (2, 5, size[0] // 4, size[1] // 4, size[2] // 4)
            assert net.decode(z).shape == (2, 1, *size)

    def test_the_edge_is_ground(self):
        """More ground around a film changes no latent that is further in than the encoder reaches."""
        net, x = FilmCompressor().eval(), films(2, 4, 16, 16)
        wide = torch.nn.functional.pad(x, (16, 16, 16, 16), value=-1.0)
        torch.testing.assert_close(net.encode(wide)[..., 5:7, 5:7], net.encode(x)[..., 1:3, 1:3], rtol=0, atol=1e-4)


def test_printed_loss_I60():
    """``eq-sora-compression``: the noise is the model's σ times a standard normal, on latents of unit variance."""
    net, x = FilmCompressor(noise=0.3).eval(), films()
    z = net.encode(x)
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(4))
    want = (x - net.decode(z + 0.3 * noise)).square().mean()
    torch.testing.assert_close(compression_loss(net, (x,), torch.Generator().manual_seed(4)), want)


def test_in_training_latents_have_mean_zero_and_variance_one():
    z = FilmCompressor().train().encode(films(8))
    torch.testing.assert_close(z.mean((0, 2, 3, 4)), torch.zeros(8), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.var((0, 2, 3, 4), correction=0), torch.ones(8), rtol=0, atol=1e-2)


def test_the_shipped_one_beats_pca_with_as_many_numbers():
    """The best linear compression of 4×4×4 pixels into as many numbers, fitted to the films that ours was trained on."""
    net = load().compressor
    seen = patchify(film_maker("train").draw(400, torch.Generator().manual_seed(1)).films, (4, 4, 4)).flatten(0, 1)
    unseen = film_maker("valid").draw(200, torch.Generator().manual_seed(2)).films
    mean = seen.mean(0)
    axes = torch.linalg.svd(seen - mean, full_matrices=False)[2][: net.channels]
    flat = patchify(unseen, (4, 4, 4)) - mean
    pca = (flat - flat @ axes.T @ axes).square().mean()
    with torch.no_grad():
        ours = (net.decode(net.encode(unseen)) - unseen).square().mean()
    assert ours < 0.25 * pca


def test_what_a_caller_can_get_wrong():
    with rejects("films: got 3 frames of 8×12"):
        FilmCompressor().encode(films(1, 3))
    with rejects("noise: got -1"):
        FilmCompressor(noise=-1)
