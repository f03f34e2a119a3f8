"""Baseline forecasts of films, without training: nothing moves, or all goes on as in the last step."""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.validate import check_count, check_shapes
from companion.video.film_judge import centroids
from companion.video.measures import shift


def copy_last(films: Float[Tensor, "n 1 given height width"], new: int) -> Float[Tensor, "n 1 new height width"]:
    """The forecast that nothing moves."""
    check_count("new", new)
    return films[:, :, -1:].expand(-1, -1, new, -1, -1).clone()


def constant_velocity(
    films: Float[Tensor, "n 1 given height width"], new: int
) -> Float[Tensor, "n 1 new height width"]:
    """The forecast that all goes on as in the last step: the last frame, moved again and again."""
    check_shapes(films=(films, "n 1 given height width"))
    check_count("given", films.shape[2], low=2)
    check_count("new", new)
    path = centroids(films[:, :, -2:])
    step = path[:, 1] - path[:, 0]
    return torch.stack([shift(films[:, 0, -1], (k + 1) * step) for k in range(new)], 1)[:, None]
