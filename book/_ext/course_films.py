"""Films on the pages: an animated picture that a lesson stores becomes a video with controls, which nobody has to watch."""

import re
from functools import partial
from math import gcd
from pathlib import Path

import imageio_ffmpeg
from PIL import Image, ImageSequence
from sphinx.application import Sphinx

_PICTURE = re.compile(r'<img [^>]*?src="([^"]+\.gif)"[^>]*>')


def film(picture: Path) -> Path:
    """Encode an animated GIF as H.264 beside it, with its first frame as a poster; an even number of pixels, as that asks.

    Frames stay as long as in the GIF: each is repeated, at the greatest rate that all their times are multiples of.
    """
    with Image.open(picture) as source:
        width, height = (side - side % 2 for side in source.size)
        frames = [
            (frame.info["duration"], frame.convert("RGB").crop((0, 0, width, height)))
            for frame in ImageSequence.Iterator(source)
        ]
    frames[0][1].save(picture.with_suffix(".poster.png"), optimize=True)
    step = gcd(*(duration for duration, _ in frames))
    target = picture.with_suffix(".mp4")
    writer = imageio_ffmpeg.write_frames(
        str(target), (width, height), fps=1000 / step, codec="libx264", macro_block_size=2, quality=None,
        output_params=["-crf", "18", "-movflags", "+faststart"], ffmpeg_log_level="error",
    )  # fmt: skip
    writer.send(None)
    for duration, frame in frames:
        for _ in range(duration // step):
            writer.send(frame.tobytes())
    writer.close()
    return target


def played(picture: re.Match[str], page: Path) -> str:
    """A player in the place of an animated picture: it starts when it is asked to, and its text is what the picture's was."""
    source = picture[1]
    film(page.parent / source)
    name = source.removesuffix(".gif")
    with Image.open(page.parent / source) as shown:
        width = shown.width
    text = re.search(r'alt="([^"]*)"', picture[0])[1]
    return (
        f'<video controls loop muted playsinline preload="none" width="{width}" aria-label="{text}" '
        f'poster="{name}.poster.png"><source src="{name}.mp4" type="video/mp4"></video>'
    )


def replace(app: Sphinx, error: Exception | None) -> None:
    """Every animated picture of every page."""
    if error is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if ".gif" in text:
            page.write_text(_PICTURE.sub(partial(played, page=page), text), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", replace)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
