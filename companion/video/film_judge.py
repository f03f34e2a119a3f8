"""The judge of films: which digit a film shows and where it goes, measured from the pixels alone, so that any can be judged.

The place of the digit in a frame is the centre of its ink (eq-coherence-centroid): with ink w = (x + 1)/2, 0 below a tenth,

    c_t = Σ w p / Σ w      over the pixels p of frame t.

*Direction*: the slope of c_t over the first half of the film, by least squares, says whether it goes left, right, up or down
(eq-coherence-slope); half a film, since a digit may meet a wall later. *Digit*: a window of 14 pixels around c_t, made twice as
large, is what the judge of MNIST's digits (`companion.metrics.digit_judge`) was trained to see; the opinions of all frames
are averaged. How often both are right on real films is measured, not assumed: see the tests.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from companion.metrics.digit_judge import opinion
from companion.training.precision import widened
from companion.validate import checked

_WINDOW = 14  # pixels around the centre of a digit of 10 pixels; MNIST's 28 show one of 20


@dataclass(frozen=True)
class Verdict:
    """What the judge sees in n films.

    Attributes:
        opinions: the probability of each digit, mean over the frames.
        digits: the likeliest.
        directions: the index into `DIRECTIONS`.
        paths: the centre of the ink (row, column) in each frame.
    """

    opinions: Float[Tensor, "n 10"]
    digits: Int[Tensor, "n"]
    directions: Int[Tensor, "n"]
    paths: Float[Tensor, "n frames 2"]


@checked
def centroids(films: Float[Tensor, "n 1 frames height width"]) -> Float[Tensor, "n frames 2"]:
    """The centre of the ink of each frame (eq-coherence-centroid); of an empty frame, the middle."""
    ink = ((widened(films[:, 0]) + 1) / 2).clamp(0, 1)
    ink = ink * (ink > 0.1)
    total = ink.sum((-2, -1))
    rows, columns = (torch.arange(size, dtype=ink.dtype, device=ink.device) for size in ink.shape[-2:])
    middle = torch.stack([rows.mean(), columns.mean()])
    place = torch.stack([ink.sum(-1) @ rows, ink.sum(-2) @ columns], -1) / total.clamp(min=1e-6)[..., None]
    return torch.where(total[..., None] > 0, place, middle)


@checked
def slopes(path: Float[Tensor, "n frames axes"]) -> Float[Tensor, "n axes"]:
    """Pixels a frame along each axis, by least squares (eq-coherence-slope)."""
    time = torch.arange(path.shape[1], dtype=path.dtype, device=path.device)
    time = time - time.mean()
    return torch.einsum("t,nta->na", time, path) / time.square().sum().clamp(min=1e-6)


@checked
def digit_crops(
    films: Float[Tensor, "n 1 frames height width"], path: Float[Tensor, "n frames 2"]
) -> Float[Tensor, "n frames 28 28"]:
    """What lies around the path in each frame, twice as large, as the judge of digits wants it."""
    n, _, frames, height, width = films.shape
    offsets = (torch.arange(28, device=path.device) + 0.5) / 28 * _WINDOW - _WINDOW / 2
    rows = (path[..., 0].reshape(-1, 1) + offsets + 0.5) * 2 / height - 1
    columns = (path[..., 1].reshape(-1, 1) + offsets + 0.5) * 2 / width - 1
    grid = torch.stack(
        [columns[:, None].expand(-1, 28, -1), rows[:, :, None].expand(-1, -1, 28)], -1
    )  # grid_sample wants (x, y)
    ink = (widened(films[:, 0]).reshape(-1, 1, height, width).clamp(-1, 1) + 1) / 2
    seen = F.grid_sample(ink, grid.to(ink.dtype), align_corners=False)  # beyond the edge lies 0, the ground
    return (2 * seen - 1).reshape(n, frames, 28, 28)


def judge_films(films: Float[Tensor, "n 1 frames height width"]) -> Verdict:
    """Which digit each film shows and in which direction it sets out."""
    path = centroids(films)
    n, frames = path.shape[:2]
    views = digit_crops(films, path).reshape(n * frames, 1, 28, 28)
    opinions = opinion(views).reshape(n, frames, 10).mean(1)
    row, column = slopes(path[:, : frames // 2 + 1]).unbind(-1)
    across = torch.where(column < 0, 0, 1)
    along = torch.where(row < 0, 2, 3)
    return Verdict(opinions, opinions.argmax(1), torch.where(column.abs() > row.abs(), across, along), path)
