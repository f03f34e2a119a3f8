"""The check of exercise 3.10.1: a matrix as whole numbers, a scale for each row.

The truth is the bound itself, half a step for each weight, with torch's fake quantisation for the values.
"""

import torch
from torch import Generator, Tensor

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare, sizes


def _matrix(g: Generator) -> tuple[Tensor, int]:
    """Rows of very different size; each has one weight of its scale times the largest number, without rounding."""
    rows, columns = sizes(g, 2, low=4)
    bits = int(torch.randint(3, 8, (), generator=g))
    weight = (2 * torch.rand(rows, columns, generator=g) - 1) * 0.95
    weight[torch.arange(rows), torch.randint(columns, (rows,), generator=g)] = torch.where(
        torch.arange(rows) % 2 == 0, 1.0, -1.0
    )
    size = 2.0 ** (torch.randperm(rows, generator=g) - rows // 2)
    return weight * size[:, None] * (2 ** (bits - 1) - 1), bits


def _stored(answer: Answer, weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    result = answer(weight, bits)
    if not isinstance(result, (tuple, list)) or len(result) != 2 or not all(isinstance(r, Tensor) for r in result):
        raise Wrong(f"got {type(result).__name__}, wanted two tensors: the whole numbers, and the scales")
    numbers, scales = result[0], result[1].squeeze(-1) if result[1].ndim == 2 else result[1]
    if tuple(numbers.shape) != tuple(weight.shape):
        raise Wrong(f"got numbers of shape {tuple(numbers.shape)}, wanted that of the matrix, {tuple(weight.shape)}")
    if tuple(scales.shape) != (len(weight),):
        mistake = ""
        if scales.numel() == 1:
            mistake = "one scale for the whole matrix"
        elif scales.numel() == weight.shape[1]:
            mistake = "a scale for each column"
        raise Wrong(f"got {tuple(scales.shape)} scales, wanted one for each of {len(weight)} rows", mistake)
    if not torch.isfinite(scales).all() or not torch.isfinite(numbers.double()).all():
        raise Wrong("got values that are not finite numbers", "a row of zeros is divided by its scale of zero")
    if not torch.equal(numbers.double(), numbers.double().round()):
        raise Wrong("the numbers are not whole", "nothing is rounded")
    return numbers.double(), scales.double()


def _range(answer: Answer, g: Generator) -> str:
    said = ""
    for _ in range(3):
        weight, bits = _matrix(g)
        numbers, _ = _stored(answer, weight, bits)
        top = 2 ** (bits - 1) - 1
        largest = numbers.abs().amax(1)
        if (largest > top).any():
            raise Wrong(f"with {bits} bits got numbers up to {int(largest.max())}, wanted at most {top}",
                        "a range that is not symmetric: its largest number does not fit")  # fmt: skip
        if (largest < top).any():
            raise Wrong(f"with {bits} bits a row reaches only {int(largest.min())}, wanted {top} in every row",
                        "rows share a scale, or rounding goes towards zero")  # fmt: skip
        said = f"whole numbers from {-top} to {top}"
    return said


def _scales(answer: Answer, g: Generator) -> str:
    weight, bits = _matrix(g)
    _, scales = _stored(answer, weight, bits)
    top = 2 ** (bits - 1) - 1
    largest = weight.abs().amax(1)
    mistakes = {
        "a range that is not symmetric: its largest number does not fit": largest / (top + 1),
        "all 2^b numbers on each side": largest / (2**bits - 1),
        "the largest weight with its sign": weight.amax(1) / top,
        "one scale for the whole matrix": (largest.max() / top).expand(len(weight)),
        "the spread of the row, not its largest weight": weight.std(1) / top,
    }
    return compare(scales, largest / top, mistakes, atol=1e-9)


def _rounding(answer: Answer, g: Generator) -> str:
    weight, bits = _matrix(g)
    numbers, scales = _stored(answer, weight, bits)
    scales = weight.abs().amax(1).double() / (2 ** (bits - 1) - 1)
    wrong = (numbers * scales[:, None] - weight).abs() / scales[:, None]
    if wrong.max() > 0.5 + 1e-4:
        exact = (weight / scales[:, None]).double()
        mistake = ""
        for name, rounded in {"rounded towards zero": exact.trunc(), "rounded down": exact.floor()}.items():
            if (numbers - rounded).abs().max() < 0.5:
                mistake = name
        raise Wrong(f"a weight is off by {float(wrong.max()):.2f} of a step, wanted at most half a step", mistake)
    theirs = torch.fake_quantize_per_channel_affine(
        weight,
        scales.float(),
        torch.zeros(len(weight), dtype=torch.int32),
        0,
        -(2 ** (bits - 1)) + 1,
        2 ** (bits - 1) - 1,
    )
    off = (numbers * scales[:, None] - theirs).abs().max()
    return f"no weight is off by more than half a step (torch's own rounding within {float(off):.1g})"


def _zeros(answer: Answer, g: Generator) -> str:
    weight, bits = _matrix(g)
    weight[1] = 0
    numbers, _ = _stored(answer, weight, bits)
    if numbers[1].any():
        raise Wrong("a row of zeros does not stay one", "a row of zeros is divided by its scale of zero")
    if not numbers.any():
        raise Wrong("the other rows have become zeros, too")
    return "stays a row of zeros"


EXERCISES = (
    Exercise(
        "3.10.1",
        "quantize_rows(weight, bits)",
        (
            Property("the whole numbers and their range", 6, _range),
            Property("a scale for each row", 5, _scales),
            Property("rounded to the nearest", 5, _rounding),
            Property("a row of zeros", 4, _zeros),
        ),
    ),
)
