"""Stored figures are palette pictures: smaller, of the same size, and close to what was drawn."""

import base64
import io

import numpy as np
from PIL import Image

from tests.lessons.running import small_png


def test_a_figure_shrinks_and_stays_what_it_is():
    y, x = np.mgrid[:200, :300]
    drawn = np.stack([x * 255 // 300, y * 255 // 200, (x + y) % 7], 2).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(drawn).save(stream, "PNG")
    encoded = base64.b64encode(stream.getvalue()).decode()
    small = small_png(encoded)
    stored = np.asarray(Image.open(io.BytesIO(base64.b64decode(small))).convert("RGB")).astype(int)
    assert len(small) < len(encoded) and stored.shape == drawn.shape
    assert np.abs(stored - drawn).mean() < 10


def test_what_is_small_already_stays():
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), "white").save(stream, "PNG")
    encoded = base64.b64encode(stream.getvalue()).decode()
    assert len(small_png(encoded)) <= len(encoded)
