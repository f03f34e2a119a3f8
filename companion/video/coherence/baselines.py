"""Baseline forecasts of films, without training: nothing moves, or all goes on as in the last step."""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.validate import Count, check_count, checked
from companion.video.film_judge import centroids
from companion.video.measures import shift


@checked
def copy_last(films: Float[Tensor, "n 1 given height width"], new: Count) -> Float[Tensor, "n 1 new height width"]:
    """The forecast that nothing moves."""
    return films[:, :, -1:].expand(-1, -1, new, -1, -1).clone()


@checked
def constant_velocity(
    films: Float[Tensor, "n 1 given height width"], new: Count
) -> Float[Tensor, "n 1 new height width"]:
    """The forecast that all goes on as in the last step: the last frame, moved again and again."""
    check_count("given", films.shape[2], low=2)
    path = centroids(films[:, :, -2:])
    step = path[:, 1] - path[:, 0]
    return torch.stack([shift(films[:, 0, -1], (k + 1) * step) for k in range(new)], 1)[:, None]
