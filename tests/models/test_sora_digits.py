"""The recipe of the text-to-video model: what it trains on, and that its measure is the same in every call."""

import torch

from companion.data.moving_digits import film_maker
from companion.models import sora_digits as module
from companion.models.sora_digits import build
from companion.video.sora.films import DrawLatents
from companion.video.sora.flow import FilmLoss


def test_the_loss_of_an_untrained_model_is_that_of_saying_nothing():
    """The velocity is the data minus the noise, both of unit variance: a network that says 0 is off by 2."""
    model = build()
    model.compressor.train().encode(film_maker("train", limit=50).draw(64, torch.Generator()).films)
    model.compressor.unit.momentum = 1.0
    model.compressor.encode(film_maker("train", limit=50).draw(64, torch.Generator()).films)
    batch = DrawLatents(film_maker("train", limit=50), model.compressor.eval())(32, torch.Generator())
    value = FilmLoss()(model.transformer, batch, torch.Generator().manual_seed(0))
    assert 1.6 < value.item() < 2.4


def test_films_that_show_what_was_asked_score_as_real_ones_do(monkeypatch):
    """Real films of the captions in place of drawn ones: all go the right way, and most digits are read."""
    maker = film_maker("test")

    def real(model, captions, generator, guidance):
        pool = maker.draw(400, torch.Generator().manual_seed(3))
        places = {caption: i for i, caption in enumerate(pool.captions)}
        return pool.films[[places[caption] for caption in captions]]

    monkeypatch.setattr(module, "draw_films", real)
    found = module.RECIPE.measure(build().eval(), True)
    assert found["direction_w1"] == found["direction_w2"] == 1.0 and found["digit_w1"] >= 0.7
