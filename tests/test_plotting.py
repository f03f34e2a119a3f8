"""The arrays behind the figures; nbval never compares pictures."""

import io
import math

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from companion import plotting
from companion.plotting import density, image_grid, panels, play_films, scatter, show_films, show_images, use_style
from tests.conftest import rejects


@pytest.fixture(autouse=True)
def _paper():
    with mpl.rc_context():
        mpl.use("agg")
        use_style()
        yield
        plt.close("all")


def test_a_grid_of_grey_images_is_the_array_made_by_hand():
    images = torch.tensor([[[[-1.0, 0.0]]], [[[1.0, -1.0]]], [[[0.5, -0.5]]]])  # three images, 1 × 2 pixels
    sheet = image_grid(images, columns=2, gap=1)
    assert sheet.tolist() == [
        [0.0, 0.5, 1.0, 1.0, 0.0],
        [1.0, 1.0, 1.0, 1.0, 1.0],
        [0.75, 0.25, 1.0, 1.0, 1.0],
    ]


def test_a_grid_of_colour_images_keeps_channels_and_order():
    images = torch.full((3, 3, 2, 2), -1.0)
    for i in range(3):
        images[i, i] = 1.0  # red, green, blue
    sheet = image_grid(images, columns=3, gap=0)
    assert sheet.shape == (2, 6, 3)
    assert sheet[0, ::2].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_values_outside_are_clipped_and_columns_never_exceed_the_images():
    assert image_grid(torch.tensor([[[[-7.0, 7.0]]]]), columns=10).tolist() == [[0.0, 1.0]]
    assert image_grid(torch.zeros(2, 1, 4, 6), columns=10, gap=2).shape == (4, 14)
    assert image_grid(torch.zeros(5, 1, 4, 6), columns=2, gap=3).shape == (3 * 4 + 2 * 3, 15)
    assert image_grid(torch.ones(2, 1, 1, 1), columns=2, gap=1, between=0.5).tolist() == [[1.0, 0.5, 1.0]]
    for odd in (torch.zeros(1, 1, 2, 2, requires_grad=True), torch.zeros(1, 1, 2, 2, dtype=torch.bfloat16)):
        assert image_grid(odd).tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_bad_images_are_refused():
    with rejects("images: got 2 channels, wanted 1"):
        image_grid(torch.zeros(1, 2, 4, 4))
    with rejects(r"images: got shape \(1, 4, 4\)"):
        image_grid(torch.zeros(1, 4, 4))
    with rejects("no empty axis"):
        image_grid(torch.zeros(0, 1, 4, 4))
    with rejects("images: got torch.uint8, wanted a floating-point"):
        image_grid(torch.zeros(1, 1, 4, 4, dtype=torch.uint8))
    with rejects("images: got 1 values that are NaN"):
        image_grid(torch.full((1, 1, 1, 1), math.nan))
    with rejects("columns"):
        image_grid(torch.zeros(1, 1, 4, 4), columns=0)
    with rejects("gap"):
        image_grid(torch.zeros(1, 1, 4, 4), gap=-1)


