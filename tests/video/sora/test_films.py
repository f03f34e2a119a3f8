"""The text-to-video model: its training batches, its films, and that the shipped weights listen to the caption."""

import pytest
import torch

from companion.data.moving_digits import caption, film_maker, moving_digits
from companion.models.sora_digits import build, load
from companion.nn.patches import unpatchify
from companion.video.film_judge import judge_films
from companion.video.sora.compression import FilmCompressor
from companion.video.sora.films import DrawLatents, FilmModel, draw_films
from companion.video.sora.transformer import Sora, SoraConfig
from tests.conftest import rejects

MAKER = film_maker("train", limit=50)


def tiny() -> FilmModel:
    model = FilmModel(FilmCompressor(channels=4, width=8), Sora(SoraConfig(channels=4, width=12, layers=1, heads=2)))
    for parameter in model.transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


class TestBatches:
    def test_tokens_are_the_compressed_films_in_their_order_I58(self):
        compressor = tiny().compressor
        x, positions, real, _ = DrawLatents(MAKER, compressor, sizes=[(8, 16, 20)])(3, torch.Generator().manual_seed(1))
        generator = torch.Generator().manual_seed(1)
        torch.randint(1, (1,), generator=generator)
        films = MAKER.draw(3, generator, frames=8, height=16, width=20).films
        torch.testing.assert_close(unpatchify(x, (1, 1, 1), (2, 4, 5)), compressor.encode(films), rtol=0, atol=1e-5)
        assert real.all() and positions[0, -1].tolist() == [1, 3, 4] and not x.requires_grad

    def test_the_same_generator_gives_the_same_batch(self):
        draw = DrawLatents(MAKER, tiny().compressor)
        one, two = (draw(4, torch.Generator().manual_seed(5)) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


class TestFilms:
    @pytest.mark.parametrize("at_end", [False, True])
    def test_known_frames_come_out_as_they_went_in(self, at_end):
        known = moving_digits("test", 2).films[:, :, :4]
        films = draw_films(tiny(), ["", "a one moves up"], torch.Generator(), known=known, at_end=at_end, steps=2)
        assert films.shape == (2, 1, 8, 16, 16)
        assert torch.equal(films[:, :, 4:] if at_end else films[:, :, :4], known)

    def test_any_length_and_shape_I57(self):
        films = draw_films(tiny(), ["a two moves up"], torch.Generator(), size=(12, 16, 24), steps=2)
        assert films.shape == (1, 1, 12, 16, 24) and films.abs().max() <= 1

    def test_a_film_depends_on_its_caption_and_not_on_its_neighbours_I47(self):
        model = tiny()

        def second(*captions):
            return draw_films(model, captions, torch.Generator().manual_seed(2), steps=3)[1]

        before = second("a one moves up", "a one moves up")
        torch.testing.assert_close(second("a two moves left", "a one moves up"), before, rtol=0, atol=1e-5)
        assert (second("a one moves up", "a six moves up") - before).abs().max() > 1e-4


def test_the_shipped_weights_go_where_they_are_told():
    model = load()
    assert not model.training
    captions = [caption(digit, way) for digit in (3, 7) for way in range(4)]
    films = draw_films(model, captions, torch.Generator().manual_seed(0), steps=8)
    right = judge_films(films).directions == torch.arange(8) % 4
    assert right.sum() >= 7


def test_the_shipped_weights_continue_a_film():
    """The digit takes up its path: across the seam it moves by about a pixel, where another film's half would jump."""
    real = moving_digits("test", 12, seed=3)
    films = draw_films(load(), real.captions, torch.Generator().manual_seed(0), known=real.films[:, :, :4], steps=8)
    strangers = torch.cat([real.films[:, :, :4], real.films.roll(1, 0)[:, :, 4:]], dim=2)
    made, other = (judge_films(f).paths.diff(dim=1)[:, 3].norm(dim=-1).mean() for f in (films, strangers))
    assert made < 1.6 < other


def test_what_a_caller_can_get_wrong():
    with rejects("size: got"):
        draw_films(tiny(), [""], torch.Generator(), size=(6, 16, 16))
    with rejects("compressor: got one in training mode"):
        DrawLatents(MAKER, FilmCompressor())
    with rejects("compressor: got 5 channels"):
        FilmModel(FilmCompressor(channels=5), build().transformer)
