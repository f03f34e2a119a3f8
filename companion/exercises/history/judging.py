"""The checks of exercises 3.2.3 and 3.2.4: bits a pixel of a model that writes images, and the variety of samples.

Both are judged by ``torch.distributions``. Ids such as I33 are those of the course's list of known mistakes.
"""

import math

import torch
from torch import Generator, Tensor
from torch.distributions import Categorical

from companion.exercises.answers import Answer, Wrong, plain
from companion.exercises.checking import Exercise, Property, compare, compare_numbers, sizes


def _writing(g: Generator) -> tuple[Tensor, Tensor, int]:
    batch, count, letters = sizes(g, 3, low=4, high=11)
    logits = 2 * torch.randn(batch, count, letters, generator=g)
    return logits, torch.randint(letters, (batch, count), generator=g), 4 * count


def _nats(logits: Tensor, ids: Tensor) -> Tensor:
    return -Categorical(logits=logits).log_prob(ids)


def _bits(answer: Answer, g: Generator) -> str:
    logits, ids, pixels = _writing(g)
    nats = _nats(logits, ids)
    wanted = nats.sum(1) / pixels / math.log(2)
    ahead = _nats(logits[:, :-1], ids[:, 1:]).sum(1) / pixels / math.log(2)
    return compare(answer.tensor(logits, ids, pixels, shape=(len(ids),)), wanted, {
        "nats, not bits": wanted * math.log(2), "for a letter, not for a pixel": wanted * 4,
        "the letters' mean, divided by the pixels as well": wanted / ids.shape[1],
        "shifted once more (I33)": ahead, "the sign is turned": -wanted,
        "logits taken for log-probabilities": -logits.gather(2, ids[..., None])[..., 0].sum(1) / pixels / math.log(2),
    })  # fmt: skip


def _sums_to_one(answer: Answer, g: Generator) -> str:
    """Over all images of three letters of an alphabet of four, 2^(-bits) sums to one."""
    logits = torch.randn(3, 4, generator=g)
    every = torch.cartesian_prod(*[torch.arange(4)] * 3)
    got = answer.tensor(logits.expand(64, 3, 4), every, 12, shape=(64,))
    total = float(torch.exp2(-got.double() * 12).sum())
    if abs(total - 1) > 1e-3:
        raise Wrong(
            f"the probabilities of all images sum to {total:.4g}", "no probabilities: nats, a mean, or no softmax"
        )
    some = torch.randperm(64, generator=g)[:20]
    if not torch.allclose(torch.exp2(-got.double() * 12)[some].sum(), _chance(logits, every[some]), atol=1e-3):
        raise Wrong("the probabilities of some of the images do not sum to what these images have together")
    return "to one"


def _chance(logits: Tensor, images: Tensor) -> Tensor:
    """What these images have of the probability together."""
    return (-_nats(logits.expand(len(images), *logits.shape), images).double().sum(1)).exp().sum()


def _coins(answer: Answer, g: Generator) -> str:
    count = 3 + int(torch.randint(6, (1,), generator=g))
    ids = torch.randint(16, (2, count), generator=g)
    got = answer.tensor(torch.zeros(2, count, 16), ids, 4 * count, shape=(2,))
    return compare(
        got,
        torch.ones(2),
        {"nats, not bits": torch.full((2,), math.log(2)), "for a letter, not for a pixel": torch.full((2,), 4.0)},
    )


def _opinions(g: Generator, n: int = 60) -> Tensor:
    """A judge's chances: half of the samples clear, half doubtful, and one digit that is never seen clearly."""
    sharp = torch.where(torch.arange(n) % 2 == 0, 9.0, 1.5)
    logits = torch.randn(n, 10, generator=g)
    favourite = torch.multinomial(torch.rand(10, generator=g) + 0.1, n, replacement=True, generator=g)
    favourite = torch.where((favourite == 3) & (sharp > 2), (favourite + 1) % 10, favourite)
    return (logits.scatter_add(1, favourite[:, None], sharp[:, None])).softmax(1)


def _shares(chances: Tensor) -> Tensor:
    return torch.bincount(chances.argmax(1), minlength=10).double() / len(chances)


def _perplexity(shares: Tensor) -> float:
    return float(Categorical(probs=shares).entropy().exp())


def _variety(answer: Answer, g: Generator) -> str:
    chances = _opinions(g)
    clear = chances[chances.amax(1) > 0.8]
    shares = _shares(clear)
    entropy, part = math.log(_perplexity(shares)), shares * len(clear) / len(chances)
    return compare_numbers(_one(answer, chances, 0.8), math.exp(entropy), {
        "doubtful samples are counted": _perplexity(_shares(chances)), "the entropy, not a number of digits": entropy,
        "the mean of the chances, not of the readings": _perplexity(clear.double().mean(0)),
"divided by all samples, not by the clear ones": math.exp(-float(torch.special.xlogy(part, part).sum())),
        "2 and the natural logarithm": 2**entropy,
    })  # fmt: skip


def _one(answer: Answer, chances: Tensor, threshold: float) -> float:
    result = answer(chances, threshold)
    if isinstance(number := plain(result), float) and math.isnan(number):
        raise Wrong("got NaN", "0 · log 0: a digit that never occurs")
    return Answer(lambda: result, answer.call).number()


def _missing(answer: Answer, g: Generator) -> str:
    """k digits, equally often, all clear: variety k."""
    for k in (*(2 + torch.randperm(8, generator=g)[:2]).tolist(), 1):
        digits = torch.randperm(10, generator=g)[:k].repeat(4)
        chances = torch.full((len(digits), 10), 0.002).scatter(1, digits[:, None], 0.982)
        compare_numbers(_one(answer, chances, 0.9), float(k), {
            "the entropy, not a number of digits": math.log(k), "2 and the natural logarithm": 2 ** math.log(k),
        })  # fmt: skip
    return "as many as there are"


def _none(answer: Answer, g: Generator) -> str:
    got = _one(answer, torch.full((5 + int(torch.randint(9, (1,), generator=g)), 10), 0.1), 0.9)
    return compare_numbers(got, 0.0, {"one digit where there is none": 1.0, "all ten digits where none is clear": 10.0})


EXERCISES = (
    Exercise(
        "3.2.3",
        "bits_per_pixel(logits, letters, pixels)",
        (
            Property("agrees with torch.distributions", 12, _bits),
            Property("the probabilities of all images sum to one", 7, _sums_to_one),
            Property("fair coins cost one bit a pixel", 5, _coins),
        ),
    ),
    Exercise(
        "3.2.4",
        "variety(chances, threshold)",
        (
            Property("clear samples decide, doubtful ones do not count", 12, _variety),
            Property("k digits alike give k", 8, _missing),
            Property("none clear gives zero", 6, _none),
        ),
    ),
)
