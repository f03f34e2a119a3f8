"""What more than one lesson draws, in one look: white paper, colours that colour-blind readers can tell apart.

Figures are at most 6 inches wide with 11-point text, so that they can still be read on a phone.
"""

import io
import textwrap
from collections.abc import Callable, Sequence
from typing import Annotated

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython import get_ipython
from IPython.display import Image as DisplayedImage
from IPython.display import display
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from companion.validate import Count, Finite, Positive, Range, Share, checked

# Okabe & Ito's palette (jfly.uni-koeln.de/color), black and the darker hues first.
BLUE, ORANGE, GREEN, PINK, SKY, RED, YELLOW, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#222222",
)  # fmt: skip
DPI = 110  # points of a figure's inch on a page
COLORS = (BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK)


def use_style() -> None:
    """Set matplotlib's defaults for the whole course; a notebook's figures have twice the points that they show."""
    if get_ipython() is not None:
        set_matplotlib_formats("retina")
    plt.rcParams.update(
        {
            "figure.figsize": (5.6, 3.4),
            "figure.dpi": DPI,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.constrained_layout.use": True,
            "axes.facecolor": "white",
            "axes.prop_cycle": plt.cycler(color=COLORS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.labelsize": 11,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e4e4e4",
            "grid.linewidth": 0.6,
            "font.size": 11,
            "legend.frameon": False,
            "legend.fontsize": 10,
            "lines.linewidth": 1.8,
            "image.cmap": "gray",
            "image.interpolation": "nearest",
        }
    )


@checked
def image_grid(
    images: Finite[Tensor, "n channels height width"],
    columns: Count = 10,
    *,
    gap: Annotated[int, Range(0)] = 2,
    between: Share = 1.0,
) -> np.ndarray:
    """Lay images in [-1, 1] out as one picture.

    Args:
        images: shape (n, 1 or 3, height, width), values in [-1, 1]; values outside are clipped.
        columns: images in a row.
        gap: pixels between two images.
        between: how bright these are: below 1, images on white paper are told apart.

    Returns:
        One picture in [0, 1]: (rows, columns) for grey images, (rows, columns, 3) for colour.

    Raises:
        ValueError: another shape, no image, whole numbers instead of [-1, 1], or NaN.
    """
    n, channels, height, width = images.shape
    if channels not in (1, 3):
        raise ValueError(f"images: got {channels} channels, wanted 1 (grey) or 3 (colour)")
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), between)
    pixels = ((images.detach().float().cpu() + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    for i, picture in enumerate(pixels):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet[..., 0] if channels == 1 else sheet


def show_images(
    images: Tensor, columns: int = 10, *, title: str = "", rows: Sequence[str] = (), ax: Axes | None = None
) -> None:
    """Draw images in [-1, 1], shape (n, channels, height, width), as a grid; makes its own figure if given no axes.

    Args:
        columns: images in a row.
        title: what stands above the grid.
        rows: what stands before each row.

    Raises:
        ValueError: names of rows, and not one for each.
    """
    sheet = image_grid(images, columns)
    count = -(-len(images) // columns)
    if rows and len(rows) != count:
        raise ValueError(f"rows: got {len(rows)} names, wanted one for each of {count} rows")
    alone = ax is None
    if alone:
        width, room = (4.6, 0.1) if rows else (5.6, 0.05)
        room += 0.25 if title else 0
        _, ax = plt.subplots(figsize=(5.6, width * sheet.shape[0] / sheet.shape[1] + room))
    ax.imshow(sheet, vmin=0, vmax=1)
    if rows:
        step = (sheet.shape[0] + 2) / count  # an image's pixels and the gap of two below it
        lines = [textwrap.fill(name, 11) for name in rows]
        ax.set_yticks([step * row + (step - 3) / 2 for row in range(count)], lines, fontsize=11)
        ax.set_xticks([])
        ax.tick_params(length=0)
        ax.grid(False)
        ax.spines[:].set_visible(False)
    else:
        ax.set_axis_off()
    if title:
        ax.set_title(title)
    if alone:
        plt.show()


@checked
def show_films(films: Float[Tensor, "n channels frames height width"], names: Sequence[str]) -> None:
    """Draw films in [-1, 1], shape (n, channels, frames, height, width): one in each row, with its name before it.

    Raises:
        ValueError: another shape, or not one name for each film.
    """
    n, _, frames, _, _ = films.shape
    if len(names) != n:
        raise ValueError(f"names: got {len(names)}, wanted one for each of {n} films")
    show_images(films.transpose(1, 2).flatten(0, 1), frames, rows=names)


@checked
def play_films(
    films: Finite[Tensor, "n channels frames height width"],
    names: Sequence[str],
    columns: Count = 5,
    *,
    seconds: Positive = 0.25,
) -> None:
    """Show films in [-1, 1], shape (n, channels, frames, height, width), in motion, side by side, each under its name.

    The picture is an animated GIF in nine greys, or 16 colours, that begins again after its last frame; that one stays longer.

    Args:
        columns: films in a row.
        seconds: for which each frame is seen.

    Raises:
        ValueError: another shape, or not one name for each film.
    """
    n, _, frames, height, width = films.shape
    if len(names) != n:
        raise ValueError(f"names: got {len(names)}, wanted one for each of {n} films")
    gap, title = 2, 6  # in pixels of the film; the names stand in two lines on white above it
    sheets = [image_grid(F.pad(frame, (0, 0, title, 0), value=1.0), columns, gap=gap) for frame in films.unbind(2)]
    sheets = [np.round(8 * sheet) / 8 for sheet in sheets]  # noise that nobody sees would make up most of the file
    rows, across = sheets[0].shape[:2]
    figure = plt.figure(figsize=(5.6, 5.6 * rows / across), layout="none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    shown = ax.imshow(sheets[0], vmin=0, vmax=1)
    for i, name in enumerate(names):
        row, column = divmod(i, columns)
        place = column * (width + gap) + (width - 1) / 2, row * (height + title + gap) + title / 2 - 0.5
        ax.text(*place, textwrap.fill(name, 12), ha="center", va="center", fontsize=9, linespacing=1)
    drawn = []
    for sheet in sheets:
        shown.set_data(sheet)
        figure.canvas.draw()
        drawn.append(np.array(figure.canvas.buffer_rgba())[..., :3])
    high, wide, _ = drawn[0].shape
    strip = Image.fromarray(np.concatenate(drawn)).quantize(16)  # one palette: a frame stores only what has changed
    pictures = [strip.crop((0, high * k, wide, high * (k + 1))) for k in range(frames)]
    plt.close(figure)
    stream, shown_for = io.BytesIO(), [round(1000 * seconds)] * (frames - 1) + [round(3000 * seconds)]
    pictures[0].save(stream, "GIF", save_all=True, append_images=pictures[1:], duration=shown_for, loop=0)
    display(DisplayedImage(stream.getvalue(), format="gif"))


@checked
def scatter(
    points: Float[Tensor, "n 2"], *, ax: Axes, color: str = BLUE, title: str = "", limit: Positive | None = None
) -> None:
    """Draw 2-D points, shape (n, 2), on square axes from -limit to limit (from the data if not given)."""
    x, y = points.detach().cpu().numpy().T
    ax.scatter(x, y, s=4, alpha=0.5, color=color, linewidths=0, rasterized=True)
    ax.set_aspect("equal")
    if limit is not None:
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit))
    ax.set(xticks=[], yticks=[], title=title)
    ax.grid(False)
    ax.spines[:].set_visible(False)


@checked
def density(
    log_prob: Callable[[Tensor], Tensor],
    *,
    ax: Axes,
    limit: Positive,
    points: Annotated[int, Range(2)] = 100,
    title: str = "",
) -> None:
    """Draw exp(log_prob) over the square from -limit to limit; ``log_prob`` maps (n, 2) to (n)."""
    axis = torch.linspace(-limit, limit, points)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        found = log_prob(grid)
    if found.shape != grid.shape[:1]:
        raise ValueError(f"log_prob: got shape {tuple(found.shape)} for {len(grid)} points, wanted ({len(grid)},)")
    values = found.exp().reshape(points, points).T.cpu().numpy()
    span = (-limit, limit, -limit, limit)
    ax.imshow(values, origin="lower", extent=span, cmap="Blues", interpolation="bilinear")
    ax.set(xticks=[], yticks=[], title=title)
    ax.grid(False)
    ax.spines[:].set_visible(False)


@checked
def panels(count: Count, columns: Count = 2, *, height: Positive = 2.7) -> tuple[Figure, Sequence[Axes]]:
    """A figure of ``count`` axes in rows of ``columns``, 5.6 inches wide, and its axes as a flat list."""
    rows = -(-count // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5.6, height * rows), squeeze=False)
    flat = list(axes.flat)
    for spare in flat[count:]:
        spare.set_axis_off()
    return figure, flat[:count]
