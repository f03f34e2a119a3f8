"""Chapter 3.7's graders: the typical wrong answers that `test_typical` tries, and what is proved of this chapter alone."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from companion.exercises.checking import grade
from companion.exercises.video.frames import _lstm
from companion.exercises.video.patches import _tokens
from tests.exercises import typical

RIGHT = typical.right("3_07_video")


def folded(before: bool = True, after: bool = True) -> Callable[..., Tensor]:
    def wrong(films: Tensor, layer: Callable[[Tensor], Tensor]) -> Tensor:
        n, c, t, h, w = films.shape
        out = layer((films.transpose(1, 2) if before else films).reshape(n * t, c, h, w))
        shape = out.shape[1:]
        return out.reshape(n, t, *shape).transpose(1, 2) if after else out.reshape(n, shape[0], t, *shape[1:])

    return wrong


def looped(films: Tensor, layer: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.stack([layer(frame) for frame in films.unbind(2)], dim=2)


def step(
    order: str = "ifgo",
    curve: Callable[[Tensor], Tensor] = torch.tanh,
    swap: bool = False,
    old: bool = False,
    blind: bool = False,
) -> Callable[..., Any]:
    def wrong(x: Tensor, h: Tensor, c: Tensor, weight: Tensor, bias: Tensor) -> Any:
        h = torch.zeros_like(h) if blind else h
        parts = dict(zip(order, F.conv2d(torch.cat([x, h], 1), weight, bias, padding=1).chunk(4, 1), strict=True))
        new = parts["f"].sigmoid() * c + parts["i"].sigmoid() * curve(parts["g"])
        out = parts["o"].sigmoid() * torch.tanh(c if old else new)
        return (new, out) if swap else (out, new)

    return wrong


def loss(
    masked: bool = True,
    given: bool = True,
    divide: str = "wanted",
    sign: int = 1,
    noise: int = 1,
) -> Callable[..., Tensor]:
    def wrong(predicted: Tensor, z: Tensor, x: Tensor, real: Tensor, known: Tensor) -> Tensor:
        wanted = torch.ones_like(real)
        wanted = wanted & real if masked else wanted
        wanted = wanted & ~known if given else wanted
        error = (predicted - sign * (x - noise * z)).square().mean(-1) * wanted
        if divide == "films":
            return (error.sum(1) / wanted.sum(1)).mean()
        return error.mean() if divide == "all" else error.sum() / wanted.sum()

    return wrong


def count(
    tokens: Callable[..., int], pairs: Callable[[int], int] = lambda n: n * n, factor: float = 4
) -> Callable[..., Any]:
    return lambda f, h, w, t, s: (tokens(f, h, w, t, s), pairs(tokens(f, h, w, t, s)), factor)


def cells(f: int, h: int, w: int, t: int, s: int) -> int:
    return f // t * (h // s) * (w // s)


def straight(path: Tensor, room: Tensor, new: int) -> Tensor:
    move = path[:, -1] - path[:, -2]
    return path[:, -1:] + move[:, None] * torch.arange(1, new + 1)[:, None]


def once(path: Tensor, room: Tensor, new: int) -> Tensor:
    line, top = straight(path, room, new), room[:, None]
    line = torch.where(line < 0, -line, line)
    return torch.where(line > top, 2 * top - line, line)


WRONG: list[typical.Row] = [
    ("3.7.1", folded(before=False), 4, "on the way in (I58)"),
    ("3.7.1", folded(after=False), 4, "on the way out (I58)"),
    ("3.7.1", RIGHT["per_frame_with_bugs"], 8, "on both ways (I58)"),
    ("3.7.1", looped, 14, "a loop over frames or films"),
    ("3.7.2", step(order="figo"), 0, "split in another order"),
    ("3.7.2", step(curve=torch.sigmoid), 0, "goes through a sigmoid"),
    ("3.7.2", step(swap=True), 0, "in the wrong order"),
    ("3.7.2", step(old=True), 12, "shows the old memory"),
    ("3.7.2", step(blind=True), 0, "the old output is not read"),
    ("3.7.3", loss(masked=False), 6, "padding counts"),
    ("3.7.3", loss(divide="all"), 10, "padding is divided by"),
    ("3.7.3", loss(divide="films"), 10, "a token of a short film weighs more"),
    ("3.7.3", loss(given=False), 16, "known tokens count"),
    ("3.7.3", loss(sign=-1), 4, "from the film to the noise"),
    ("3.7.3", loss(noise=0), 4, "not the velocity"),
    ("3.7.4", count(lambda f, h, w, t, s: f * (h // s) * (w // s)), 7, "time is not compressed"),
    ("3.7.4", count(lambda f, h, w, t, s: f // t * (h // s) * w), 7, "only one side of the frame is divided"),
    ("3.7.4", count(cells, pairs=lambda n: n * (n + 1) // 2), 12, "each pair is counted once"),
    ("3.7.4", count(cells, factor=2), 11, "the number of tokens, not of pairs"),
    ("3.7.4", lambda *_: (32, 1024, 4), 5, "formulas belong"),
    ("3.7.5", straight, 5, "goes through the wall"),
    ("3.7.5", lambda p, r, n: straight(p, r, n).clamp(min=0).minimum(r[:, None]), 5, "stops at the wall"),
    ("3.7.5", once, 16, "turns round once only"),
    ("3.7.5", lambda p, r, n: straight(p, r, n).remainder(r[:, None]), 5, "on the other side"),
    ("3.7.5", lambda p, r, n: p[:, -1:].expand(-1, n, -1), 0, "nothing moves"),
]


def test_the_unfolded_cell_is_the_convolution() -> None:
    """The grader's way by torch's LSTM cell and the equation's way agree."""
    x, h, c = torch.randn(2, 3, 5, 4), torch.randn(2, 6, 5, 4), torch.randn(2, 6, 5, 4)
    weight, bias = torch.randn(24, 9, 3, 3) / 3, torch.randn(24)
    for got, wanted in zip(_lstm(x, h, c, weight, bias), step()(x, h, c, weight, bias), strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)


def test_the_count_of_a_small_film_by_hand() -> None:
    assert _tokens((4, 6, 9, 2, 3)) == 2 * 2 * 3


def test_ways_to_write_the_right_answer_are_all_right() -> None:
    assert grade("3.7.1", folded(), seed=4) == 18
    assert grade("3.7.2", step(), seed=4) == 22
    assert grade("3.7.3", loss(), seed=4) == 22
    assert grade("3.7.4", count(cells), seed=4) == 16
    assert grade("3.7.5", RIGHT["forecast"], seed=4) == 22
