"""Three measures of temporal coherence of films, from pixels alone.

With c_t the centre of the ink of frame t (`companion.video.film_judge`):

    jerk:      the mean size of c_{t+1} - 2 c_t + c_{t-1}, in pixels                               (eq-coherence-jerk)
    flicker:   the mean of (x_{t+1} - shift(x_t, c_{t+1} - c_t))²                               (eq-coherence-flicker)
    identity:  the share of pairs of neighbouring frames in which the judge reads the same digit

Motion at constant velocity has no jerk but at a wall. A thing that only moves has no flicker: the next frame is this frame,
moved ("warping error", Lai et al., arXiv:1808.00449, who estimate the motion at each pixel; ours is one for a frame). Real
films do not score zero, so each is read beside what real films score.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from companion.metrics.digit_judge import opinion
from companion.training.precision import widened
from companion.validate import check_count, checked
from companion.video.film_judge import centroids, digit_crops


@checked
def jerk(films: Float[Tensor, "n 1 frames height width"]) -> Float[Tensor, "n"]:
    """How much the velocity of the ink's centre changes from step to step, in pixels (eq-coherence-jerk)."""
    check_count("frames", films.shape[2], low=3)
    return centroids(films).diff(n=2, dim=1).norm(dim=-1).mean(1)


@checked
def flicker(films: Float[Tensor, "n 1 frames height width"]) -> Float[Tensor, "n"]:
    """What of each frame the moved frame before does not explain: a mean squared error (eq-coherence-flicker)."""
    check_count("frames", films.shape[2], low=2)
    before, after, steps = films[:, 0, :-1], films[:, 0, 1:], centroids(films).diff(dim=1)
    moved = shift(before.flatten(0, 1), steps.flatten(0, 1)).view_as(after)
    return (after - moved).square().mean((1, 2, 3))


@checked
def identity(films: Float[Tensor, "n 1 frames height width"]) -> Float[Tensor, "n"]:
    """The share of neighbouring frames that show the same digit, to the judge."""
    check_count("frames", films.shape[2], low=2)
    views = digit_crops(films, centroids(films))
    read = opinion(views.reshape(-1, 1, 28, 28)).argmax(1).view(views.shape[:2])
    return (read[:, 1:] == read[:, :-1]).float().mean(1)


@checked
def shift(images: Float[Tensor, "n height width"], steps: Float[Tensor, "n 2"]) -> Float[Tensor, "n height width"]:
    """Each image moved by its step (rows, columns), by bilinear weights; what comes in from outside is ground, -1."""
    (n, height, width), steps = images.shape, widened(steps)
    rows = torch.arange(height, device=steps.device) - steps[:, :1]
    columns = torch.arange(width, device=steps.device) - steps[:, 1:]
    y, x = (2 * rows + 1) / height - 1, (2 * columns + 1) / width - 1
    grid = torch.stack([x[:, None].expand(n, height, width), y[..., None].expand(n, height, width)], -1)
    ink = widened(images)[:, None] + 1
    return F.grid_sample(ink, grid.to(ink.dtype), align_corners=False)[:, 0] - 1
