"""Flux equals diffusers' own; what each input changes; what a folder may hold."""

import json
from pathlib import Path

import pytest
import torch

from companion.image.flux import Flux, FluxConfig, places
from tests.conftest import gen, rejects
from tests.image.flux.reference import inputs, published


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


@torch.no_grad()
def test_the_number_of_steps_is_told_as_the_length_of_one() -> None:
    model = Flux(FluxConfig(12, 14, 10, 3, (4, 6, 10), 1, 1, guidance=True, steps=True)).eval()
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape, generator=gen(1)))
    model.steps.load_state_dict(model.guidance.state_dict())
    quarter, third = torch.full((2,), 0.25), torch.full((2,), 1 / 3)
    base = model(**inputs(), guidance=third, steps=torch.full((2,), 4))
    swapped = model(**inputs(), guidance=quarter, steps=torch.full((2,), 3))
    torch.testing.assert_close(swapped, base, rtol=1e-3, atol=1e-3)
    assert (model(**inputs(), guidance=third, steps=torch.full((2,), 2)) - base).abs().max() > 1e-2


def test_bad_input() -> None:
    model = Flux(FluxConfig(12, 14, 10, 3, (4, 6, 10), 1, 1))
    with rejects("guidance"):
        model(**inputs(), guidance=torch.ones(2))
    with rejects("steps"):
        model(**inputs(), steps=torch.ones(2, dtype=torch.int64))
    with rejects("guidance"):
        Flux(FluxConfig(12, 14, 10, 3, (4, 6, 10), 1, 1, guidance=True))(**inputs())
    with rejects("img_ids"):
        model(**(inputs() | {"img_ids": places(3, 4, 1)[0]}))
