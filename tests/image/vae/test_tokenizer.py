"""Pictures to codes and back, with each of the four quantisers; and that they learn."""

import math

import pytest
import torch
from torch import nn

from companion.data import digits
from companion.image.vae.codebook import GradientCodebook
from companion.image.vae.fsq import FSQ
from companion.image.vae.lfq import LFQ
from companion.image.vae.online_kmeans import RunningCodebook
from companion.image.vae.tokenizer import (
    VARIANCE,
    Quantiser,
    Tokenizer,
    begin_on,
    place_bits,
    squared_error,
    tokenizer_loss,
)
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects

QUANTISERS = {
    "gradient": lambda: GradientCodebook(16, 3),
    "running": lambda: RunningCodebook(16, 3),
    "fsq": lambda: FSQ((4, 5)),
    "lfq": lambda: LFQ(4),
}


@pytest.fixture(params=QUANTISERS)
def model(request) -> Tokenizer:
    torch.manual_seed(0)
    return Tokenizer(QUANTISERS[request.param](), 8)


def images(n: int = 3, seed: int = 1) -> torch.Tensor:
    return 2 * torch.rand(n, 1, 28, 20, generator=gen(seed)) - 1


def test_decoding_the_codes_is_the_reconstruction(model: Tokenizer) -> None:
    x = images()
    codes = model.encode(x)
    assert isinstance(model.quantiser, Quantiser)
    assert codes.shape == (3, 4, 3) and int(codes.max()) < model.quantiser.size
    torch.testing.assert_close(model.decode(codes), model(x), atol=1e-5, rtol=0)


def test_a_picture_has_the_same_codes_in_any_company(model: Tokenizer) -> None:
    x = images(4)
    assert torch.equal(model.encode(x)[2], model.encode(x[2:3])[0])
    order = torch.tensor([3, 1, 0, 2])
    assert torch.equal(model.encode(x)[order], model.encode(x[order]))


def test_the_grid_is_read_row_by_row() -> None:
    """A change in the upper right corner of a wide picture changes features of the first rows and last columns alone."""
    torch.manual_seed(0)
    model = Tokenizer(LFQ(5), 8)
    model.encoder.net[6] = nn.Identity()  # the norm, which sums over the whole picture
    x = 2 * torch.rand(1, 1, 28, 60, generator=gen(1)) - 1
    other = x.clone()
    other[..., :4, -4:] *= -1
    changed = (model.features(x) != model.features(other))[0].any(-1)
    assert changed.shape == (4, 8) and changed[0, 7] and not changed[3].any() and not changed[:, :5].any()


def test_the_loss_is_the_error_over_the_variance_and_the_quantisers_own(model: Tokenizer) -> None:
    x = images()
    found = model.quantiser(model.features(x).flatten(0, 2))
    by_hand = (model(x) - x).square().mean() / VARIANCE + found.loss
    torch.testing.assert_close(tokenizer_loss(model, (x,), gen()), by_hand)
    assert squared_error(model, x) == pytest.approx((model(x) - x).square().mean().item())


def test_the_encoder_learns_through_the_quantiser(model: Tokenizer) -> None:
    tokenizer_loss(model, (images(),), gen()).backward()
    assert all(p.grad is not None for p in model.encoder.parameters())
    assert model.encoder.net[1].weight.grad.abs().sum() > 0


def test_only_learning_moves_a_running_codebook() -> None:
    torch.manual_seed(0)
    model = Tokenizer(RunningCodebook(16, 3), 8)
    before = model.quantiser.codewords.clone()
    model(images())
    model.encode(images())
    assert torch.equal(model.quantiser.codewords, before)
    tokenizer_loss(model, (images(),), gen())
    assert not torch.equal(model.quantiser.codewords, before)


def test_the_variance_is_that_of_the_digits() -> None:
    assert float(digits("train").images.var()) == pytest.approx(VARIANCE, abs=0.005)


LEARNERS = {
    "running": lambda: RunningCodebook(64, 4, decay=0.9, threshold=0.3),
    "fsq": lambda: FSQ((8, 8)),
    "lfq": lambda: LFQ(6),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_it_beats_the_mean_picture(name: str) -> None:
    """Of the best constant the error is 1, of the mean picture 0.71: 150 steps of 16 on 1,000 digits."""
    x, held = digits("train", limit=1_000).images, digits("valid", limit=200).images
    torch.manual_seed(0)
    config = TrainConfig(steps=150, batch_size=16, lr=5e-3, final_lr=0.1)
    model = train(Tokenizer(LEARNERS[name](), 16), tokenizer_loss, (x,), config).model
    assert squared_error(model, held) / VARIANCE < 0.62
    assert float((x.mean(0) - held).square().mean()) / VARIANCE > 0.7


def test_codewords_begin_where_the_encoder_puts_the_pictures(model: Tokenizer) -> None:
    x, before = images(), model.quantiser.state_dict()
    before = {name: value.clone() for name, value in before.items()}
    begin_on(model, x, gen(1))
    if isinstance(model.quantiser, GradientCodebook | RunningCodebook):
        z = model.features(x).detach().flatten(0, 2)
        assert all(torch.isclose(row, z, atol=1e-6).all(1).any() for row in model.quantiser.codewords)
        assert len(model.quantiser.codewords.unique(dim=0)) == 16
    else:
        assert all(torch.equal(value, before[name]) for name, value in model.quantiser.state_dict().items())


def test_each_place_has_bits_of_its_own() -> None:
    """One place is always the same, one is a coin, one is a die with four sides: 0 + 1 + 2 bits."""
    codes = torch.tensor([[[3, 0, 0]], [[3, 0, 1]], [[3, 4, 2]], [[3, 4, 3]]])
    assert place_bits(codes, 5, codes, 1e-12) == pytest.approx(3)
    turned = codes.transpose(1, 2)
    assert place_bits(turned, 5, turned, 1e-12) == pytest.approx(3)


def test_lengths_come_from_the_pictures_that_were_counted() -> None:
    """Three counts and a half each: 3.5/4 and 0.5/4, whatever the frequencies of what is priced."""
    counted = torch.tensor([[[0]], [[0]], [[0]]])
    assert place_bits(torch.tensor([[[0]]]), 2, counted, 0.5) == pytest.approx(math.log2(8 / 7))
    assert place_bits(torch.tensor([[[1]], [[0]]]), 2, counted, 0.5) == pytest.approx((3 + math.log2(8 / 7)) / 2)


def test_bad_input() -> None:
    with rejects("images: got sides"):
        Tokenizer(FSQ((4, 5)), 4).encode(torch.zeros(1, 1, 28, 24))
    with rejects("images: got 784 values that are NaN"):
        Tokenizer(FSQ((4, 5)), 4).encode(torch.full((1, 1, 28, 28), torch.nan))
    with rejects("counted"):
        place_bits(torch.zeros(1, 1, 1, dtype=torch.int64), 2, torch.full((1, 1, 1), 2))
    with rejects("codes"):
        Tokenizer(FSQ((4, 5)), 4).decode(torch.full((1, 4, 4), 20))
