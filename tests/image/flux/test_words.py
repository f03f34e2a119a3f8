"""What is said of the whole is the mean of what is said of the real words, whatever follows the text's end."""

import torch

from companion.image.flux.words import WordsAndWhole, whole
from companion.models.stable_diffusion_scenes import words
from tests.conftest import gen


def test_the_whole_is_the_mean_over_real_words() -> None:
    told, real = torch.randn(2, 3, 4, generator=gen()), torch.tensor([[True, True, False], [True, True, True]])
    got = whole(told, real)
    torch.testing.assert_close(got, torch.stack([told[0, :2].mean(0), told[1].mean(0)]))
    told[0, 2] += 7
    torch.testing.assert_close(whole(told, real), got)


def test_words_are_those_of_stable_diffusion_and_all_places_are_told() -> None:
    reader, prompts = words(), ["a cat on mint", "a red heart above a panda on sand"]
    states, pooled = WordsAndWhole(reader)(prompts)
    want, real = reader(prompts)
    assert torch.equal(states, want) and torch.equal(pooled, whole(want, real)) and not real.all()
