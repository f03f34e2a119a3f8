"""Flux equals diffusers' own; what each input changes; blocks start as the identity; what a folder may hold."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor

from companion.image.flux import Flux, FluxConfig, places
from companion.image.flux.config import FIELDS, config_from_published
from tests.conftest import gen, rejects

SIZES = {
    "in_channels": 12,
    "num_layers": 2,
    "num_single_layers": 3,
    "attention_head_dim": 20,
    "num_attention_heads": 3,
    "joint_attention_dim": 14,
    "pooled_projection_dim": 10,
    "axes_dims_rope": (4, 6, 10),
}


def published(folder: Path, **changes: object) -> FluxTransformer2DModel:
    torch.manual_seed(0)
    model = FluxTransformer2DModel(**(SIZES | changes)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = 0.3 if parameter.ndim == 1 else 2 / parameter.shape[1] ** 0.5
            parameter.copy_(
                ("norm_" in name and "linear" not in name) + spread * torch.randn(parameter.shape, generator=gen(1))
            )
    model.save_pretrained(folder)
    return model


def inputs(n: int = 2, rows: int = 3, columns: int = 5, words: int = 4) -> dict[str, Tensor]:
    image, text = places(rows, columns, words)
    g = gen(2)
    return {
        "hidden_states": torch.randn(n, rows * columns, 12, generator=g),
        "encoder_hidden_states": torch.randn(n, words, 14, generator=g),
        "pooled_projections": torch.randn(n, 10, generator=g),
        "timestep": torch.rand(n, generator=g),
        "img_ids": image,
        "txt_ids": text,
    }


@torch.no_grad()
@pytest.mark.parametrize("guidance", [False, True], ids=["plain", "distilled"])
def test_equals_diffusers(tmp_path: Path, guidance: bool) -> None:
    theirs = published(tmp_path, guidance_embeds=guidance)
    ours = Flux.from_pretrained(tmp_path)
    given = inputs() | ({"guidance": torch.tensor([3.5, 1.0])} if guidance else {})
    want = theirs(**given).sample
    torch.testing.assert_close(ours(**given) / want.abs().max(), want / want.abs().max(), rtol=0, atol=1e-5)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


@torch.no_grad()
def test_a_block_of_either_kind_alone_equals_diffusers(tmp_path: Path) -> None:
    for double, single in ((1, 0), (0, 1)):
        folder = tmp_path / f"{double}"
        theirs = published(folder, num_layers=double, num_single_layers=single)
        want = theirs(**inputs()).sample
        got = Flux.from_pretrained(folder)(**inputs())
        torch.testing.assert_close(got / want.abs().max(), want / want.abs().max(), rtol=0, atol=1e-5)


@torch.no_grad()
def test_untrained_blocks_are_the_identity_and_it_predicts_nothing() -> None:
    model = Flux(FluxConfig(12, 14, 10, 3, (4, 6, 10), 2, 1)).eval()
    assert model(**inputs()).abs().max() == 0
    c, x = torch.randn(2, 4, 60, generator=gen()), torch.randn(2, 15, 60, generator=gen(1))
    image, text = places(3, 5, 4)
    angles = model.rotary.angles(torch.cat([text, image])[None], x.dtype)
    signal = torch.randn(2, 60, generator=gen(2))
    got = model.double_blocks[0](c, x, signal, angles)
    assert torch.equal(got[0], c) and torch.equal(got[1], x)
    assert torch.equal(model.single_blocks[0](x, signal, model.rotary.angles(image[None], x.dtype)), x)


@torch.no_grad()
def test_every_input_changes_the_answer_and_no_other_picture_does(tmp_path: Path) -> None:
    published(tmp_path, guidance_embeds=True)
    model = Flux.from_pretrained(tmp_path)
    given = inputs() | {"guidance": torch.tensor([3.5, 1.0])}
    base = model(**given)
    for name, value in given.items():
        if value.is_floating_point():
            changed = value.clone()
            changed[1] += 0.3
            got = model(**(given | {name: changed}))
            torch.testing.assert_close(got[0], base[0], rtol=0, atol=1e-5)
            assert (got[1] - base[1]).abs().max() > 1e-3, name
    for name in ("img_ids", "txt_ids"):
        assert (model(**(given | {name: given[name].flip(0)})) - base).abs().max() > (1e-3 if name == "img_ids" else -1)


@torch.no_grad()
def test_words_in_another_order_and_pictures_moved_as_a_whole_give_the_same(tmp_path: Path) -> None:
    """Words have no places of their own; image tokens know how far they are from each other, and from the words at (0, 0)."""
    published(tmp_path)
    model, given = Flux.from_pretrained(tmp_path), inputs()
    base = model(**given)
    turned = model(**(given | {"encoder_hidden_states": given["encoder_hidden_states"].flip(1)}))
    torch.testing.assert_close(turned, base, rtol=1e-4, atol=1e-5)
    moved = {name: given[name] + torch.tensor([0, 7, 3]) for name in ("img_ids", "txt_ids")}
    torch.testing.assert_close(model(**(given | moved)), base, rtol=1e-4, atol=1e-4)
    assert (model(**(given | {"img_ids": moved["img_ids"]})) - base).abs().max() > 1e-3


def test_places_are_in_reading_order() -> None:
    image, text = places(2, 3, 2)
    assert image.tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 0], [0, 1, 1], [0, 1, 2]]
    assert text.tolist() == [[0, 0, 0]] * 2


def test_what_a_file_leaves_out_is_as_in_diffusers() -> None:
    kind, small = {"_class_name": "FluxTransformer2DModel"}, {"num_layers": 1, "num_single_layers": 1}
    with torch.device("meta"):
        full = dict(FluxTransformer2DModel(**small).config)
    read = [config_from_published(FIELDS.of(kind | some, "here"), "here") for some in (small, full)]
    assert read[0] == read[1]


@pytest.mark.parametrize(
    "change",
    [
        {"axes_dims_rope": [4, 6, 8]},
        {"out_channels": 7},
        {"patch_size": 2},
        {"_class_name": "FluxControlNetModel"},
        {"num_layers": 3},
        {"unheard_of": 1},
    ],
)
def test_other_models_are_refused(tmp_path: Path, change: dict) -> None:
    published(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with rejects(next(iter(change)) if "num_layers" not in change else "missing"):
        Flux.from_pretrained(tmp_path)


def test_bad_input() -> None:
    model = Flux(FluxConfig(12, 14, 10, 3, (4, 6, 10), 1, 1))
    with rejects("guidance"):
        model(**inputs(), guidance=torch.ones(2))
    with rejects("guidance"):
        Flux(FluxConfig(12, 14, 10, 3, (4, 6, 10), 1, 1, guidance=True))(**inputs())
    with rejects("img_ids"):
        model(**(inputs() | {"img_ids": places(3, 4, 1)[0]}))
    for wrong in ({"axes": (3, 5)}, {"axes": ()}, {"heads": 0}, {"double": 0, "single": 0}, {"double": -1}):
        with rejects(next(iter(wrong))):
            FluxConfig(**wrong)
