"""Of each word: itself, normed, beside its state in the tower."""

import torch

from companion.image.stable_diffusion.words import Words
from companion.models import clip_scenes
from tests.conftest import rejects


def test_each_word_is_told_alone_and_in_its_prompt_and_the_empty_prompt_is_start_and_end() -> None:
    model, tokens = clip_scenes.load()
    prompts = ["a cat on mint", "a dog on mint", ""]
    told, real = Words(tokens, model.text)(prompts)
    ids, width = tokens.encode(prompts), model.config.text.width
    assert told.shape == (3, 12, Words(tokens, model.text).width) and told.shape[2] == 2 * width
    torch.testing.assert_close(told[..., width:], model.text(ids))
    vectors = model.text.tokens(ids)
    normed = (vectors - vectors.mean(2, keepdim=True)) / (vectors.var(2, keepdim=True, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(told[..., :width], normed, rtol=1e-4, atol=1e-5)
    assert torch.equal(told[0, 4, :width], told[1, 4, :width])  # "mint" alone is the same word, in its prompt it is not
    assert (told[0, 4, width:] - told[1, 4, width:]).abs().max() > 1e-2
    assert real.sum(1).tolist() == [6, 6, 2] and not told.requires_grad


def test_it_moves_to_a_device() -> None:
    model, tokens = clip_scenes.load()
    assert next(Words(tokens, model.text).to("meta").parameters()).device.type == "meta"


def test_unknown_words_are_refused() -> None:
    model, tokens = clip_scenes.load()
    with rejects("xylophone"):
        Words(tokens, model.text)(["a xylophone on mint"])
