"""The GPT of pixels: letters without loss, a likelihood that sums to one, no look ahead, a cache that changes nothing."""

import itertools

import pytest
import torch

from companion.history.eras.pixel_gpt import (
    BEGIN,
    LETTERS,
    PixelGPT,
    PixelGPTConfig,
    pixel_gpt_loss,
)
from companion.nn.patch_codes import to_patch_codes
from companion.training import TrainConfig, train
from tests.conftest import rejects


def images(n: int = 5, side: int = 14, seed: int = 0):
    return torch.randn(n, 1, side, side, generator=torch.Generator().manual_seed(seed)).sign()


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return PixelGPT(PixelGPTConfig(rows=3, width=24, layers=2, heads=3, hidden=40)).double().eval()


def test_the_probabilities_of_all_images_sum_to_one():
    torch.manual_seed(1)
    model = PixelGPT(PixelGPTConfig(rows=1, width=16, layers=1, heads=2, hidden=16)).double()
    every = torch.tensor([*itertools.product((-1.0, 1.0), repeat=4)]).reshape(16, 1, 2, 2)
    assert float(model.log_prob(every).detach().exp().sum()) == pytest.approx(1, abs=1e-12)


def test_the_log_probability_is_the_chain_rule_letter_by_letter_I33(tiny):
    x = images(2, side=6)
    letters, total = to_patch_codes(x), torch.zeros(2, dtype=torch.float64)
    begun = torch.full((2, 1), BEGIN)
    for i in range(9):
        chances = tiny(torch.cat([begun, letters[:, :i]], 1))[:, -1].softmax(-1)
        total += chances[torch.arange(2), letters[:, i]].log()
    torch.testing.assert_close(tiny.log_prob(x), total, rtol=0, atol=1e-10)
    torch.testing.assert_close(pixel_gpt_loss(tiny, (x,), torch.Generator()), -total.mean(), rtol=0, atol=1e-10)


def test_no_letter_is_seen_before_its_turn_and_no_other_image_I21(tiny):
    letters = torch.randint(LETTERS, (3, 9), generator=torch.Generator().manual_seed(2))
    changed = letters.clone()
    changed[1, 5] = (letters[1, 5] + 1) % LETTERS
    moved = (tiny(letters) - tiny(changed)).detach().abs().amax(-1)
    assert float(moved[1, :5].max()) == 0 and bool((moved[1, 5:] > 0).all()) and float(moved[[0, 2]].max()) == 0


def test_with_a_cache_the_logits_are_the_same_I23(tiny):
    letters = torch.randint(LETTERS, (2, 9), generator=torch.Generator().manual_seed(3))
    state = tiny.new_state(2)
    with torch.no_grad():
        parts = [tiny(part, state) for part in letters.split([4, 1, 3, 1], 1)]
        torch.testing.assert_close(torch.cat(parts, 1), tiny(letters), rtol=0, atol=1e-10)


def test_samples_follow_the_models_own_probabilities():
    torch.manual_seed(2)
    model = PixelGPT(PixelGPTConfig(rows=1, width=16, layers=1, heads=2, hidden=16))
    drawn = to_patch_codes(model.sample(20_000, torch.Generator().manual_seed(4)))[:, 0]
    wanted = model(torch.tensor([[BEGIN]]))[0, 0].detach().softmax(-1)
    found = torch.bincount(drawn, minlength=LETTERS) / len(drawn)
    assert float((found - wanted).abs().max()) < 0.012  # four standard errors
    again = model.sample(7, torch.Generator().manual_seed(5)), model.sample(7, torch.Generator().manual_seed(5))
    assert torch.equal(*again)


def test_it_learns_a_rule_that_pixels_alone_do_not_have():
    """Lower half repeats the upper half: an image has 8 free bits of 16, while each pixel alone is a fair coin."""
    half = images(512, side=4, seed=6)[:, :, :2]
    data = torch.cat([half, half], 2)
    torch.manual_seed(3)
    model = PixelGPT(PixelGPTConfig(rows=2, width=32, layers=2, heads=2, hidden=64))
    model = train(model, pixel_gpt_loss, (data,), TrainConfig(steps=150, batch_size=64, lr=5e-3)).model
    bits = float(pixel_gpt_loss(model, (data,), torch.Generator()).detach()) / torch.tensor(2.0).log().item()
    assert 7.5 < bits < 8.8  # pixels alone: 16; the truth: 8


def test_bad_input(tiny):
    for call, pattern in [
        (lambda: tiny(torch.full((1, 10), 3)), "input_ids: got 10"),
        (lambda: tiny(torch.full((1, 2), 3), []), "past_key_values: got list"),
        (lambda: tiny.log_prob(images(1)), "images: got 49 letters"),
        (lambda: PixelGPTConfig(width=30, heads=4), "width: got 30"),
    ]:
        with rejects(pattern):
            call()
