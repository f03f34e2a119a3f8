"""The drawings: scaled without dark edges, named without their tone, and no (role, tone) in two splits."""

import builtins

import pytest
import torch

from companion.data import emoji
from companion.data.carriers import CorruptFile, MissingCarrier
from companion.data.emoji import TONES, EmojiSet, emoji_pictures, emoji_sprites
from tests.conftest import rejects

CODES = ["1f335", "1f43c", "26bd"]  # cactus, panda, ball


@pytest.fixture(scope="module")
def parts() -> dict[str, EmojiSet]:
    return {split: emoji_pictures(split, side=8) for split in ("train", "valid", "test")}


def test_scaling_averages_colours_by_their_opacity() -> None:
    """Exact where blocks of 72 / 24 = 3 pixels are averaged; the file itself is read at 72."""
    whole, small = emoji_sprites(CODES, 72), emoji_sprites(CODES, 24)
    blocks = whole.reshape(3, 4, 24, 3, 24, 3).mean((3, 5))
    torch.testing.assert_close(small[:, :3], blocks[:, :3], rtol=0, atol=1)
    torch.testing.assert_close(small[:, 3], blocks[:, 3], rtol=0, atol=1 / 255)
    assert (small[:, :3] <= 255 * small[:, 3:] + 1).all(), "no colour without opacity"
    cactus = small[0]
    assert cactus[1].sum() > 1.3 * cactus[0].sum() and cactus[1].sum() > 1.3 * cactus[2].sum()
    assert cactus[3, 0, 0] == 0 and cactus[3].max() == 1


def test_the_ground_is_white_and_the_values_are_a_models_I44(parts: dict[str, EmojiSet]) -> None:
    images = parts["test"].images
    assert images.dtype == torch.float32 and images.shape[1:] == (3, 8, 8)
    assert images.max() == 1 and -1 <= images.min() < -0.5
    assert (images[:, :, 0, 0] > 0.95).all(1).float().mean() > 0.8  # most drawings leave the corner free


def test_every_emoji_is_in_one_split_and_tests_are_of_pairs_of_known_parts(parts: dict[str, EmojiSet]) -> None:
    captions = [caption for part in parts.values() for caption in part.captions]
    assert len(captions) == len(set(captions)) == 3533
    assert sum(tone is None for tone in parts["train"].tones) == 1918
    for split in ("valid", "test"):
        assert 150 < len(parts[split]) < 170
        assert set(parts[split].tones) == set(TONES) and set(parts[split].names) <= set(parts["train"].names)


def test_names_tell_drawings_apart_and_say_no_tone_twice(parts: dict[str, EmojiSet]) -> None:
    assert not any("skin tone" in name for part in parts.values() for name in part.names)
    assert {"cactus", "panda", "red heart", "woman firefighter"} <= set(parts["train"].names)
    part = parts["test"]
    assert part.captions[0] == f"{part.names[0]}, {part.tones[0]} skin tone"


def test_a_darker_tone_is_darker() -> None:
    hands = emoji_sprites(["1f44b-1f3fb", "1f44b-1f3fd", "1f44b-1f3ff"], 16)
    light = hands[:, :3].sum((1, 2, 3)) / hands[:, 3].sum((1, 2))
    assert light[0] > light[1] > light[2]


def test_the_same_on_every_call_and_a_limit_takes_the_first(parts: dict[str, EmojiSet]) -> None:
    assert emoji_pictures("all", side=8, limit=9).captions == parts["train"].captions[:9]
    few = emoji_pictures("valid", side=8, limit=7)
    assert few.captions == parts["valid"].captions[:7] and torch.equal(few.images, parts["valid"].images[:7])


def test_licence_and_source_are_printed() -> None:
    said = repr(emoji_pictures("test", limit=2))
    assert "CC BY 4.0" in said and "Twemoji" in said and "Copyright 2019 Twitter" in said and len(said) < 300


def test_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    with rejects("split"):
        emoji_pictures("tests")
    with rejects("side"):
        emoji_pictures("test", side=0)
    with rejects("limit"):
        emoji_pictures("test", limit=0)
    with rejects("1f3356"):
        emoji_sprites(["1f3356"], 8)
    emoji._folder.cache_clear()
    monkeypatch.setattr(emoji, "_ALL", "0" * 64)
    with rejects("reinstall", CorruptFile):
        emoji_sprites(CODES, 8)


def test_a_missing_package_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_emoji(name: str, *args: object) -> object:
        if name == "emoji":
            raise ImportError(name)
        return real(name, *args)

    emoji._named.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without_emoji)
    with rejects("pip install", MissingCarrier):
        emoji_pictures("test", limit=1)
