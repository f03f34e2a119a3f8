"""Rectified flow on lists of patches: what the loss averages over, the printed equations, known frames, guidance."""

import pytest
import torch
from torch import nn

from companion.diffusion.times import Uniform
from companion.nn.patches import patchify
from companion.video.sora.captions import NOTHING, encode_captions
from companion.video.sora.flow import FilmLoss, draw_known, make_latents, pack
from companion.video.sora.transformer import Sora, SoraConfig
from tests.conftest import rejects

CONFIG = SoraConfig(channels=2, width=12, layers=1, heads=2)


def awake() -> Sora:
    net = Sora(CONFIG)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.2)
    return net.eval()


class Oracle(Sora):
    """Knows the one film that there is: the exact velocity from any point on a path to it."""

    def __init__(self, film):
        super().__init__(CONFIG)
        self.tokens, self.calls = patchify(film, (1, 1, 1)), []

    def forward(self, patches, positions, t, captions, real=None, known=None):
        self.calls.append((patches, captions, known, t))
        return (self.tokens - patches) / (1 - t)[:, None, None]


class TestLoss:
    def batch(self):
        films = [torch.randn(2, 2, 1, 2, 3), torch.randn(1, 2, 3, 4, 2)]
        return pack(films, [["a one moves up", "a two moves left"], ["a six moves down"]])

    def test_padding_is_not_in_the_mean(self):
        """Filling the padding with anything, or adding more of it, changes nothing."""
        net, (x, positions, real, captions) = awake(), self.batch()
        assert not real.all()

        def loss(x, positions, real):
            g = torch.Generator().manual_seed(0)
            velocities = []
            original = net.forward

            def spy(patches, *rest):
                velocities.append(original(patches, *rest))
                return velocities[-1]

            net.forward = spy
            value = FilmLoss(drop=0, given=0)(net, (x, positions, real, captions), g)
            net.forward = original
            return value, velocities[0]

        got, velocity = loss(x, positions, real)
        other, _ = loss(x.masked_fill(~real[..., None], 9.0), positions, real)
        torch.testing.assert_close(got, other)
        g = torch.Generator().manual_seed(0)
        for _ in range(4):
            torch.rand(3 if _ == 0 else (3, 1), generator=g)
        z = torch.randn(x.shape, generator=g)
        by_hand = torch.cat([(velocity - (x - z))[i][real[i]].square() for i in range(3)]).mean()
        torch.testing.assert_close(got, by_hand)

    def test_a_perfect_model_has_no_loss_and_zero_has_that_of_the_target(self):
        film = torch.randn(1, 2, 2, 2, 3)
        batch = pack([film.expand(64, -1, -1, -1, -1)], [["a one moves up"] * 64])
        assert FilmLoss(given=0)(Oracle(film), batch, torch.Generator().manual_seed(0)) < 1e-5
        zero = FilmLoss(given=0)(Sora(CONFIG), batch, torch.Generator().manual_seed(0))
        torch.testing.assert_close(zero, 1 + film.square().mean(), rtol=0.1, atol=0)

    def test_known_tokens_are_given_clean_and_not_judged(self):
        film = torch.randn(1, 2, 3, 2, 3)
        batch = pack([film.expand(40, -1, -1, -1, -1)], [["a one moves up"] * 40])
        oracle = Oracle(film)
        FilmLoss(given=1)(oracle, batch, torch.Generator().manual_seed(0))
        patches, _, known, _ = oracle.calls[0]
        clean = (patches == batch[0]).all(-1)
        assert torch.equal(clean, known) and known.any(1).all() and not known.all(1).any()

    def test_captions_are_dropped_as_often_as_said_I54(self):
        film = torch.randn(1, 2, 1, 2, 3)
        batch = pack([film.expand(2000, -1, -1, -1, -1)], [["a one moves up"] * 2000])
        oracle = Oracle(film)
        FilmLoss(drop=0.1)(oracle, batch, torch.Generator().manual_seed(0))
        dropped = (oracle.calls[0][1] == NOTHING).all(1).float().mean()
        assert 0.075 < dropped < 0.125

    def test_times_follow_the_law_which_is_logit_normal_towards_the_noise(self):
        film = torch.randn(1, 2, 1, 2, 3)
        batch = pack([film.expand(2000, -1, -1, -1, -1)], [["a one moves up"] * 2000])

        def drawn(loss):
            oracle = Oracle(film)
            loss(oracle, batch, torch.Generator().manual_seed(0))
            return oracle.calls[0][3]

        logits = drawn(FilmLoss()).logit()
        assert abs(float(logits.mean()) + 0.8) < 4 / 2000**0.5 and abs(float(logits.std()) - 1) < 4 / 4000**0.5
        late = drawn(FilmLoss(times=Uniform(0.7, 0.9)))
        assert 0.7 <= float(late.min()) < 0.71 and 0.89 < float(late.max()) <= 0.9


