"""The picture of the first page can be pasted anew: each figure that it takes is still there under its name."""

import pytest

from tests.book.hero import FIGURES, WIDTH, figure


@pytest.mark.parametrize(("lesson", "name"), FIGURES)
def test_a_figure_of_the_first_picture_is_stored(lesson: str, name: str) -> None:
    assert figure(lesson, name).width == WIDTH


def test_a_figure_that_is_gone_is_named() -> None:
    with pytest.raises(ValueError, match="got no figure named 'fig-gone'"):
        figure(FIGURES[0][0], "fig-gone")
