"""The towers: equal to transformers, what each place sees, and where a text is pooled."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModel

from companion.image.clip import (
    ClipText,
    ClipTextConfig,
    ClipVision,
    ClipVisionConfig,
    text_from_pretrained,
    vision_from_pretrained,
)
from tests.conftest import gen, rejects
from tests.published import published

VOCAB, END, N = 23, 21, 9
SIZES = {"hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 3, "num_attention_heads": 6,
         "layer_norm_eps": 1e-4, "attn_implementation": "eager"}  # fmt: skip
SMALL = {"width": 24, "layers": 2, "heads": 3, "hidden": 20}


def texts() -> Tensor:
    """Three texts of unlike lengths, each with its end, then padding; 22, a word, is higher than the end."""
    rows = 3 + torch.randint(END - 3, (3, N), generator=gen())
    rows[0, 4], rows[0, 5:] = END, 1
    rows[1, 8] = END
    rows[2, 1], rows[2, 2], rows[2, 3:] = 22, END, END  # padded with the end itself, as OpenAI's tokenizer does
    return rows


IDS = texts()
REAL = torch.tensor([[1] * 5 + [0] * 4, [1] * 9, [1] * 3 + [0] * 6]).bool()


def published_text(folder: Path, **more: object) -> nn.Module:
    sizes = SIZES | {"vocab_size": VOCAB, "max_position_embeddings": 11, "eos_token_id": END, "pad_token_id": 1,
                     "bos_token_id": 2}  # fmt: skip
    return published(CLIPTextModel(CLIPTextConfig(**sizes | more)), folder)


def close(got: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("more", [{}, {"hidden_act": "gelu"}, {"eos_token_id": 2}], ids=str)
def test_reads_the_published_text_tower_and_gives_the_same_numbers(tmp_path: Path, more: dict) -> None:
    """At every place, padded or not, and pooled by the new rule and by the one that older files mean by the number 2."""
    theirs, ours = published_text(tmp_path, **more), text_from_pretrained(tmp_path)
    with torch.no_grad():
        want, masked = theirs(IDS), theirs(IDS, attention_mask=REAL.long())
        got = ours(IDS)
        close(got, want.last_hidden_state)
        close(ours.pool(got, IDS), want.pooler_output)
        close(ours(IDS, REAL)[REAL], masked.last_hidden_state[REAL])
        close(ours.pool(ours(IDS, REAL), IDS), masked.pooler_output)
    assert not ours.training and got.shape == (3, N, 24)


@pytest.mark.parametrize("more", [{}, {"hidden_act": "gelu", "patch_size": 3, "num_channels": 2}], ids=str)
def test_reads_the_published_vision_tower_and_gives_the_same_numbers(tmp_path: Path, more: dict) -> None:
    config = CLIPVisionConfig(**SIZES | {"image_size": 12, "patch_size": 4} | more)
    theirs, ours = published(CLIPVisionModel(config), tmp_path), vision_from_pretrained(tmp_path)
    pictures = torch.randn(2, config.num_channels, 12, 12, generator=gen())
    with torch.no_grad():
        want, got = theirs(pictures), ours(pictures)
        close(got, want.last_hidden_state)
        close(ours.pool(got), want.pooler_output)
    assert got.shape == (2, (12 // config.patch_size) ** 2 + 1, 24)


def test_older_files_name_the_tower_and_hold_positions_that_are_no_weights(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    published_text(tmp_path)
    tensors = {
        f"text_model.{k.removeprefix('text_model.')}": v for k, v in load_file(tmp_path / "model.safetensors").items()
    }
    tensors["text_model.embeddings.position_ids"] = torch.arange(11)[None]
    want = text_from_pretrained(tmp_path)(IDS)
    save_file(tensors, tmp_path / "model.safetensors")
    assert torch.equal(text_from_pretrained(tmp_path)(IDS), want)
    save_file(tensors | {"text_model.encoder.layers.0.gate": torch.zeros(1)}, tmp_path / "model.safetensors")
    with rejects("surplus"):
        text_from_pretrained(tmp_path)


def text_tower(end: int = END) -> ClipText:
    torch.manual_seed(1)
    return ClipText(ClipTextConfig(VOCAB, 11, end_token=end, **SMALL)).eval()


def test_a_place_sees_itself_and_what_came_before_it() -> None:
    tower = text_tower()
    other = IDS.clone()
    other[:, 4] = (IDS[:, 4] + 1) % VOCAB
    change = (tower(other) - tower(IDS)).abs().amax((0, 2))
    assert (change[:4] == 0).all() and (change[4:] > 1e-4).all()


def test_pooled_at_the_first_end_and_not_at_the_last_place_or_the_highest_number() -> None:
    """Known mistakes: the last place, which is padding; the highest number, where a word has it; the last end."""
    tower = text_tower()
    states = tower(IDS)
    got = tower.pool(states, IDS)
    assert torch.equal(got, states[torch.arange(3), torch.tensor([4, 8, 2])])
    for wrong in (states[:, -1], states[torch.arange(3), IDS.argmax(1)], states[:, 0], states.mean(1)):
        assert (got - wrong).abs().max() > 1e-2
    longer = torch.cat([IDS, torch.ones(3, 2, dtype=torch.long)], 1)  # padding after the end changes nothing
    torch.testing.assert_close(tower.pool(tower(longer), longer), got)
    old = text_tower(end=2)
    assert torch.equal(old.pool(states, IDS), states[torch.arange(3), torch.tensor([4, 8, 1])]), "the highest number"


def test_a_text_without_its_end_is_an_error_and_not_pooled_at_the_start() -> None:
    cut = IDS.clone()
    cut[1, 8] = 5
    with rejects("row 1 without the end"):
        text_tower().pool(torch.zeros(3, N, 24), cut)


@pytest.mark.parametrize("stem", [(), (5, 7)], ids=str)
def test_the_picture_is_read_patch_by_patch_and_pooled_at_the_class_token(stem: tuple) -> None:
    torch.manual_seed(2)
    tower = ClipVision(ClipVisionConfig(16, 8, stem=stem, **SMALL)).eval()
    pictures = torch.randn(2, 3, 16, 16, generator=gen())
    states = tower(pictures)
    assert states.shape == (2, 5, 24) and torch.equal(tower.pool(states), tower.norm(states[:, 0]))
    other = pictures.clone()
    other[1, :, 12:, 12:] += 1
    change = (tower.pool(tower(other)) - tower.pool(states)).abs().amax(1)
    assert change[0] == 0 and change[1] > 1e-3, "the class token sees the last corner; pictures do not see each other"
    moved = pictures.roll(8, 3)
    assert (tower.pool(tower(moved)) - tower.pool(states)).abs().max() > 1e-2, "places have positions"


def test_what_blocks_add_at_the_start_does_not_grow_with_their_number() -> None:
    norms = []
    for layers in (2, 12):
        torch.manual_seed(0)
        tower = ClipVision(ClipVisionConfig(16, 8, **SMALL | {"layers": layers, "width": 48}))
        norms.append(tower(torch.randn(4, 3, 16, 16, generator=gen())).pow(2).mean().item())
    assert norms[1] < 1.5 * norms[0]


def test_bad_input() -> None:
    with rejects("input_ids"):
        text_tower()(torch.zeros(1, 12, dtype=torch.long))
    with rejects("input_ids"):
        text_tower()(torch.full((1, 3), VOCAB))
    tower = ClipVision(ClipVisionConfig(16, 8, **SMALL))
    for shape in ((1, 3, 16, 8), (1, 1, 16, 16), (3, 16, 16)):
        with rejects("pixel_values"):
            tower(torch.zeros(shape))
    with rejects("heads"):
        ClipText(ClipTextConfig(VOCAB, 9, end_token=3, **SMALL | {"heads": 5}))
