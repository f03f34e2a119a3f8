"""The recipe of the diffusion model: its loss is the course's, and its measure is the same in every call."""

import torch

from companion.data import digits
from companion.image.digits_model import untrained
from companion.recipes.ddpm_digits import RECIPE, _loss


def test_the_loss_of_an_untrained_model_is_about_that_of_saying_nothing():
    """v has about the size of the data and the noise, so a network that outputs little has a loss near its variance."""
    data = digits("train", limit=64)
    net = untrained()
    value = _loss(net, (data.images, data.labels), torch.Generator().manual_seed(0))
    assert 0.5 < value.item() < 2.0


def test_the_loss_depends_on_its_generator_alone():
    data, net = digits("train", limit=16), untrained()
    values = [_loss(net, (data.images, data.labels), torch.Generator().manual_seed(k)).item() for k in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def test_it_builds_the_model_that_the_room_loads():
    assert RECIPE.build is untrained
