"""Sizes, and what a published configuration may leave out."""

import torch
from diffusers import FluxTransformer2DModel

from companion.image.flux.config import FIELDS, FluxConfig, config_from_published
from tests.conftest import rejects


def test_what_a_file_leaves_out_is_as_in_diffusers() -> None:
    kind, small = {"_class_name": "FluxTransformer2DModel"}, {"num_layers": 1, "num_single_layers": 1}
    with torch.device("meta"):
        full = dict(FluxTransformer2DModel(**small).config)
    read = [config_from_published(FIELDS.of(kind | some, "here"), "here") for some in (small, full)]
    assert read[0] == read[1]


def test_the_width_is_that_of_all_heads_and_a_heads_that_of_its_axes() -> None:
    config = FluxConfig()
    assert (config.head_width, config.width) == (128, 3072)


def test_bad_sizes() -> None:
    for wrong in ({"axes": (3, 5)}, {"axes": ()}, {"heads": 0}, {"double": 0, "single": 0}, {"double": -1}):
        with rejects(next(iter(wrong))):
            FluxConfig(**wrong)
