"""The GPT of pictures: probabilities that sum to one, no look ahead, a cache that changes nothing, a bound on pictures."""

import itertools

import pytest
import torch

from companion.data import digits
from companion.history.eras.codebook import TOKENS, Codebook
from companion.history.eras.grey import to_greys
from companion.history.eras.pixel_gpt import PictureWriter, PixelGPT, PixelGPTConfig, gpt_loss
from companion.language.scoring import token_log_probs
from tests.conftest import gen, rejects

LETTERS = 6
IMAGES = to_greys(digits("train", limit=60).images)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return PixelGPT(PixelGPTConfig(LETTERS, 9, width=24, layers=2, heads=3, hidden=40)).double().eval()


@pytest.fixture
def writer():
    torch.manual_seed(1)
    config = PixelGPTConfig(LETTERS, width=16, layers=1, heads=2, hidden=16)
    return PictureWriter(Codebook(LETTERS).fit(IMAGES, gen(0)), config).eval()


def letters(n, seed=2):
    return torch.randint(LETTERS, (n, 9), generator=gen(seed))


def test_the_probabilities_of_all_texts_sum_to_one():
    torch.manual_seed(1)
    model = PixelGPT(PixelGPTConfig(3, 4, width=16, layers=1, heads=2, hidden=16)).double()
    every = torch.tensor([(3, *text) for text in itertools.product(range(3), repeat=4)])
    assert float(token_log_probs(model, every).sum(1).detach().exp().sum()) == pytest.approx(1, abs=1e-12)


def test_the_log_probability_is_the_chain_rule_token_by_token_I33(writer):
    tokens, total = writer.codebook.encode(IMAGES[:2]), torch.zeros(2)
    begun = torch.full((2, 1), writer.gpt.config.begin)
    for i in range(TOKENS):
        chances = writer.gpt(torch.cat([begun, tokens[:, :i]], 1))[:, -1].softmax(-1)
        total += chances[torch.arange(2), tokens[:, i]].log().detach()
    torch.testing.assert_close(writer.token_log_prob(tokens), total, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(gpt_loss(writer, (IMAGES[:2],), gen()), -total.mean() / TOKENS, rtol=1e-5, atol=1e-4)
    bound = -total - writer.codebook.log_prob(IMAGES[:2])
    torch.testing.assert_close(writer.bound(IMAGES[:2], gen()), bound, rtol=1e-5, atol=1e-3)


def test_no_token_is_seen_before_its_turn_and_no_other_picture_I21(tiny):
    text = letters(3)
    changed = text.clone()
    changed[1, 5] = (text[1, 5] + 1) % LETTERS
    moved = (tiny(text) - tiny(changed)).detach().abs().amax(-1)
    assert float(moved[1, :5].max()) == 0 and bool((moved[1, 5:] > 0).all()) and float(moved[[0, 2]].max()) == 0


def test_with_a_cache_the_logits_are_the_same_I23(tiny):
    text, state = letters(2, 3), tiny.new_state(2)
    with torch.no_grad():
        parts = [tiny(part, state) for part in text.split([4, 1, 3, 1], 1)]
        torch.testing.assert_close(torch.cat(parts, 1), tiny(text), rtol=0, atol=1e-10)


def test_samples_follow_the_models_own_probabilities(writer):
    drawn = writer.codebook.encode(writer.draw(3000, gen(4)))[:, 0]
    begin = torch.tensor([[writer.gpt.config.begin]])
    wanted = writer.gpt(begin)[0, 0].detach().softmax(-1)
    # Two tokens whose pictures round to one another's greys count together.
    centres = torch.arange(LETTERS)[:, None].expand(-1, TOKENS)
    seen = writer.codebook.encode(writer.codebook.decode(centres))[:, 0]
    wanted = torch.zeros(LETTERS).index_add_(0, seen, wanted)
    found = torch.bincount(drawn, minlength=LETTERS) / len(drawn)
    assert float((found - wanted).abs().max()) < 0.035  # four standard errors
    assert torch.equal(writer.draw(2, gen(5)), writer.draw(2, gen(5)))


def test_bad_input(tiny):
    for call, pattern in [
        (lambda: tiny(torch.full((1, 10), 3)), "input_ids: got 10"),
        (lambda: tiny(torch.full((1, 2), 3), []), "past_key_values: got list"),
        (lambda: PixelGPTConfig(width=30, heads=4), "width: got 30"),
        (lambda: PictureWriter(Codebook(4), PixelGPTConfig(5)), "letters: got 5"),
    ]:
        with rejects(pattern):
            call()
