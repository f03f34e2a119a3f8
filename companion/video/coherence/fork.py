"""Films with two possible futures, and the same films with one: a digit stands at a fork, and a light hangs above it.

For four frames the digit stands; then it goes left or right, which a fair coin decides. The strip of light above is bright or
dark in all frames. Where the light *tells*, bright means right and dark means left, and the given frames have one future.
Where it does not, the light is decided by a coin of its own: the same digits, ways and lights, each as often as before, but
nothing in the given frames says which future will come, a or b. Then the least squared error belongs to neither:

    E ‖f - x‖² = ‖f - (a + b)/2‖² + ‖a - b‖²/4,    x = a or b, each with probability ½        (eq-coherence-fork)

least for f = (a + b)/2, a picture of both ways at once; a forecast of a or of b has twice that error on average.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from companion.data.moving_digits import FilmMaker, render
from companion.training.random import randint
from companion.validate import Count, check_count, checked

LIGHT = 2  # rows of the strip of light
_STEPS = torch.tensor([0.0, 0, 0, 0, 1, 2, 3, 4])  # pixels from the middle


class Fork(NamedTuple):
    """Films in [-1, 1], and the same films in which the digit goes the other way; their first four frames are the same."""

    films: Float[Tensor, "n 1 8 height width"]
    others: Float[Tensor, "n 1 8 height width"]


@checked
def fork_films(maker: FilmMaker, n: Count, generator: torch.Generator, *, told: bool) -> Fork:
    """``n`` new films of eight frames, as high as the maker's digits and the light, and twice as wide as its digits.

    From generators of one state, films with ``told`` and without differ in their lights alone.

    Args:
        maker: whose digits.
        n: how many.
        generator: of the digits, the ways and the lights.
        told: whether the light says the way.

    Raises:
        ValueError: a count below 1, or digits of fewer than 8 pixels, which have no room for four steps.
    """
    size = maker.sprites.shape[-1]
    check_count("size of the digits", size, low=8)
    which = randint(len(maker.labels), (n,), generator, maker.labels)
    right, coin = randint(2, (2, n), generator, maker.labels).bool()
    bright = right if told else coin
    middle = (torch.tensor([size, 2 * size]) - maker.ink[which]) // 2

    def go(way: Tensor) -> Tensor:
        across = middle[:, 1:] + torch.where(way[:, None], _STEPS, -_STEPS)
        along = (middle[:, :1] + LIGHT).expand_as(across)
        films = render(maker.sprites[which], torch.stack([along, across], -1), size + LIGHT, 2 * size)
        films[bright, :, :, :LIGHT] = 1
        return films

    return Fork(go(right), go(~right))
