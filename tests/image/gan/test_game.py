"""The losses as printed, who gets which gradient, whose turn it is, and that the game is won."""

import pytest
import torch
from torch import nn

from companion.data import small_digits
from companion.data.stacked import Stacks, channels
from companion.image.gan import dcgan
from companion.image.gan.game import Game, Players, Relativistic, Standard, slope
from companion.metrics.nearest import nearest
from companion.nn.point_mlp import PointMLP
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects


def players(latent: int = 3) -> Players:
    return Players(PointMLP(latent, 2, width=8), PointMLP(2, 1, width=9), latent)


def grads(module: nn.Module) -> list[torch.Tensor | None]:
    return [p.grad for p in module.parameters()]


def test_relativistic_losses_as_printed_in_float64() -> None:
    """eq-gan-relativistic: -log sigma of the difference, pair by pair."""
    real, fake = torch.randn(2, 7, dtype=torch.float64, generator=gen(1))
    assert torch.allclose(Relativistic().critic(real, fake), -torch.sigmoid(real - fake).log().mean(), atol=1e-12)
    assert torch.allclose(Relativistic().generator(real, fake), -torch.sigmoid(fake - real).log().mean(), atol=1e-12)


def test_only_differences_count_and_each_in_its_pair() -> None:
    real, fake = torch.randn(2, 6, generator=gen(1))
    pair = Relativistic()
    assert torch.allclose(pair.critic(real + 5, fake + 5), pair.critic(real, fake), atol=1e-6)
    assert not torch.allclose(pair.critic(real, fake.flip(0)), pair.critic(real, fake), atol=1e-3)
    assert not torch.allclose(Standard().critic(real + 5, fake + 5), Standard().critic(real, fake), atol=1e-3)


@pytest.mark.parametrize("pairing", [Standard(), Relativistic()])
def test_I9_I10_each_turn_moves_one_player_only(pairing) -> None:
    both, game = players(), Game(pairing, 0.3, 0.2)
    real = torch.randn(6, 2, generator=gen(1))
    game(both, (real,), gen(2)).backward()
    *weights, last_bias = grads(both.D)
    assert all(g is not None and g.any() for g in weights) and all(g is None for g in grads(both.G))
    # A constant that is added to every score does not count if only differences do.
    assert bool(last_bias.abs().max() > 1e-6) == isinstance(pairing, Standard)
    both.zero_grad()
    game(both, (real,), gen(2)).backward()
    assert all(g is not None and g.any() for g in grads(both.G)) and all(g is None for g in grads(both.D))
    assert int(both.turns) == 2 and all(p.requires_grad for p in both.parameters())


def test_a_round_of_training_is_a_step_of_the_critic_then_one_of_the_generator() -> None:
    both = players()
    old = [[p.detach().clone() for p in net.parameters()] for net in (both.G, both.D)]
    how = TrainConfig(1, 8, weight_decay=0.1, warmup=0.0)
    data = (torch.randn(40, 2, generator=gen(1)),)
    train(both, Game(Standard(), 0.1, 0.1), data, how)
    moved = [
        [not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True)]
        for before, net in zip(old, (both.G, both.D), strict=True)
    ]
    assert not any(moved[0]) and all(moved[1])
    old_D = [p.detach().clone() for p in both.D.parameters()]
    train(both, Game(Standard(), 0.1, 0.1), data, how)
    assert all(torch.equal(a, b) for a, b in zip(old_D, both.D.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(old[0], both.G.parameters(), strict=True))


def test_I13_penalties_of_a_linear_critic_are_its_squared_norm_over_all_axes() -> None:
    """gamma/2 |w|² on either side, so (r1 + r2)/2 |w|² in all, whatever the pictures."""
    D = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 1, dtype=torch.float64))
    w = D[1].weight
    x = torch.randn(6, 3, 4, 5, dtype=torch.float64, generator=gen(1))
    assert torch.allclose(slope(D, x), w.square().sum(), atol=1e-12)
    G = nn.Sequential(nn.Linear(2, 60, dtype=torch.float64), nn.Unflatten(1, (3, 4, 5)))
    both, z = Players(G, D, 2), torch.randn(6, 2, dtype=torch.float64, generator=gen(2))
    plain = Game(Standard()).critic(both, x, z)
    for r1, r2 in ((0.4, 0.0), (0.0, 0.6), (0.4, 0.6)):
        gap = Game(Standard(), r1, r2).critic(both, x, z) - plain
        assert torch.allclose(gap, (r1 + r2) / 2 * w.square().sum(), atol=1e-10)


