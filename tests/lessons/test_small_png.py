"""Stored figures are palette pictures: smaller, of the same size, and close to what was drawn."""

import base64
import io
import itertools

import numpy as np
from PIL import Image

from tests.lessons.running import small_png


def test_a_figure_shrinks_and_stays_what_it_is():
    y, x = np.mgrid[:200, :300]
    grain = np.random.default_rng(0).integers(0, 7, (200, 300))
    drawn = np.stack([x * 255 // 300, y * 255 // 200, grain], 2).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(drawn).save(stream, "PNG")
    encoded = base64.b64encode(stream.getvalue()).decode()
    small = small_png(encoded)
    stored = np.asarray(Image.open(io.BytesIO(base64.b64decode(small))).convert("RGB")).astype(int)
    assert len(small) < len(encoded) and stored.shape == drawn.shape
    assert np.abs(stored - drawn).mean() < 10


def test_white_paper_and_black_ink_stay():
    shades = np.linspace(0, 255, 200).astype(np.uint8)  # as around letters
    drawn = np.full((100, 200), 255, np.uint8)
    drawn[40], drawn[50] = shades, 0
    stream = io.BytesIO()
    Image.fromarray(drawn).convert("RGB").save(stream, "PNG")
    small = small_png(base64.b64encode(stream.getvalue()).decode())
    stored = np.asarray(Image.open(io.BytesIO(base64.b64decode(small))).convert("L")).astype(int)
    assert (stored[:40] == 255).all() and (stored[50] < 16).all()
    assert np.abs(stored - drawn).max() < 16


def test_pale_grounds_stay_apart_beside_many_colours():
    grounds = np.array([[200, 203, 208], [255, 200, 214], [216, 198, 246], [240, 222, 170]])
    y, x = np.mgrid[:120, :400]
    grain = np.random.default_rng(0).integers(0, 200, (120, 400))  # a smooth picture is small as it is, and is kept
    drawn = np.stack([x * 255 // 399, y * 255 // 119, grain], 2)
    for place, ground in enumerate(grounds):
        drawn[:12, 20 * place : 20 * place + 12] = ground
    drawn = drawn.astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(drawn).save(stream, "PNG")
    encoded = base64.b64encode(stream.getvalue()).decode()
    small = small_png(encoded)
    assert len(small) < len(encoded)
    stored = np.asarray(Image.open(io.BytesIO(base64.b64decode(small))).convert("RGB")).astype(float)
    kept = np.stack([stored[:12, 20 * place : 20 * place + 12].mean((0, 1)) for place in range(len(grounds))])
    for one, other in itertools.combinations(range(len(grounds)), 2):
        assert np.linalg.norm(kept[one] - kept[other]) > np.linalg.norm(grounds[one] - grounds[other]) / 2


def test_what_is_small_already_stays():
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), "white").save(stream, "PNG")
    encoded = base64.b64encode(stream.getvalue()).decode()
    assert len(small_png(encoded)) <= len(encoded)
