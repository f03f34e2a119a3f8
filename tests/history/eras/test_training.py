"""Four eras on one budget: operations are counted right, budgets are kept, each model is what it says and learns."""

import pytest
import torch
from torch import nn

from companion.data import digits
from companion.foundations.elbo import evaluate
from companion.history.eras import training as eras
from companion.history.eras.digits import as_bits, shrink
from companion.history.eras.training import (
    gan_players,
    steps_for,
    train_diffusion,
    train_gan_era,
    train_gpt,
    train_vae,
)
from companion.metrics.flops import count_flops
from companion.nn.timestep import timestep_embedding
from tests.conftest import rejects

TRAINERS = {"VAE": train_vae, "GAN": train_gan_era, "GPT": train_gpt, "Diffusion": train_diffusion}


@pytest.fixture(scope="module")
def images():
    return shrink(digits("train", limit=600).images)


def test_the_penalty_of_r1_is_counted_too(images):
    G, D = gan_players()
    z, generator = torch.randn(8, eras.GAN_LATENT), torch.Generator().manual_seed(0)
    with_r1, without = (
        count_flops(lambda c=c: eras.critic_backward(G, D, images[:8], z, eras.StandardCritic(c), generator))
        for c in (1.0, 0.0)
    )
    assert with_r1 > 1.3 * without


@pytest.mark.parametrize("name", TRAINERS)
def test_each_era_spends_its_budget_and_not_more(images, name):
    probe = TRAINERS[name](images, 6e9, seed=0)
    assert probe.name == name and probe.steps >= 1
    assert probe.flops <= 6e9 < probe.flops + probe.step_flops
    samples = probe.sample(3, torch.Generator().manual_seed(1))
    assert samples.shape == (3, 1, 14, 14) and float(samples.abs().max()) <= 1
    assert torch.equal(samples, probe.sample(3, torch.Generator().manual_seed(1)))
    assert not probe.model.training  # I15: no statistics of the batch in a sample
    assert not torch.equal(samples, probe.sample(3, torch.Generator().manual_seed(2)))


def test_sizes_of_the_networks(images):
    """Weights from the layers: the VAE's two ways with 8 latents, the generator from 32, the denoiser's three hidden layers."""

    def dense(*widths):
        return sum((a + 1) * b for a, b in zip(widths, widths[1:], strict=False))

    trained = {name: trainer(images, 6e9, seed=0).model for name, trainer in TRAINERS.items()}
    sizes = {name: sum(p.numel() for p in model.parameters()) for name, model in trained.items()}
    assert sizes["VAE"] == dense(196, 300, 300, 2 * 8) + dense(8, 300, 300, 196)
    assert sizes["GAN"] == dense(32, 256, 256, 196) + 2 * 2 * 256  # two batch normalisations
    assert sizes["Diffusion"] == dense(196 + 64, 384) + 3 * dense(384 + 64, 384) + dense(384, 196)


def test_the_denoiser_reads_its_steps_as_parts_of_a_thousand(images):
    """The sines were made for a thousand steps; a schedule of a hundred uses their whole range."""
    net, seen, t = eras.BitNet(), [], torch.tensor([0, 7, 99])
    net.first.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    net(images[:3], t)
    wanted = timestep_embedding(1000 * t / eras.SCHEDULE.steps, net.embedding)
    torch.testing.assert_close(seen[0], torch.cat([images[:3].flatten(1), wanted], 1))


@pytest.mark.parametrize("name", TRAINERS)
def test_it_says_with_how_many_images_an_update_was_made(images, name, monkeypatch):
    used, plain_train, plain_gan = [], eras.train, eras.train_gan

    def train(model, loss, data, config):
        used.append(config.batch_size)
        return plain_train(model, loss, data, config)

    def train_gan(*arguments):
        used.extend((arguments[-1].generator.batch_size, arguments[-1].critic.batch_size))
        return plain_gan(*arguments)

    monkeypatch.setattr(eras, "train", train)
    monkeypatch.setattr(eras, "train_gan", train_gan)
    assert {TRAINERS[name](images, 3e9, seed=0).batch_size} == set(used)


@pytest.mark.parametrize("name", TRAINERS)
def test_the_seed_decides_the_model(images, name):
    one, two, other = (
        next(TRAINERS[name](images, 3e9, seed=seed).model.parameters()).detach().clone() for seed in (0, 0, 1)
    )
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_more_operations_make_the_gpt_and_the_vae_better_than_independent_pixels(images):
    """The baseline knows the brightness of every pixel: the entropy of 196 unequal coins."""
    bits = as_bits(images)
    ink = bits.mean(0).clamp(1e-3, 1 - 1e-3)
    coins = float(nn.functional.binary_cross_entropy(ink.expand_as(bits), bits, reduction="none").sum(1).mean())
    gpt, vae = train_gpt(images, 6e10, seed=0).model, train_vae(images, 3e10, seed=0).model
    with torch.no_grad():
        assert -float(gpt.log_prob(images[:200]).mean()) < 0.95 * coins
    bound = evaluate(vae, bits[:200], torch.Generator().manual_seed(0))["elbo"]
    assert -bound < 0.95 * coins


def test_bad_budgets():
    assert steps_for(10.0, 3) == 3
    for call, pattern in [
        (lambda: steps_for(2.0, 3), "budget: got 2"),
        (lambda: steps_for(9.0, 0), "step_flops: got 0"),
    ]:
        with rejects(pattern):
            call()
