"""One decoder for words and pictures: codes and back, rows in both orders, causality, one law in two factors."""

import pytest
import torch

from companion.data import digits
from companion.data.moving_digits import DIGIT_NAMES
from companion.future.unified import (
    CODES,
    DRAW,
    FIRST_CODE,
    PLACES,
    READ,
    VOCAB_SIZE,
    draw,
    likelihood,
    read,
    rows,
    to_codes,
    to_images,
    unified_loss,
)  # fmt: skip
from companion.models.unified_digits import build
from companion.text.llama import Llama, LlamaConfig
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects


def test_codes_and_pictures_are_two_forms_of_one_thing() -> None:
    codes = torch.randint(CODES, (5, PLACES), generator=gen())
    images = to_images(codes)
    assert images.shape == (5, 1, 28, 28)
    assert set(images.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(to_codes(images), codes)


def test_a_code_is_its_four_pixels_read_as_a_number() -> None:
    image = torch.full((1, 1, 28, 28), -1.0)
    image[0, 0, 2 + 2 : 2 + 4, 2:4] = 1.0  # the second small pixel from the top, leftmost: bit 2 of the first patch
    assert to_codes(image)[0, 0] == 4
    image[0, 0, 2:4, 2 + 4 : 2 + 6] = 1.0  # third from the left in the top row: bit 0 of the patch on the right
    assert to_codes(image)[0, :3].tolist() == [4, 1, 0]
    image[0, 0, 2 + 4 : 2 + 6, 2:4] = 1.0  # third row: the first patch of the second row of six
    assert to_codes(image)[0, 6] == 1


def test_rows_hold_task_word_and_picture_in_their_orders() -> None:
    codes, labels = torch.randint(CODES, (2, PLACES), generator=gen()), torch.tensor([7, 2])
    ids = rows(codes, labels, torch.tensor([True, False]))
    assert ids[0].tolist() == [DRAW, 7, *(codes[0] + FIRST_CODE).tolist()]
    assert ids[1].tolist() == [READ, *(codes[1] + FIRST_CODE).tolist(), 2]
    assert VOCAB_SIZE == len(DIGIT_NAMES) + 2 + CODES


def test_the_loss_is_the_weighted_mean_over_both_orders() -> None:
    """A model that says nothing pays log V for every token, whatever the weights; the word's weight is its own."""

    class Flat(torch.nn.Module):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return torch.zeros(*ids.shape, VOCAB_SIZE)

    class KnowsPictures(torch.nn.Module):
        """Certain of every token but words."""

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(*ids.shape, VOCAB_SIZE)
            place = torch.arange(ids.shape[1])
            word_next = torch.where(ids[:, :1] == DRAW, place == 0, place == PLACES)
            return torch.where(word_next[..., None], logits, 50 * torch.eye(VOCAB_SIZE)[FIRST_CODE])

    codes, labels = torch.zeros(6, PLACES, dtype=torch.int64), torch.arange(6)
    full = torch.log(torch.tensor(float(VOCAB_SIZE))).item()
    assert unified_loss(Flat(), (codes, labels), gen()).item() == pytest.approx(full)
    for weight in (1.0, 5.0):
        got = unified_loss(KnowsPictures(), (codes, labels), gen(), word_weight=weight).item()
        assert got == pytest.approx(full * weight / (weight + PLACES))


def test_what_was_drawn_first_does_not_hear_of_the_rest_I21() -> None:
    torch.manual_seed(0)
    model = build().eval()
    ids = rows(torch.randint(CODES, (1, PLACES), generator=gen()), torch.tensor([3]), torch.tensor([True]))
    other = ids.clone()
    other[0, 20] = FIRST_CODE + (ids[0, 20] - FIRST_CODE + 1) % CODES
    with torch.no_grad():
        a, b = model(ids), model(other)
    torch.testing.assert_close(a[:, :20], b[:, :20])
    assert not torch.allclose(a[:, 20:], b[:, 20:])


def test_the_likelihood_is_the_product_of_what_each_place_says() -> None:
    """Truth: summed place by place from the logits; and the sixteen last codes share what the first 35 leave."""
    torch.manual_seed(1)
    model = build().eval()
    codes, label = torch.randint(CODES, (1, PLACES), generator=gen()).expand(CODES, -1).clone(), torch.tensor([4])
    codes[:, -1] = torch.arange(CODES)
    got = likelihood(model, codes, label.expand(CODES))
    total = 0.0
    with torch.no_grad():
        for place in range(PLACES):
            asked = torch.cat([torch.tensor([[DRAW, 4]]), codes[:1, :place] + FIRST_CODE], 1)
            log_p = model(asked)[0, -1].log_softmax(-1)
            if place < PLACES - 1:
                total += float(log_p[codes[0, place] + FIRST_CODE])
    torch.testing.assert_close(got, total + log_p[FIRST_CODE:], rtol=1e-4, atol=1e-3)


def test_drawing_gives_codes_only_and_goes_on_from_what_is_begun() -> None:
    torch.manual_seed(0)
    model, labels = build(), torch.tensor([1, 8, 0])
    begun = torch.randint(CODES, (3, 18), generator=gen())
    drawn = draw(model, labels, gen(), begun=begun)
    assert drawn.shape == (3, PLACES)
    assert torch.equal(drawn[:, :18], begun)
    assert drawn.min() >= 0
    assert drawn.max() < CODES
    assert torch.equal(draw(model, labels, gen(2)), draw(model, labels, gen(2)))
    assert not torch.equal(draw(model, labels, gen(2)), draw(model, labels, gen(3)))


def test_it_learns_to_read_and_to_draw_in_one_training() -> None:
    """Two digits, a moment of training: better than chance at reading, and pictures likelier under their own word."""
    data = digits("train")
    mine = (data.labels < 2).nonzero()[:, 0][:400]
    codes, labels = to_codes(data.images[mine]), data.labels[mine]
    torch.manual_seed(0)
    small = Llama(LlamaConfig(VOCAB_SIZE, PLACES + 2, width=32, layers=2, heads=4, kv_heads=4, hidden=64))
    config = TrainConfig(steps=120, batch_size=16, lr=1e-2)
    model = train(small, unified_loss, (codes[:300], labels[:300]), config).model
    assert (read(model, codes[300:]).argmax(1) == labels[300:]).float().mean() > 0.85
    margin = likelihood(model, codes[300:], labels[300:]) - likelihood(model, codes[300:], 1 - labels[300:])
    assert (margin > 0).float().mean() > 0.65


def test_bad_input() -> None:
    model = build()
    with rejects("codes"):
        to_images(torch.full((1, PLACES), CODES))
    with rejects("images"):
        to_codes(torch.zeros(1, 1, 14, 14))
    with rejects("labels"):
        rows(torch.zeros(1, PLACES, dtype=torch.int64), torch.tensor([10]), torch.tensor([True]))
    with rejects("temperature"):
        draw(model, torch.tensor([1]), gen(), temperature=0.0)
    with rejects("begun"):
        draw(model, torch.tensor([1]), gen(), begun=torch.zeros(2, 3, dtype=torch.int64))
    with rejects("codes"):
        read(model, torch.zeros(1, 5, dtype=torch.int64))
