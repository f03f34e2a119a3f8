"""The video of an animated picture shows its frames, each for its time."""

import subprocess
import sys

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from tests.book.lock import ROOT


@pytest.fixture
def films(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "book/_ext"))
    import course_films

    yield course_films
    sys.modules.pop("course_films")


@pytest.fixture
def animated(tmp_path):
    """Three frames of 33 × 21 pixels, a bright square that moves right; the last stays three times as long."""
    frames = []
    for t in range(3):
        frame = np.zeros((21, 33), np.uint8)
        frame[6:14, 2 + 10 * t : 10 + 10 * t] = 255
        frames.append(Image.fromarray(frame))
    file = tmp_path / "_images/moving.gif"
    file.parent.mkdir()
    frames[0].save(file, save_all=True, append_images=frames[1:], duration=[200, 200, 600], loop=0)
    return file


def test_the_film_shows_the_frames_each_for_its_time(films, animated):
    decode = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", films.film(animated), "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    run = subprocess.run(decode, capture_output=True, check=True)
    assert b"32x20" in run.stderr and b" 5 fps" in run.stderr
    seen = np.frombuffer(run.stdout, np.uint8).reshape(-1, 20, 32)
    places = [int(frame[6:14].mean(0).argmax()) // 10 for frame in seen]
    assert places == [0, 1, 2, 2, 2]
    with Image.open(animated.with_suffix(".poster.png")) as poster:
        assert poster.size == (32, 20) and poster.convert("L").getpixel((5, 10)) > 200


def test_a_page_gets_a_player_with_the_pictures_text(films, animated):
    page = animated.parents[1] / "page.html"
    picture = '<img alt="A &lt;square&gt; moves" class="x" src="_images/moving.gif" />'
    player = films.played(films._PICTURE.search(picture), page)
    assert 'aria-label="A &lt;square&gt; moves"' in player and "autoplay" not in player and " controls " in player
    for file in ("moving.mp4", "moving.poster.png"):
        assert f"_images/{file}" in player and (page.parent / "_images" / file).is_file()