def test_r1_is_taken_at_real_points_and_r2_at_drawn_ones() -> None:
    """A critic that is flat at the generator's point and steep at the data's: |2x|² = 4 against 0."""

    class Bowl(nn.Module):
        def forward(self, x):
            return x.square().sum(1, keepdim=True)

    class Origin(nn.Module):
        def __init__(self):
            super().__init__()
            self.at = nn.Parameter(torch.zeros(2))

        def forward(self, z):
            return self.at.expand(len(z), 2)

    both, real, z = Players(Origin(), Bowl(), 1), torch.tensor([[1.0, 0.0]]), torch.zeros(1, 1)
    values = [Game(Standard(), *g).critic(both, real, z).item() for g in ((0, 0), (2.0, 0), (0, 2.0))]
    assert values[1] - values[0] == pytest.approx(4, abs=1e-5) and values[2] == pytest.approx(values[0], abs=1e-6)


def test_I11_gradients_of_two_equal_turns_are_equal_in_training() -> None:
    """`train` clears them; without that the second would be twice the first."""
    both, game, real = players(), Game(Standard()), torch.randn(6, 2, generator=gen(1))
    z = both.noise(6, gen(3))
    seen = []
    for _ in range(2):
        both.zero_grad()
        game.critic(both, real, z).backward()
        seen.append([g.clone() for g in grads(both.D)])
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))


def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path) -> None:
    """Whose turn it is stands in the checkpoint, also if the run stops between the two turns of a round."""
    data = (torch.randn(40, 2, generator=gen(1)),)
    how = TrainConfig(10, 8, ema=0.9)

    class Stop(Exception):
        pass

    def run(stop: int | None, file=None):
        torch.manual_seed(3)
        both, game, calls = players(), Game(Relativistic(), 0.1, 0.1), [0]

        def loss(model, batch, generator):
            calls[0] += 1
            if calls[0] == stop:
                raise Stop
            return game(model, batch, generator)

        try:
            return train(both, loss, data, how, checkpoint=file, checkpoint_every=5).model
        except Stop:
            return None

    whole = run(None)
    assert run(7, tmp_path / "c") is None
    again = run(None, tmp_path / "c")
    assert int(again.turns) == 10
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_draws_depend_on_the_generator_alone() -> None:
    both = players().eval()
    assert torch.equal(both.draw(5, gen(1)), both.draw(5, gen(1)))
    assert not torch.equal(both.draw(5, gen(1)), both.draw(5, gen(2)))
    assert both.draw(1_001, gen(1)).shape == (1_001, 2)


def test_the_game_draws_pictures_that_are_more_like_digits_than_independent_pixels() -> None:
    """8×8 stacked digits, 120 rounds of 32: nearer to a known digit, and with the variance of data."""
    stacks = Stacks(small_digits("train"))
    torch.manual_seed(1)
    both = Players(dcgan.Generator(8, 24, norm=False), dcgan.Critic(8, 24, norm=False), dcgan.LATENT)
    how = TrainConfig(240, 32, lr=1e-2, weight_decay=0.0, betas=(0.0, 0.99), clip=1e4, ema=0.98)
    made = train(both, Game(Relativistic(), 0.3, 0.3), stacks.draw, how).model.draw(300, gen(1))
    real = stacks.draw(300, gen(2))[0]
    shuffled = torch.stack([p[torch.randperm(300, generator=gen(i))] for i, p in enumerate(real.flatten(1).T)], 1)

    def away(images: torch.Tensor) -> float:
        return float(nearest(channels(images), stacks.digits.images).distance.median())

    assert away(made) < 0.85 * away(shuffled.reshape(real.shape))
    spread = float(made.var(0).mean() / real.var(0).mean())
    assert 0.5 < spread < 1.5  # and not one picture over and over


def test_bad_input() -> None:
    with rejects("r1"):
        Game(Standard(), -1.0)
    with rejects("latent"):
        Players(nn.Linear(1, 1), nn.Linear(1, 1), 0)
    with rejects("fake|n"):
        Relativistic().critic(torch.zeros(3), torch.zeros(4))
    with rejects("scores"):
        Game(Standard()).critic(Players(nn.Linear(1, 2), nn.Linear(2, 2), 1), torch.zeros(3, 2), torch.zeros(3, 1))