def test_known_frames_are_the_first_or_the_last():
    frame = torch.arange(4).repeat_interleave(2).expand(500, -1)
    real = torch.ones(500, 8, dtype=torch.bool)
    real[:250, 6:] = False  # a shorter film: its last frame is 2
    known = draw_known(frame, real, 0.6, torch.Generator().manual_seed(0))
    counts = {tuple(row) for row in known[:, ::2].long().tolist()}
    short = {tuple(row) for row in known[:250, ::2].long().tolist()}
    assert short == {(0, 0, 0, 0), (1, 0, 0, 0), (1, 1, 0, 0), (0, 0, 1, 0), (0, 1, 1, 0)}
    assert counts - short == {(1, 1, 1, 0), (0, 0, 0, 1), (0, 0, 1, 1), (0, 1, 1, 1)}
    assert 0.5 < known.any(1).float().mean() < 0.7


class TestSampling:
    def test_an_oracle_ends_in_its_film(self):
        film = torch.randn(1, 2, 2, 4, 3)
        got = make_latents(Oracle(film), ["a one moves up"], (2, 4, 3), torch.Generator(), steps=7)
        torch.testing.assert_close(got, film, rtol=0, atol=1e-4)

    @pytest.mark.parametrize("at_end", [False, True])
    def test_known_frames_stay_and_the_network_sees_them_clean(self, at_end):
        known = torch.randn(2, 2, 1, 4, 3)
        net = awake()
        got = make_latents(net, ["", "a one moves up"], (3, 4, 3), torch.Generator(), known=known, at_end=at_end)
        assert torch.equal(got[:, :, -1:] if at_end else got[:, :, :1], known)
        other = make_latents(net, ["", "a one moves up"], (3, 4, 3), torch.Generator(), known=known + 1, at_end=at_end)
        assert (got - other)[:, :, 1].abs().max() > 1e-3

    def test_guidance_conventions_I54(self):
        """w = 0 is the film without a caption, w = 1 that with it; between, v is linear in w (eq-sora-guidance)."""
        net, size = awake(), (2, 2, 3)

        def film(caption, w):
            return make_latents(net, [caption], size, torch.Generator().manual_seed(1), steps=1, guidance=w)

        nothing, asked = film("", 1), film("a one moves up", 1)
        torch.testing.assert_close(film("a one moves up", 0), nothing)
        torch.testing.assert_close(film("a one moves up", 3), nothing + 3 * (asked - nothing), rtol=0, atol=1e-5)

    def test_the_same_noise_gives_the_same_film_and_modes_stay(self):
        net = awake()
        films = [make_latents(net, ["a one moves up"], (1, 2, 3), torch.Generator().manual_seed(3)) for _ in range(2)]
        assert torch.equal(*films) and not net.training and not films[0].requires_grad


def test_packing_keeps_each_film_with_its_caption():
    films = [torch.randn(2, 2, 1, 2, 3), torch.randn(1, 2, 3, 4, 2)]
    x, positions, real, captions = pack(films, [["a one moves up", "a two moves left"], ["a six moves down"]])
    assert real.sum(1).tolist() == [6, 6, 24]
    assert torch.equal(x[2][real[2]], patchify(films[1], (1, 1, 1))[0])
    assert positions[2, real[2]].amax(0).tolist() == [2, 3, 1]
    assert torch.equal(captions, encode_captions(["a one moves up", "a two moves left", "a six moves down"]))


def test_what_a_caller_can_get_wrong():
    with rejects("captions: got 1"):
        pack([torch.randn(2, 2, 1, 2, 3)], [[""]])
    with rejects("known: got 3 latent frames"):
        make_latents(awake(), [""], (3, 2, 3), torch.Generator(), known=torch.zeros(1, 2, 3, 2, 3))
    with rejects("guidance|scale"):
        make_latents(awake(), [""], (1, 3, 3), torch.Generator(), guidance=-1.0)
