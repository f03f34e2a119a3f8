"""Prompt editing: whose attention is used when, that control ends, and maps of words that add up."""

from dataclasses import replace

import pytest
import torch
from torch import nn

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


@pytest.mark.parametrize("scale", [1.0, 3.0])
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
    at_one_size = replace(PAINTER, net=_OneSize(PAINTER.net))
    drawn, maps = word_maps(at_one_size, ["red", "blue"], gen(), steps=3)
    torch.testing.assert_close(drawn, PAINTER.text_to_image(["red", "blue"], gen(), steps=3), rtol=1e-4, atol=1e-5)
    assert maps.shape == (2, 2, 4, 4)
    torch.testing.assert_close(maps.sum(1), torch.ones(2, 4, 4))
    assert (maps[:, 1] > 0).all(), "of those with a prompt: the empty one has no second word"


class _OneSize(nn.Module):
    """The network without control of its middle, whose places are fewer."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.outer = nn.ModuleList([net.down_blocks, net.up_blocks])
        self.forward = net.forward


def test_bad_input_is_refused() -> None:
    with rejects("edits"):
        edit_prompts(PAINTER, ["red"], ["blue green"], gen())
    with rejects("painter"):
        word_maps(PAINTER, ["red"], gen(), steps=2)
    with rejects("net"), controlled(nn.Linear(1, 1), lambda a: a):
        pass
    with controlled(PAINTER.net, lambda a: a), rejects("net"), controlled(PAINTER.net, lambda a: a):
        pass
