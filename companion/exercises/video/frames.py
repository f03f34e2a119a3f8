"""The checks of exercises 3.7.1 and 3.7.2: a layer for images on films, and one step of a ConvLSTM.

A layer on films is judged by giving it each frame by itself. The ConvLSTM is judged by `torch.nn.LSTMCell`: a convolution
is one matrix product for each place, with what `torch.nn.functional.unfold` cuts out around it. Ids such as I58 are those of
the course's list of known mistakes.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare, sizes


def _films(g: Generator) -> Tensor:
    return torch.randn(*sizes(g, 5, low=2, high=8), generator=g)


def _each(films: Tensor, layer: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.stack([layer(frame) for frame in films.unbind(2)], dim=2)


def _folded(films: Tensor, layer: Callable[[Tensor], Tensor], *, before: bool, after: bool) -> Tensor | None:
    """What folding time into the batch gives, with and without the two transpositions."""
    n, c, t, h, w = films.shape
    flat = (films.transpose(1, 2) if before else films).reshape(n * t, c, h, w)
    out = layer(flat)
    shape = out.shape[1:]
    return out.reshape(n, t, *shape).transpose(1, 2) if after else out.reshape(n, shape[0], t, *shape[1:])


def _mistakes(films: Tensor, layer: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    return {
        "channels and frames are mixed on the way in (I58)": _folded(films, layer, before=False, after=True),
        "channels and frames are mixed on the way out (I58)": _folded(films, layer, before=True, after=False),
        "channels and frames are mixed on both ways (I58)": _folded(films, layer, before=False, after=False),
        "the layer was not applied": films,
    }


def _per_frame(kind: str) -> Callable[[Answer, Generator], str]:
    def test(answer: Answer, g: Generator) -> str:
        films = _films(g)
        c, h = films.shape[1], films.shape[3]
        weight = torch.randn(c if kind == "same" else c + 3, c, 3, 3, generator=g) / 3

        def layer(images: Tensor) -> Tensor:
            if kind == "pointwise":
                return images * torch.arange(1, h + 1)[:, None]
            return F.conv2d(images, weight, padding=1, stride=2 if kind == "smaller" else 1)

        wanted = _each(films, layer)
        return compare(
            answer.tensor(films, layer, shape=tuple(wanted.shape)),
            wanted,
            {name: value for name, value in _mistakes(films, layer).items() if value is not None},
        )

    return test


def _once(answer: Answer, g: Generator) -> str:
    """Each frame depends on itself alone, and the layer runs on all frames together."""
    films, calls = _films(g), []
    weight = torch.randn(films.shape[1], films.shape[1], 1, 1, generator=g)

    def layer(images: Tensor) -> Tensor:
        calls.append(len(images))
        return F.conv2d(images, weight)

    answer.tensor(films, layer, shape=tuple(films.shape))
    n, t = films.shape[0], films.shape[2]
    if calls != [n * t]:
        raise Wrong(
            f"the layer was called {len(calls)} times, on {calls} images, wanted once on all {n * t}",
            "a loop over frames or films" if len(calls) > 1 else "",
        )
    return "one call for all frames"


def _cell(g: Generator) -> tuple[Tensor, ...]:
    n, c, hidden, height, width = sizes(g, 5, low=2, high=7)
    x = torch.randn(n, c, height, width, generator=g)
    h, memory = (torch.randn(n, hidden, height, width, generator=g) for _ in range(2))
    weight = torch.randn(4 * hidden, c + hidden, 3, 3, generator=g) / 3
    return x, h, memory, weight, torch.randn(4 * hidden, generator=g)


def _lstm(x: Tensor, h: Tensor, memory: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The step by PyTorch's cell: every place is a row, and what lies around it is the input."""
    hidden = h.shape[1]
    around = F.unfold(torch.cat([x, h], 1), 3, padding=1).transpose(1, 2).flatten(0, 1)
    cell = nn.LSTMCell(around.shape[1], hidden)
    with torch.no_grad():
        cell.weight_ih.copy_(weight.flatten(1))
        cell.bias_ih.copy_(bias)
        cell.weight_hh.zero_()
        cell.bias_hh.zero_()
        rows = memory.flatten(2).transpose(1, 2).flatten(0, 1)
        new = cell(around, (torch.zeros_like(rows), rows))
    return tuple(part.view(len(x), -1, hidden).transpose(1, 2).reshape(h.shape) for part in new)


def _gates(
    x: Tensor,
    h: Tensor,
    memory: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    order: str = "ifgo",
    curve=torch.tanh,
    old=False,
) -> tuple[Tensor, Tensor]:
    """The step with a mistake."""
    parts = dict(zip(order, F.conv2d(torch.cat([x, h], 1), weight, bias, padding=1).chunk(4, 1), strict=True))
    new = parts["f"].sigmoid() * memory + parts["i"].sigmoid() * curve(parts["g"])
    return parts["o"].sigmoid() * torch.tanh(memory if old else new), new


def _step(which: int) -> Callable[[Answer, Generator], str]:
    def test(answer: Answer, g: Generator) -> str:
        inputs = _cell(g)
        h, memory, right = inputs[1], inputs[2], _lstm(*inputs)
        shape = tuple(h.shape)
        got = answer.tensors(*inputs, shapes=(shape, shape))[which]
        mistakes = {
            "h and c are returned in the wrong order": right[1 - which],
            "the gates are split in another order": _gates(*inputs, order="figo")[which],
            "the candidate goes through a sigmoid": _gates(*inputs, curve=torch.sigmoid)[which],
            "the output shows the old memory": _gates(*inputs, old=True)[which],
            "the old memory is forgotten altogether": _gates(*inputs[:2], torch.zeros_like(memory), *inputs[3:])[which],
            "the old output is not read": _gates(inputs[0], torch.zeros_like(h), *inputs[2:])[which],
        }
        return compare(got, right[which], mistakes)

    return test


EXERCISES = (
    Exercise(
        "3.7.1",
        "per_frame(films, layer)",
        (
            Property("a layer that keeps the number of channels", 5, _per_frame("same")),
            Property("a layer that changes channels and size", 5, _per_frame("smaller")),
            Property("a layer that treats rows differently", 4, _per_frame("pointwise")),
            Property("one call of the layer", 4, _once),
        ),
    ),
    Exercise(
        "3.7.2",
        "convlstm_step(x, h, c, weight, bias)",
        (
            Property("the new memory c", 12, _step(1)),
            Property("the new output h", 10, _step(0)),
        ),
    ),
)
