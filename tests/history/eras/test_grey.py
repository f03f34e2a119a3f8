"""Four greys: rounding, masses that add up to 1, fresh pictures that are greys again."""

import pytest
import torch

from companion.data import digits
from companion.history.eras.grey import GREYS, Drawing, grey_index, log_mass, to_greys
from tests.conftest import gen, rejects

VALUES = torch.tensor([-1.0, -1 / 3, 1 / 3, 1.0])


def test_each_pixel_goes_to_the_nearest_grey_and_stays_there():
    images = torch.rand(3, 1, 28, 28, generator=gen(0)) * 2.4 - 1.2
    found = to_greys(images)
    nearest = VALUES[(images[..., None] - VALUES).abs().argmin(-1)]
    torch.testing.assert_close(found, nearest)
    assert torch.equal(to_greys(found), found)
    torch.testing.assert_close(VALUES[grey_index(found)], found)


@pytest.mark.parametrize("width", [0.01, 0.1, 1.0, 10.0])
def test_the_masses_of_the_four_greys_add_up_to_one(width):
    mean = torch.linspace(-1.5, 1.5, 7, dtype=torch.float64)[:, None]
    log_width = torch.tensor(width, dtype=torch.float64).log()
    masses = [log_mass(grey.expand_as(mean).double(), mean, log_width.expand_as(mean)).exp() for grey in VALUES]
    torch.testing.assert_close(sum(masses), torch.ones(7, dtype=torch.float64), atol=1e-5, rtol=0)


def test_a_mass_is_the_logistic_distributions_share_of_the_interval():
    """Against the distribution function itself, for pixels of all greys together."""
    x, mean = VALUES[None].double(), torch.tensor([[-0.9, 0.1, 0.2, 0.5]], dtype=torch.float64)
    edges = torch.tensor([-float("inf"), -2 / 3, 0.0, 2 / 3, float("inf")], dtype=torch.float64)
    shares = torch.sigmoid((edges[1:] - mean[0]) / 0.2) - torch.sigmoid((edges[:-1] - mean[0]) / 0.2)
    got = log_mass(x, mean, torch.full_like(mean, 0.2).log())
    torch.testing.assert_close(got, shares.log().sum()[None], atol=1e-6, rtol=0)


def test_gradients_are_finite_far_from_the_mean():
    mean = torch.tensor([[9.0, 0.0, 0.0, -9.0]], requires_grad=True)
    log_width = torch.full((1, 4), -4.0, requires_grad=True)
    log_mass(VALUES[None], mean, log_width).sum().backward()
    assert mean.grad.isfinite().all() and log_width.grad.isfinite().all() and mean.grad[0, 0] < 0 < mean.grad[0, 3]


class TestDrawing:
    images = digits("train", limit=50).images

    def test_half_of_a_batch_is_the_data_and_half_is_near_to_it(self):
        (batch,) = Drawing(self.images)(20, gen(1))
        apart = torch.cdist(batch.flatten(1), to_greys(self.images).flatten(1)).amin(1)
        assert int((apart == 0).sum()) == 10 and (apart[:10] > 0).all()
        assert len(grey_index(batch).unique()) == GREYS

    def test_with_a_pool_the_distorted_half_is_taken_from_it(self):
        draw = Drawing(self.images).pooled(3, gen(4))
        assert draw.pool.shape == (150, 1, 28, 28) and (draw.pool[:50] != draw.pool[50:100]).any((1, 2, 3)).all()
        (batch,) = draw(20, gen(1))
        of_pool, of_data = (
            torch.cdist(batch.flatten(1), to_greys(known).flatten(1)).amin(1) == 0 for known in (draw.pool, self.images)
        )
        assert of_pool[:10].all() and not of_data[:10].any() and of_data[10:].all()

    @pytest.mark.parametrize("times", [0, 2])
    def test_is_a_function_of_the_generator(self, times):
        draw = Drawing(self.images).pooled(times, gen(0)) if times else Drawing(self.images)
        assert torch.equal(draw(4, gen(2))[0], draw(4, gen(2))[0])
        assert not torch.equal(draw(4, gen(2))[0], draw(4, gen(3))[0])


def test_bad_input():
    with rejects("wanted only -1, -1/3, 1/3 and 1"):
        grey_index(torch.full((1, 1, 2, 2), 0.1))
    with rejects("images"):
        grey_index(torch.full((1, 1, 2, 2), 1.5))
    with rejects("images"):
        to_greys(torch.zeros(1, 1, 14, 14))
