"""Judging: cosines in the right order, picks by row, and a batch of any size."""

import torch

from companion.image.clip import judging
from companion.image.clip.judging import cosines, image_vectors, picks
from companion.language.words import WordTokenizer
from tests.conftest import gen, rejects
from tests.image.clip.test_model import PICTURES, small

WORDS = WordTokenizer([f"word{i:02}" for i in range(19)], length=6)  # 22 numbers: the end is 21
CAPTIONS = ["word01 word02", "word03", "word04 word05 word06", ""]


def test_cosines_are_the_models_scores_without_its_scale(monkeypatch) -> None:
    model = small().eval()
    got = cosines(model, WORDS.encode, PICTURES, CAPTIONS)
    want = model(WORDS.encode(CAPTIONS), PICTURES) / model.scale()
    torch.testing.assert_close(got, want)
    assert got.shape == (3, 4) and not got.requires_grad
    monkeypatch.setattr(judging, "_AT_ONCE", 2)
    torch.testing.assert_close(cosines(model, WORDS.encode, PICTURES, CAPTIONS), got)


def test_each_picture_picks_among_its_own_captions() -> None:
    model = small().eval()
    choices = [CAPTIONS[:3], [CAPTIONS[3], CAPTIONS[1], CAPTIONS[0]], CAPTIONS[1:]]
    table = cosines(model, WORDS.encode, PICTURES, CAPTIONS)
    want = [max(range(3), key=lambda k: table[i, CAPTIONS.index(some[k])]) for i, some in enumerate(choices)]
    assert picks(model, WORDS.encode, PICTURES, choices).tolist() == want
    swapped = [some[::-1] for some in choices]
    assert picks(model, WORDS.encode, PICTURES, swapped).tolist() == [2 - place for place in want]


def test_bad_input() -> None:
    model = small().eval()
    with rejects("choices"):
        picks(model, WORDS.encode, PICTURES, [CAPTIONS] * 2)
    with rejects("choices"):
        picks(model, WORDS.encode, PICTURES, [CAPTIONS, CAPTIONS, CAPTIONS[:2]])
    with rejects("pictures"):
        cosines(model, WORDS.encode, torch.full((1, 3, 12, 12), torch.nan), CAPTIONS)
    with rejects("training mode"):
        image_vectors(small().train(), torch.randn(2, 3, 12, 12, generator=gen()))
