"""The checks of exercises 3.7.3 and 3.7.4: the loss of films of unequal length, and how many tokens a film costs.

The loss is judged by cutting out what is wanted and giving it to `torch.nn.functional.mse_loss`, the counts by making the
latents, the patches and the matrix of attention, and counting them.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare_numbers, depends_on
from companion.nn.patches import grid_of, grid_positions

_Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # predicted, z, x, real, known


def _batch(g: Generator, *, padded: bool = True, given: bool = True) -> _Batch:
    n, tokens, features = 3, 9, 4
    predicted, z, x = (torch.randn(n, tokens, features, generator=g) for _ in range(3))
    lengths = torch.tensor([9, 4, 6]) if padded else torch.full((n,), tokens)
    place = torch.arange(tokens)
    real = place < lengths[:, None]
    first = torch.tensor([0, 3, 2]) if given else torch.zeros(n, dtype=torch.long)
    return predicted, z, x, real, (place < first[:, None]) & real


def _right(predicted: Tensor, z: Tensor, x: Tensor, real: Tensor, known: Tensor) -> float:
    rows = [(i, j) for i in range(len(x)) for j in range(x.shape[1]) if real[i, j] and not known[i, j]]
    return float(F.mse_loss(*(torch.stack([part[i, j] for i, j in rows]) for part in (predicted, x - z))))


def _wrong(predicted: Tensor, z: Tensor, x: Tensor, real: Tensor, known: Tensor) -> dict[str, float]:
    error = (predicted - (x - z)).square().mean(-1)
    wanted = (real & ~known).float()
    return {
        "padding is divided by, though it is not summed": float((error * wanted).mean()),
        "padding counts": float((error * ~known).sum() / (~known).sum()),
        "known tokens count": float((error * real).sum() / real.sum()),
        "everything counts, padding and known tokens": float(error.mean()),
        "a mean of the films' means: a token of a short film weighs more": float(
            ((error * wanted).sum(1) / wanted.sum(1)).mean()
        ),
        "the velocity points from the film to the noise": float(
            ((predicted + x - z).square().mean(-1) * wanted).sum() / wanted.sum()
        ),
        "the film is asked for, not the velocity": float(
            ((predicted - x).square().mean(-1) * wanted).sum() / wanted.sum()
        ),
        "summed over the features, not averaged": float((error * wanted).sum() / wanted.sum() * x.shape[-1]),
    }


def _loss(padded: bool, given: bool) -> Callable[[Answer, Generator], str]:
    def test(answer: Answer, g: Generator) -> str:
        batch = _batch(g, padded=padded, given=given)
        got = answer.tensor(*batch, shape=())
        right = _right(*batch)
        mistakes = {name: value for name, value in _wrong(*batch).items() if abs(value - right) > 1e-3}
        return compare_numbers(float(got), right, mistakes)

    return test


def _rubbish(answer: Answer, g: Generator) -> str:
    predicted, z, x, real, known = _batch(g)
    before = float(answer.tensor(predicted, z, x, real, known, shape=()))
    predicted = predicted.masked_fill(~real[..., None], 1e4)
    after = float(answer.tensor(predicted, z, x, real, known, shape=()))
    if abs(before - after) > 1e-4 * abs(before):
        raise Wrong(f"what stands in the padding changed the loss from {before:.3f} to {after:.3g}", "padding counts")
    return "the padding does not matter"


_FilmSize = tuple[int, int, int, int, int]  # frames, height, width, time, space


def _runs(g: Generator) -> list[_FilmSize]:
    runs = []
    for row in torch.randint(2, 6, (2, 5), generator=g).tolist():
        frames, height, width, time, more = row
        space = time + more - 1  # never the same, so that swapped sizes show
        runs.append((time * frames, space * height, space * (width + 4), time, space))
    return runs


def _tokens(run: _FilmSize) -> int:
    frames, height, width, time, space = run
    return len(grid_positions(grid_of((frames, height, width), (time, space, space))))


def _count(which: int) -> Callable[[Answer, Generator], str]:
    def test(answer: Answer, g: Generator) -> str:
        for run in _runs(g):
            frames, height, width, time, space = run
            n = _tokens(run)
            long = _tokens((2 * frames, height, width, time, space))
            looks = torch.ones(n, n).count_nonzero().item()
            looks_long = torch.ones(long, long).count_nonzero().item()
            mistakes = (
                {
                    "time is not compressed": n * time,
                    "only one side of the frame is divided": n * space,
                    "pixels are counted, not patches": frames * height * width,
                    "one frame's patches alone": n // (frames // time),
                },
                {
                    "each token looks at itself alone": n,
                    "each pair is counted once, or only the past is seen": n * (n + 1) // 2,
                    "a token looks at its own frame alone": n * n // (frames // time),
                    "pixels look at pixels": (frames * height * width) ** 2,
                },
                {
                    "the number of tokens, not of pairs": 2,
                    "twice as long and twice as high and wide": 64,
                    "the new tokens alone": 3,
                },
            )[which]
            wanted = (n, looks, looks_long / looks)[which]
            compare_numbers(answer.numbers(*run, count=3)[which], wanted, mistakes, rel=1e-9)
        return "as it was counted"

    return test


EXERCISES = (
    Exercise(
        "3.7.3",
        "film_loss(predicted, z, x, real, known)",
        (
            Property("films of equal length, nothing known", 6, _loss(False, False)),
            Property("films of unequal length", 6, _loss(True, False)),
            Property("tokens that are known", 6, _loss(True, True)),
            Property("rubbish in the padding", 4, _rubbish),
        ),
    ),
    Exercise(
        "3.7.4",
        "predict(frames, height, width, time, space)",
        (
            Property("three numbers that depend on the film", 2, depends_on(_runs, 3)),
            Property("tokens", 5, _count(0), after=True),
            Property("pairs", 4, _count(1), after=True),
            Property("twice as long", 5, _count(2), after=True),
        ),
    ),
)