def test_images_are_shown_in_their_own_figure_or_in_given_axes(monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    images = torch.linspace(-1, 1, 2 * 16).reshape(2, 1, 4, 4)
    show_images(images, columns=2, title="two")
    drawn = shown[0].axes[0]
    assert np.array_equal(drawn.images[0].get_array(), image_grid(images, 2))
    assert drawn.images[0].get_clim() == (0, 1), "white is white, also where no pixel is"
    assert drawn.get_title() == "two" and shown[0].get_size_inches()[0] <= 5.6
    _, (left, right) = panels(2)
    show_images(images, ax=right)
    assert len(shown) == 1 and not left.images and right.images


def test_each_row_of_images_may_have_its_name(monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    show_images(torch.zeros(5, 1, 4, 6), 2, rows=["one", "two", "the third of them"])
    (ax,) = shown[0].axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["one", "two", "the third\nof them"]
    assert ax.get_yticks().tolist() == [1.5, 7.5, 13.5], "in the middle of each row"
    show_images(torch.zeros(5, 1, 4, 6), 2)
    assert not shown[1].axes[0].axison
    with rejects("rows: got 2 names, wanted one for each of 3 rows"):
        show_images(torch.zeros(5, 1, 4, 6), 2, rows=["one", "two"])


def test_each_film_is_a_row_with_its_name(monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    films = torch.linspace(-1, 1, 2 * 3 * 4 * 6).reshape(2, 1, 3, 4, 6)
    show_films(films, ["first", "second"])
    (ax,) = shown[0].axes
    sheet = ax.images[0].get_array()
    assert sheet.shape == (2 * 4 + 2, 3 * 6 + 2 * 2)
    assert np.allclose(sheet[6:10, 8:14], (films[1, 0, 1] + 1) / 2)
    assert [(label.get_text(), place) for label, place in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)] == [
        ("first", 1.5),
        ("second", 7.5),
    ]
    show_films(films[:1].repeat(6, 1, 1, 1, 1), ["name"] * 6)
    heights = [figure.get_size_inches()[1] for figure in shown]
    assert heights[1] == pytest.approx(0.1 + 4.6 * (6 * 4 + 5 * 2) / (3 * 6 + 2 * 2)), "as high as its sheet"
    with rejects("names: got 1"):
        show_films(films, ["one for two"])


def test_films_play_frame_by_frame_and_begin_again(monkeypatch):
    """A white pixel that goes right in the first film and down in the second: in each frame of the GIF it is where it was."""
    played = []
    monkeypatch.setattr(plotting, "display", played.append)
    films = torch.full((2, 1, 3, 8, 8), -1.0)
    for t in range(3):
        films[0, 0, t, 1, 2 * t + 1], films[1, 0, t, 2 * t + 1, 1] = 1.0, 1.0
    play_films(films, ["right", "down"], columns=2, seconds=0.2)
    picture = Image.open(io.BytesIO(played[0].data))
    assert (picture.format, picture.n_frames, picture.info["loop"]) == ("GIF", 3, 0) and not plt.get_fignums()
    shown_for = []
    for t in range(3):
        picture.seek(t)
        shown_for.append(picture.info["duration"])
        grey = np.asarray(picture.convert("L"))
        pixel = grey.shape[1] / 18  # two films of 8 and a gap of 2
        seen = [
            [grey[int((6 + row + 0.5) * pixel), int((left + column + 0.5) * pixel)] > 128 for row, column in places]
            for left, places in ((0, [(1, 1), (1, 3), (1, 5)]), (10, [(1, 1), (3, 1), (5, 1)]))
        ]
        assert seen == [[i == t for i in range(3)]] * 2
    assert shown_for == [200, 200, 600]
    with rejects("names: got 1"):
        play_films(films, ["one for two"])


def test_scatter_draws_the_points():
    _, (ax,) = panels(1, 1)
    points = torch.randn(20, 2, requires_grad=True)
    scatter(points, ax=ax, limit=3, title="cloud")
    np.testing.assert_allclose(ax.collections[0].get_offsets(), points.detach().numpy(), rtol=1e-6)
    assert ax.get_xlim() == (-3, 3) and ax.get_ylim() == (-3, 3) and ax.get_title() == "cloud"
    assert ax.collections[0].get_linewidths().tolist() == [0.0], "a thousand points, and none with a rim"
    with rejects(r"points: got shape \(3, 3\)"):
        scatter(torch.zeros(3, 3), ax=ax)


def test_density_has_x_to_the_right_and_y_upwards():
    _, (ax,) = panels(1, 1)
    asked = []

    def log_prob(x: torch.Tensor) -> torch.Tensor:
        asked.append(x)
        return -((x - torch.tensor([1.0, -0.5])) ** 2).sum(1)

    density(log_prob, ax=ax, limit=2, points=9)
    values = ax.images[0].get_array()
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert (column, row) == (6, 3), "x = 1 is the seventh of nine columns, y = -0.5 the fourth row from below"
    assert ax.images[0].origin == "lower" and ax.images[0].get_extent() == [-2, 2, -2, 2]
    assert asked[0].shape == (81, 2) and values.max() == pytest.approx(1.0)
    with rejects(r"log_prob: got shape \(81, 1\) for 81 points, wanted"):
        density(lambda x: x[:, :1], ax=ax, limit=2, points=9)
    for name, bad in (("limit", {"limit": 0}), ("points", {"points": 1})):
        with rejects(name):
            density(log_prob, ax=ax, **{"limit": 1, "points": 5} | bad)


def test_panels_are_a_flat_list_and_spare_ones_are_hidden():
    figure, axes = panels(3, 2, height=2)
    assert len(axes) == 3 and len(figure.axes) == 4 and not figure.axes[3].axison
    assert figure.get_size_inches().tolist() == [5.6, 4.0]
    for count, columns in ((0, 2), (2, 0), (1.5, 2)):
        with rejects("count|columns"):
            panels(count, columns)


def test_the_style_is_white_and_readable():
    assert mpl.rcParams["figure.facecolor"] == mpl.rcParams["axes.facecolor"] == "white"
    assert mpl.rcParams["font.size"] >= 10 and mpl.rcParams["legend.fontsize"] >= 10
    assert mpl.rcParams["figure.figsize"][0] <= 5.6
    assert mpl.rcParams["axes.titlesize"] >= mpl.rcParams["axes.labelsize"] >= mpl.rcParams["font.size"]
    assert len(set(plotting.COLORS)) == len(plotting.COLORS) == 7


def test_neighbouring_colours_differ_in_lightness_or_hue_for_all_readers():
    """Okabe & Ito's palette, as published; its colours stay apart under the common colour deficiencies."""
    assert {plotting.BLUE, plotting.ORANGE, plotting.GREEN, plotting.PINK, plotting.SKY, plotting.RED, plotting.YELLOW} == {
        "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442",
    }  # fmt: skip


def test_ten_images_in_a_row_two_pixels_apart_unless_asked_otherwise(monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    images = torch.zeros(11, 1, 1, 3)
    assert image_grid(images).shape == (2 * 1 + 2, 10 * 3 + 9 * 2)
    show_images(images)
    assert shown[0].axes[0].images[0].get_array().shape == image_grid(images).shape


@pytest.mark.parametrize(("n", "columns"), [(12, 3), (3, 3), (4, 1)])
def test_a_figure_of_images_is_as_high_as_they_are(monkeypatch, n, columns):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    for title, room in (("", 0.1), ("title", 0.4)):
        show_images(torch.zeros(n, 1, 9, 9), columns, title=title)
        width, height = shown[-1].get_size_inches()
        rows, across = shown[-1].axes[0].images[0].get_array().shape
        assert 0 < height - width * rows / across < room
    assert not shown[-1].axes[0].axison


def test_pictures_have_no_lines_around_or_across_them(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    show_films(torch.zeros(2, 1, 3, 4, 6), ["first", "second"])
    films = plt.gca()
    _, (cloud, law) = panels(2)
    scatter(torch.randn(5, 2), ax=cloud)
    density(lambda x: -x.square().sum(1), ax=law, limit=1, points=4)
    for ax in (films, cloud, law):
        assert not any(spine.get_visible() for spine in ax.spines.values())
        assert not any(line.get_visible() for line in [*ax.get_xgridlines(), *ax.get_ygridlines()])
        assert len(ax.get_xticks()) == 0
    assert len(cloud.get_yticks()) == len(law.get_yticks()) == 0
    assert films.images[0].get_clim() == (0, 1)
    assert cloud.get_aspect() == 1, "one unit is as long upwards as to the right"


def test_a_plain_plot_has_two_axes_and_a_legend_without_frame():
    _, ax = plt.subplots()
    ax.plot([0, 1], label="line")
    assert {name for name, spine in ax.spines.items() if spine.get_visible()} == {"left", "bottom"}
    assert not ax.legend().get_frame_on()
    assert plt.gcf().get_constrained_layout() and mpl.rcParams["axes.grid"]
