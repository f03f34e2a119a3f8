"""The game of 2014: each player gets its own gradient and no other's; the penalty is that of R1."""

import pytest
import torch
from torch import nn

from companion.foundations.gan import StandardCritic, non_saturating_loss, scores
from companion.history.eras.gan import Discriminator, GANLoss, Generator, Maxout, Players, play
from companion.training import TrainConfig, TrainingDiverged
from tests.conftest import gen, rejects


def players():
    torch.manual_seed(0)
    return Players(Generator(6), Discriminator(5, 3, dropout=False))


def real(n=4):
    return torch.rand(n, 1, 28, 28, generator=gen(1)) * 2 - 1


def gradients(model):
    return [None if p.grad is None else p.grad.clone() for p in model.parameters()]


def test_a_maxout_unit_is_the_largest_of_its_own_pieces():
    layer, x = Maxout(7, 4, 3), torch.randn(2, 7)
    pieces = layer.linear(x)
    for unit in range(4):
        torch.testing.assert_close(layer(x)[:, unit], pieces[:, 3 * unit : 3 * unit + 3].amax(1))


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_discriminators_gradient_is_that_of_its_own_loss(gamma):
    both = players()
    z = both.G.noise(4, gen(2))
    GANLoss(gamma)(both, (real(),), gen(2)).backward()
    together = gradients(both.D)
    both.zero_grad()
    StandardCritic(gamma)(both.D, real(), both.G(z).detach(), gen(2)).backward()
    torch.testing.assert_close(together, gradients(both.D))


def test_the_generators_gradient_is_that_of_its_own_loss():
    both = players()
    z = both.G.noise(4, gen(2))
    GANLoss()(both, (real(),), gen(2)).backward()
    together = gradients(both.G)
    both.zero_grad()
    non_saturating_loss(scores(both.D, both.G(z))).backward()
    torch.testing.assert_close(together, gradients(both.G))


def test_neither_part_reaches_the_other_player():
    both = players()
    fake = both.G(both.G.noise(4, gen(2)))
    GANLoss().generator(both, real(), fake).backward(retain_graph=True)
    assert all(g is None for g in gradients(both.D)) and all(g is not None for g in gradients(both.G))
    both.zero_grad()
    GANLoss().critic(both, real(), fake).backward()
    assert all(g is None for g in gradients(both.G)) and all(g is not None for g in gradients(both.D))


def test_dropout_is_where_the_paper_had_it():
    assert [m.p for m in Discriminator(5, 3).modules() if isinstance(m, nn.Dropout)] == [0.2, 0.5, 0.5]


def test_noise_is_uniform_with_variance_one_and_draws_are_pictures():
    G = players().G
    z = G.noise(2000, gen(0))
    assert abs(float(z.var()) - 1) < 0.02 and float(z.abs().max()) <= 3**0.5
    assert G.draw(3, gen(0)).shape == (3, 1, 28, 28) and G.draw(3, gen(0)).abs().max() <= 1
    assert torch.equal(players().draw(3, gen(0)), G.draw(3, gen(0)))


def test_a_round_is_a_step_of_the_discriminator_and_then_one_of_the_generator():
    """By hand: plain gradient descent on the same pictures and noise; the generator sees the discriminator that has stepped."""
    config, both, mine = TrainConfig(steps=1, batch_size=4, lr=0.1), players(), players()
    seen = []
    play(both, GANLoss(), lambda n, g: seen.append(g.get_state()) or (real(n),), config)
    generator = gen()
    generator.set_state(seen[0])
    fake = mine.G(mine.G.noise(4, generator))
    for player, loss in ((mine.D, GANLoss().critic), (mine.G, GANLoss().generator)):
        grads = torch.autograd.grad(loss(mine, real(), fake), list(player.parameters()), retain_graph=True)
        with torch.no_grad():
            for weight, grad in zip(player.parameters(), grads, strict=True):
                weight -= 0.1 * grad
    torch.testing.assert_close(list(both.parameters()), list(mine.parameters()))


def test_a_game_that_was_stopped_goes_on(tmp_path):
    def after(steps, **how):
        torch.manual_seed(0)
        both = Players(Generator(6), Discriminator(5, 3))
        play(both, GANLoss(), lambda n, g: (real(n),), TrainConfig(steps=steps, batch_size=4, lr=0.1), **how)
        return list(both.parameters())

    whole, how = after(6), {"checkpoint": tmp_path / "state", "checkpoint_every": 4}
    after(5, **how)
    torch.testing.assert_close(after(6, **how), whole)


def test_bad_input():
    with rejects("rate", TrainingDiverged):
        play(players(), GANLoss(float("nan")), lambda n, g: (real(n),), TrainConfig(steps=1))
    with rejects("hidden"):
        Generator(0)
