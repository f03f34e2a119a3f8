"""Prompt editing: whose attention is used when, that control ends, and maps of words that add up."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from companion.image.stable_diffusion.prompt_editing import controlled, edit_prompts, lend, word_maps
from companion.image.stable_diffusion.text_blocks import TextBlock
from tests.conftest import gen, rejects
from tests.image.stable_diffusion.test_pipeline import PAINTER

BLOCKS = [module for module in PAINTER.net.modules() if isinstance(module, TextBlock)]


@pytest.fixture(autouse=True)
def _free():
    yield
    assert all(block.control is None for block in BLOCKS), "control has ended"


def test_the_last_part_gets_the_attention_of_the_one_before() -> None:
    a = torch.rand(8, 2, 3, 4, generator=gen())
    assert torch.equal(lend(a, 4), torch.cat([a[:6], a[4:6]]))
    assert torch.equal(lend(a, 2), torch.cat([a[:4], a[:4]]))


def test_without_a_share_both_are_plain_pictures_from_one_noise() -> None:
    source, edit = edit_prompts(PAINTER, ["red"], ["blue"], gen(), share=0.0, steps=4)
    for got, prompt in ((source, "red"), (edit, "blue")):
        torch.testing.assert_close(got, PAINTER.text_to_image([prompt], gen(), steps=4), rtol=1e-4, atol=1e-5)


def test_the_source_never_changes_and_the_edit_does_with_the_share() -> None:
    edits = []
    for share in (0.0, 0.5, 1.0):
        source, edit = edit_prompts(PAINTER, ["red", "blue"], ["blue", "green"], gen(), share=share, steps=4)
        plain = PAINTER.text_to_image(["red", "blue"], gen(), steps=4)
        torch.testing.assert_close(source, plain, rtol=1e-4, atol=1e-5)
        edits.append(edit)
    assert min((a - b).abs().max() for a, b in zip(edits, edits[1:], strict=False)) > 1e-4


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_it_is_lent_in_the_first_steps_only(scale, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(
        "companion.image.stable_diffusion.prompt_editing.lend", lambda a, parts: seen.append((parts, len(a))) or a
    )
    edit_prompts(PAINTER, ["red"], ["blue"], gen(), share=0.5, scale=scale, steps=4)
    parts = 4 if scale == 3 else 2
    assert seen == [(parts, parts)] * 2 * len(BLOCKS)
    seen.clear()
    edit_prompts(PAINTER, ["red"], ["blue"], gen(), share=1.0, scale=scale, steps=4)
    assert len(seen) == 4 * len(BLOCKS)


def test_an_edit_to_the_same_word_is_the_source() -> None:
    source, edit = edit_prompts(PAINTER, ["red"], ["red"], gen(), share=0.7, steps=4)
    torch.testing.assert_close(source, edit, rtol=1e-4, atol=1e-5)


def test_maps_are_of_the_prompted_half_and_add_up_to_1() -> None:
    drawn, maps = word_maps(PAINTER, ["red", "blue"], gen(), steps=3)
    torch.testing.assert_close(drawn, PAINTER.text_to_image(["red", "blue"], gen(), steps=3), rtol=1e-4, atol=1e-5)
    assert maps.shape == (2, 2, 4, 4)
    torch.testing.assert_close(maps.sum(1), torch.ones(2, 4, 4))
    assert (maps[:, 1] > 0).all(), "of those with a prompt: the empty one has no second word"


def test_a_smaller_grids_map_counts_for_all_places_that_it_stands_for() -> None:
    seen: list[Tensor] = []
    with controlled(PAINTER.net, lambda attention: seen.append(attention) or attention):
        PAINTER.text_to_image(["red"], gen(), steps=2)
    assert {one.shape[2] for one in seen} == {16, 4}
    total = torch.zeros(2, 4, 4)
    for one in seen:
        grid = one[-1].mean(0).T
        side = round(grid.shape[1] ** 0.5)
        total += grid.reshape(2, side, side).repeat_interleave(4 // side, 1).repeat_interleave(4 // side, 2)
    torch.testing.assert_close(word_maps(PAINTER, ["red"], gen(), steps=2)[1][0], total / len(seen))


def test_bad_input_is_refused() -> None:
    with rejects("edits"):
        edit_prompts(PAINTER, ["red"], ["blue green"], gen())
    with rejects("net"), controlled(nn.Linear(1, 1), lambda a: a):
        pass
    with controlled(PAINTER.net, lambda a: a), rejects("net"), controlled(PAINTER.net, lambda a: a):
        pass


@pytest.mark.parametrize(("share", "lent"), [(0.4, 2), (0.3, 1), (0.1, 0)])
def test_the_share_is_the_nearest_number_of_steps(share, lent, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(
        "companion.image.stable_diffusion.prompt_editing.lend", lambda a, parts: seen.append(parts) or a
    )
    edit_prompts(PAINTER, ["red"], ["blue"], gen(), share=share, steps=4)
    assert len(seen) == lent * sum(isinstance(module, TextBlock) for module in PAINTER.net.modules())


def test_edits_and_maps_use_the_painters_times_and_guidance() -> None:
    shifted, how = replace(PAINTER, shift=3.0), {"scale": 1.5, "steps": 4}
    want = shifted.text_to_image(["red"], gen(), **how)
    source, _ = edit_prompts(shifted, ["red"], ["blue"], gen(), **how)
    drawn, _ = word_maps(shifted, ["red"], gen(), **how)
    for got in (source, drawn):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_maps_of_oblong_pictures_lie_as_the_pictures_do() -> None:
    oblong, seen = replace(PAINTER, shape=(3, 4, 8)), []
    with controlled(PAINTER.net, lambda attention: seen.append(attention) or attention):
        oblong.text_to_image(["red"], gen(), steps=1)
    total = torch.zeros(2, 4, 8)
    for one in seen:
        times = 1 if one.shape[2] == 32 else 2
        total += (
            one[-1].mean(0).T.reshape(2, 4 // times, 8 // times).repeat_interleave(times, 1).repeat_interleave(times, 2)
        )
    torch.testing.assert_close(word_maps(oblong, ["red"], gen(), steps=1)[1][0], total / len(seen))


def test_maps_of_no_prompt_are_refused() -> None:
    with rejects("scale"):
        word_maps(PAINTER, ["red"], gen(), scale=0.0, steps=1)
