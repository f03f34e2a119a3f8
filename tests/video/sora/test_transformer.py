"""The diffusion transformer for films: an image DiT at one frame, masks, positions, captions."""

import pytest
import torch
from torch import nn

from companion.nn.patches import grid_positions, pad_tokens
from companion.nn.timestep import timestep_embedding
from companion.video.sora.captions import encode_captions
from companion.video.sora.transformer import Sora, SoraConfig, axis_waves
from tests.conftest import rejects

CONFIG = SoraConfig(channels=5, width=24, layers=2, heads=3)
CAPTIONS = encode_captions(["a one moves up", "a two moves left", ""])


def awake(module: nn.Module) -> nn.Module:
    """The same module with random weights where it starts with zeros."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    return module.eval()


def inputs(grid=(2, 3, 4), n=3):
    positions = grid_positions(grid).expand(n, -1, -1)
    return torch.randn(n, positions.shape[1], 5), positions, torch.rand(n), CAPTIONS[:n]


class TestIdentity:
    def test_a_new_network_predicts_zero_and_its_blocks_are_the_identity(self):
        net = Sora(CONFIG)
        assert not net(*inputs()).any()
        x, condition = torch.randn(2, 5, 24), torch.randn(2, 24)
        for block in net.blocks:
            assert torch.equal(block(x, condition), x)

    def test_a_film_of_one_frame_is_what_an_image_dit_makes_of_the_image(self):
        """An image DiT written here, with positions on two axes: the time axis at 0 adds a constant, which goes to the bias."""
        net = awake(Sora(CONFIG))
        x, positions, t, words = inputs((1, 3, 4))
        zeros = axis_waves(torch.zeros(1, 1, 1, dtype=torch.long), 8)
        image = nn.Linear(5, 24)
        waves = axis_waves(positions[..., 1:], 16)  # sines and cosines of rows and columns alone
        with torch.no_grad():
            weight = net.place.weight
            image.weight.copy_(net.embed.weight)
            image.bias.copy_(net.embed.bias + weight[:, :8] @ zeros[0, 0])
            h = image(x) + waves @ weight[:, 8:].T
            c = net.time(timestep_embedding(1000 * t, 24)) + net.caption(net.words(words).flatten(1))
            for block in net.blocks:
                h = block(h, c)
            torch.testing.assert_close(net(x, positions, t, words), net.head(h, c), rtol=0, atol=1e-5)


class TestDependence:
    def test_padded_films_equal_films_alone(self):
        """Three films of different sizes in one table, whatever stands in the padding, against one by one."""
        net = awake(Sora(CONFIG))
        films = [inputs(grid, 1) for grid in ((1, 2, 3), (2, 3, 4), (4, 2, 2))]
        table, real = pad_tokens([film[0][0] for film in films])
        places, _ = pad_tokens([film[1][0] for film in films])
        table = table.masked_fill(~real[..., None], 7.0)  # not zeros: what is there must not matter
        t = torch.cat([film[2] for film in films])
        together = net(table, places, t, CAPTIONS, real)
        for i, (x, positions, time, _) in enumerate(films):
            alone = net(x, positions, time, CAPTIONS[i : i + 1])
            torch.testing.assert_close(together[i][real[i]], alone[0], rtol=0, atol=1e-5)

    def test_without_the_mask_padding_leaks(self):
        net = awake(Sora(CONFIG))
        x, positions, t, words = inputs()
        real = torch.ones(3, 24, dtype=torch.bool)
        real[0, 20:] = False
        moved = (net(x, positions, t, words, real) - net(x, positions, t, words)).abs().amax((1, 2))
        assert moved[0] > 1e-3 and moved[1:].max() < 1e-5

    @pytest.mark.parametrize("axis", range(3))
    def test_each_axis_of_the_position_matters_I58(self, axis):
        net = awake(Sora(CONFIG))
        x, positions, t, words = inputs()
        flipped = positions.clone()
        flipped[..., axis] = flipped[..., axis].max() - flipped[..., axis]
        assert (net(x, positions, t, words) - net(x, flipped, t, words)).abs().max() > 1e-2

    def test_tokens_in_another_order_come_out_in_that_order(self):
        """Only positions tell where a token is: the order in the list says nothing."""
        net = awake(Sora(CONFIG))
        x, positions, t, words = inputs()
        order = torch.randperm(24)
        want = net(x, positions, t, words)[:, order]
        torch.testing.assert_close(net(x[:, order], positions[:, order], t, words), want, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("grid", [(1, 3, 3), (3, 2, 5), (6, 4, 4)])
    def test_any_length_and_shape_I57(self, grid):
        net = awake(Sora(CONFIG))
        assert net(*inputs(grid)).shape == (3, grid[0] * grid[1] * grid[2], 5)

    def test_caption_and_time_matter_to_their_own_film_alone_I47(self):
        net = awake(Sora(CONFIG))
        x, positions, t, words = inputs()
        before = net(x, positions, t, words)
        other_words, other_t = words.clone(), t.clone()
        other_words[1, 3] += 1
        other_t[1] = 0.9 - t[1] / 2
        for after in (net(x, positions, t, other_words), net(x, positions, other_t, words)):
            moved = (before - after).abs().amax((1, 2))
            assert moved[1] > 1e-3 and moved[0] < 1e-6 and moved[2] < 1e-6

    def test_every_word_of_the_caption_matters(self):
        net = awake(Sora(CONFIG))
        x, positions, t, words = inputs()
        for place in range(4):
            changed = words.clone()
            changed[0, place] = 0
            assert (net(x, positions, t, words) - net(x, positions, t, changed))[0].abs().max() > 1e-3

    def test_what_is_known_is_marked(self):
        net = awake(Sora(CONFIG))
        x, positions, t, words = inputs()
        known = positions[..., 0] == 0
        assert (net(x, positions, t, words) - net(x, positions, t, words, None, known)).abs().max() > 1e-3


def test_waves_by_hand():
    got = axis_waves(torch.tensor([[[2, 0, 1]]]), 12)  # per axis: sin of two frequencies, then cos
    frequencies = torch.tensor([1.0, 0.1])
    want = torch.cat([f(p * frequencies) for p in (2.0, 0.0, 1.0) for f in (torch.sin, torch.cos)])
    torch.testing.assert_close(got[0, 0], want)


def test_what_a_caller_can_get_wrong():
    with rejects("width: got 20"):
        SoraConfig(width=20)
    x, positions, t, words = inputs()
    with rejects("positions: got shape"):
        Sora(CONFIG)(x, positions[:, 1:], t, words)
    with rejects("captions: got shape"):
        Sora(CONFIG)(x, positions, t, words[:, :2])
