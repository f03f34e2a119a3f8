"""Four eras on one budget: operations are counted right, budgets are kept, all see the same pictures, each learns."""

import dataclasses

import pytest
import torch

from companion.data import digits
from companion.history.eras.gan import GANLoss
from companion.history.eras.grey import grey_index, to_greys
from companion.history.eras.training import ERAS, GAN, GPT, LIVE, SHIPPED, VAE, fit, steps_for, update_flops
from tests.conftest import gen, rejects

NAMES = [era.name for era in ERAS]


@pytest.fixture(scope="module")
def images():
    return digits("train", limit=400).images


@pytest.fixture(params=ERAS, ids=NAMES)
def era(request):
    return request.param


def test_each_era_spends_its_budget_and_not_more(images, era):
    made = fit(era, images, 6e9, 0)
    assert made.steps >= 1 and made.flops <= 6e9 < made.flops + made.step_flops
    drawn = made.model.draw(3, gen(1))
    assert drawn.shape == (3, 1, 28, 28) and float(drawn.abs().max()) <= 1 + 1e-5
    assert torch.equal(drawn, made.model.draw(3, gen(1))) and not made.model.training  # I15
    assert not torch.equal(drawn, made.model.draw(3, gen(2)))


def test_a_vaes_operations_are_those_of_its_layers(images):
    """Two for each weight and picture forward, four backward; the first layer hands no gradient on to its input."""
    first, inner = 784 * 230, 2 * 230 * 230
    weights = first + 230 * 20 + inner + 10 * 230 + 230 * 784
    assert update_flops(VAE, VAE.build(images, "live"), images) == VAE.batch_size * (6 * weights - 2 * first)


def test_both_players_and_the_penalty_of_r1_count(images):
    players = GAN.build(images, "live")
    plain = update_flops(GAN, players, images)
    assert update_flops(dataclasses.replace(GAN, loss=GANLoss(1.0)), players, images) > 1.2 * plain


def test_the_shipped_networks_are_of_one_size_and_the_budgets_one_number(images):
    """The discriminator is not needed to draw; the codebook is a table, not weights."""
    nets = {era.name: era.build(images, "shipped") for era in ERAS}
    nets["GAN"] = nets["GAN"].G
    sizes = {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}
    assert all(360_000 < size < 490_000 for size in sizes.values()), sizes
    assert 60 * LIVE <= SHIPPED <= 70 * LIVE  # the page says over sixty times


def test_all_eras_draw_the_same_pictures_and_all_but_the_gan_share_an_optimiser(images):
    seen = []

    def spy(model, loss, draw, config, checkpoint):
        shared = (config.final_lr, config.ema, config.clip, config.betas)
        seen.append((draw.images.data_ptr(), float(draw.pool.sum()), draw.distorted, *shared))
        return model

    for era in ERAS:
        fit(dataclasses.replace(era, train=spy), images, 6e9, 0)
    assert len(seen) == 4 and len(set(seen)) == 1
    assert [era.name for era in ERAS if era.train is not VAE.train] == ["GAN"]


def test_only_a_live_training_takes_its_pictures_from_a_pool(images):
    pools = []

    def spy(model, loss, draw, config, checkpoint):
        pools.append(draw.pool)
        return model

    for size in ("live", "shipped"):
        fit(dataclasses.replace(VAE, train=spy), images, 6e9, 0, size=size)
    assert len(pools[0]) == 4 * len(images) and pools[1] is None


def test_the_seed_decides_the_model(images, era):
    one, two, other = (next(fit(era, images, 4e9, seed).model.parameters()).detach() for seed in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_a_training_that_was_stopped_goes_on(images, tmp_path):
    whole = fit(VAE, images, 2e9, 0).model
    part = fit(VAE, images, 2e9, 0, checkpoint=tmp_path / "state").model
    again = fit(VAE, images, 2e9, 0, checkpoint=tmp_path / "state").model
    for net in (part, again):
        torch.testing.assert_close(list(net.parameters()), list(whole.parameters()))


def test_gpt_and_vae_learn_what_single_pixels_do_not_have(images):
    """In seconds: the GPT more than a histogram for each place knows, the VAE more than one for all places."""
    index = grey_index(to_greys(images))

    def nats(shares):
        logs = (shares + 1e-3).log().log_softmax(0).expand(400, -1, -1, -1, -1)
        return -float(logs.gather(1, index[:, None]).sum() / 400)

    places = torch.stack([(index == grey).float().mean(0) for grey in range(4)])
    pooled = places.mean((1, 2, 3), keepdim=True).expand_as(places)
    for era, budget, baseline in ((GPT, 4e10, nats(places)), (VAE, 4e10, nats(pooled))):
        model = fit(era, images, budget, 0).model
        assert float(model.bound(to_greys(images[:100]), gen(0)).mean()) < 0.9 * baseline, era.name


def test_bad_budgets():
    assert steps_for(10.0, 3) == 3
    for call, pattern in [
        (lambda: steps_for(2.0, 3), "budget: got 2"),
        (lambda: steps_for(9.0, 0), "step_flops: got 0"),
    ]:
        with rejects(pattern):
            call()
