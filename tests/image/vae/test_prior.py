"""A GPT over codes: exact probabilities, bits, and draws that follow them."""

import math

import torch

from companion.history.eras.pixel_gpt import PixelGPTConfig
from companion.image.vae.fsq import FSQ
from companion.image.vae.prior import CodeWriter, prior_loss, random_codes
from companion.image.vae.tokenizer import Tokenizer
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects


def writer(levels: tuple[int, ...] = (3, 4)) -> CodeWriter:
    torch.manual_seed(0)
    size = math.prod(levels)
    return CodeWriter(Tokenizer(FSQ(levels), 4), PixelGPTConfig(size, 16, width=16, layers=1, heads=2, hidden=24))


def codes(n: int, seed: int = 1, size: int = 12) -> torch.Tensor:
    return torch.randint(size, (n, 4, 4), generator=gen(seed))


def test_log_prob_is_the_sum_over_the_places_by_hand() -> None:
    model, k = writer(), codes(3)
    texts = torch.cat([torch.full((3, 1), 12), k.flatten(1)], 1)
    by_hand = model.gpt(texts[:, :-1]).log_softmax(-1).gather(-1, texts[:, 1:, None])[..., 0].sum(1)
    torch.testing.assert_close(model.log_prob(k), by_hand)
    torch.testing.assert_close(prior_loss(model, (k,), gen()), -by_hand.mean() / 16)


def test_a_place_does_not_see_those_that_come_after() -> None:
    model, k = writer(), codes(1)
    later = k.clone()
    later[0, 2, 1] = (k[0, 2, 1] + 1) % 12
    texts = [torch.cat([torch.tensor([[12]]), c.flatten(1)], 1) for c in (k, later)]
    a, b = (model.gpt(t[:, :-1])[0] for t in texts)
    assert torch.equal(a[:10], b[:10]) and not torch.allclose(a[10:], b[10:])


def test_bits_are_of_the_codes_of_the_picture() -> None:
    model = writer()
    x = 2 * torch.rand(5, 1, 28, 28, generator=gen(2)) - 1
    by_hand = -model.log_prob(model.tokenizer.encode(x)) / math.log(2)
    torch.testing.assert_close(model.bits(x), by_hand.detach())


def test_it_learns_and_writes_what_it_was_shown() -> None:
    """Pictures of one of two patterns: nearly one bit in all, and what it writes are these, both of them."""
    patterns = codes(2, seed=5)
    shown = patterns[torch.randint(2, (256,), generator=gen(1))]
    model = train(writer(), prior_loss, (shown,), TrainConfig(steps=120, batch_size=32, lr=1e-2)).model
    assert float(-model.log_prob(shown).detach().mean() / math.log(2)) < 1.3
    written = model.write(40, gen(3))
    seen = {tuple(row.tolist()) for row in written.flatten(1)}
    assert {tuple(row.tolist()) for row in patterns.flatten(1)} <= seen and len(seen) <= 6
    assert torch.equal(written, model.write(40, gen(3)))
    torch.testing.assert_close(model.draw(40, gen(3)), model.tokenizer.decode(written))


def test_random_codes_are_all_codes_equally_often() -> None:
    drawn = random_codes(writer(), 300, gen(1))
    shares = torch.bincount(drawn.flatten(), minlength=12) / drawn.numel()
    assert drawn.shape == (300, 4, 4) and (shares - 1 / 12).abs().max() < 0.02


def test_bad_input() -> None:
    with rejects("config: got 5 letters"):
        CodeWriter(Tokenizer(FSQ((3, 4)), 4), PixelGPTConfig(5, 16, width=16, layers=1, heads=2, hidden=24))
    with rejects("codes"):
        writer().log_prob(torch.zeros(2, 3, 4, dtype=torch.int64))
    with rejects("codes: got values from 0 to 12"):
        writer().log_prob(torch.zeros(2, 4, 4, dtype=torch.int64).index_fill_(2, torch.tensor([1]), 12))
    with rejects("n: got"):
        writer().write(0, gen())
