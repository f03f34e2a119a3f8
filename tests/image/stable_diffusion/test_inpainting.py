"""Outside a hole all is known at any time; steps taken again keep the law of what is drawn."""

import pytest
import torch

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.paths import RectifiedFlow, cosine_schedule
from companion.diffusion.prediction import Prediction, as_denoiser
from companion.image.stable_diffusion.inpainting import keep_outside, sample_again
from companion.image.stable_diffusion.linear_autoencoder import normal_denoiser
from tests.conftest import gen, rejects

PATHS = [
    pytest.param(RectifiedFlow(), 8, id="straight"),
    pytest.param(cosine_schedule(40), 8, id="variance preserving"),
]
HOLE = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
HOLE[:, :, 1:3, 2:] = True
GIVEN = torch.randn(2, 3, 4, 4, generator=gen(6))


@pytest.mark.parametrize(("path", "steps"), PATHS)
@pytest.mark.parametrize("rounds", [1, 3])
def test_outside_each_step_ends_on_the_path_of_the_picture(path, steps, rounds) -> None:
    """eq-sd-inpaint: z_t = α z + σ ε, with a noise of about standard size, whatever the network says; at last z itself."""
    seen, noise = [], torch.randn(2, 3, 4, 4, generator=gen())

    def watched(z_t, t):
        seen.append((z_t, t))
        return torch.randn(z_t.shape, generator=gen(len(seen)))

    knowing = keep_outside(as_denoiser(watched, path, "x0"), path, HOLE, GIVEN)
    last = sample_again(knowing, path, noise, steps, rounds, gen(9))
    out = ~HOLE.expand_as(GIVEN)
    torch.testing.assert_close(last[out], GIVEN[out], rtol=1e-4, atol=1e-4)
    assert len(seen) == steps * rounds and (last[~out] - GIVEN[~out]).abs().max() > 0.1
    for z_t, t in seen:
        alpha, sigma = path.alpha_sigma(t, z_t)
        left = ((z_t - alpha * GIVEN) / sigma)[out]
        if rounds == 1:
            torch.testing.assert_close(left, noise[out], rtol=0, atol=0.01)  # near the data σ is small
        assert 0.8 < float(left.square().mean().sqrt()) < 1.2


def test_a_known_denoiser_is_asked_once_and_inside_nothing_is_changed() -> None:
    asked = []

    def denoiser(z_t, t):
        asked.append(t)
        return Prediction(2 * z_t, -z_t)

    path, z_t, t = RectifiedFlow(), torch.randn(2, 3, 4, 4, generator=gen()), torch.tensor([0.5, 0.5])
    found = keep_outside(denoiser, path, HOLE, GIVEN)(z_t, t)
    inside = HOLE.expand_as(GIVEN)
    assert len(asked) == 1
    assert torch.equal(found.x0, torch.where(inside, 2 * z_t, GIVEN))
    torch.testing.assert_close(0.5 * found.x0 + 0.5 * found.eps, z_t)


@pytest.mark.parametrize(("path", "steps"), PATHS)
def test_one_round_is_ddim(path, steps) -> None:
    denoiser, x = normal_denoiser(path, torch.tensor([0.3, 2.0])), torch.randn(5, 2, 1, 1, generator=gen())
    got = sample_again(denoiser, path, x, steps, 1, gen())
    torch.testing.assert_close(got, ddim_sample(denoiser, path, x, steps))


@pytest.mark.parametrize("path", [RectifiedFlow(), cosine_schedule(300)], ids=["straight", "variance preserving"])
def test_rounds_keep_the_variance_of_normal_data(path) -> None:
    """With the best denoiser, going back and forth leaves N(0, λ) as it was, and changes which sample it is."""
    variances, x = torch.tensor([0.25, 1.0]), torch.randn(40_000, 2, 1, 1, generator=gen())
    denoiser = normal_denoiser(path, variances)
    once, thrice = (sample_again(denoiser, path, x, 100, rounds, gen(4))[:, :, 0, 0] for rounds in (1, 3))
    torch.testing.assert_close(thrice.var(0), variances, rtol=0.07, atol=0)
    assert abs(float(torch.corrcoef(torch.stack([once[:, 0], thrice[:, 0]]))[0, 1])) < 0.5


def test_bad_input() -> None:
    with rejects("hole"):
        keep_outside(normal_denoiser(RectifiedFlow(), torch.ones(3)), RectifiedFlow(), HOLE[:, 0], GIVEN)
    with rejects("z"):
        keep_outside(normal_denoiser(RectifiedFlow(), torch.ones(3)), RectifiedFlow(), HOLE, GIVEN[:1])
    with rejects("rounds"):
        sample_again(
            normal_denoiser(RectifiedFlow(), torch.ones(1)), RectifiedFlow(), torch.zeros(1, 1, 1, 1), 3, 0, gen()
        )
