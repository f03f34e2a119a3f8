r"""One decoder for words and pictures: both are tokens of one row, and the model predicts the next one, whatever it is.

The principle of Chameleon (Chameleon Team, 2024, arXiv:2405.09818) and Emu3 (Wang et al., 2024, arXiv:2409.18869), in
miniature. A picture is cut into patches, each patch becomes a whole number, and the numbers stand in the same row as words:

- to draw: ``<draw> word code_1 … code_n``; to read: ``<read> code_1 … code_n word`` (eq-unified-rows)
- :math:`-\log p(\text{row}) = -\sum_i \log p(x_i \mid x_1 \dots x_{i-1})` (eq-unified-loss)

The two orders are the two ways to factor one joint law of picture and word, so one model both writes captions and draws.

Departures: the published systems learn their codes with a vector-quantising autoencoder (8,192 codes for Chameleon). Here a
code is the patch itself, its 2×2 pixels in black and white read as a binary number: 16 codes, nothing to train. A caption is
one word, and because a row has a single one among 36 patches, its place in the loss weighs more (``word_weight``). Chameleon
needed query-key normalisation to stay stable at its size; the miniature does not.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.data.moving_digits import DIGIT_NAMES
from companion.language.generation import generate
from companion.language.processors import Temperature
from companion.language.scoring import token_log_probs
from companion.nn.patch_codes import from_patch_codes, to_patch_codes
from companion.training import evaluating
from companion.training.random import rand
from companion.validate import Finite, Positive, check_labels, checked

SIDE, PATCH = 12, 2  # pixels of the small picture and of a patch
CODES, PLACES = 2 ** (PATCH * PATCH), (SIDE // PATCH) ** 2
DRAW, READ = len(DIGIT_NAMES), len(DIGIT_NAMES) + 1
FIRST_CODE = len(DIGIT_NAMES) + 2
VOCAB_SIZE = FIRST_CODE + CODES


@checked
def to_codes(images: Finite[Tensor, "n 1 28 28"]) -> Int[Tensor, "n 36"]:
    """Digits in [-1, 1] as patch codes: the middle 24×24, halved, in black and white, four pixels a number."""
    small = F.avg_pool2d(images[:, :, 2:-2, 2:-2], 2)
    return to_patch_codes(torch.where(small > 0, 1.0, -1.0), PATCH)


@checked
def to_images(codes: Int[Tensor, "n 36"]) -> Float[Tensor, "n 1 28 28"]:
    """The pictures that codes stand for, each small pixel as a square of four."""
    small = from_patch_codes(codes, SIDE // PATCH, PATCH)
    return F.pad(F.interpolate(small, scale_factor=2.0), (2, 2, 2, 2), value=-1.0)


@checked
def rows(codes: Int[Tensor, "n 36"], labels: Int[Tensor, "n"], draw: Bool[Tensor, "n"]) -> Int[Tensor, "n 38"]:
    """The rows of tokens (eq-unified-rows): a task to draw where ``draw`` is true, to read where it is not."""
    check_labels("codes", codes, CODES)
    check_labels("labels", labels, len(DIGIT_NAMES))
    picture, word = codes + FIRST_CODE, labels[:, None]
    drawing = torch.cat([torch.full_like(word, DRAW), word, picture], 1)
    reading = torch.cat([torch.full_like(word, READ), picture, word], 1)
    return torch.where(draw[:, None], drawing, reading)


def unified_loss(
    model: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator, *, word_weight: float = 5.0
) -> Float[Tensor, ""]:
    """Nats a token (eq-unified-loss), for codes and labels; a coin decides for each whether it is drawn or read."""
    codes, labels = batch
    ids = rows(codes, labels, rand((len(codes),), generator, device=codes.device) < 0.5)
    nats = -token_log_probs(model, ids)
    weight = torch.where(ids[:, 1:] < len(DIGIT_NAMES), word_weight, 1.0)
    return (weight * nats).sum() / weight.sum()


@checked
def read(model: nn.Module, codes: Int[Tensor, "n 36"]) -> Float[Tensor, "n 10"]:
    """The probability of each of the ten words after a picture, among the words alone."""
    asked = torch.cat([codes.new_full((len(codes), 1), READ), codes + FIRST_CODE], 1)
    with evaluating(model):
        return model(asked)[:, -1, : len(DIGIT_NAMES)].softmax(-1)


def likelihood(model: nn.Module, codes: Int[Tensor, "n 36"], labels: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """log p(picture | word) in nats, by the drawing direction: what the model would have had to draw."""
    ids = rows(codes, labels, torch.ones_like(labels, dtype=torch.bool))
    with evaluating(model):
        return token_log_probs(model, ids)[:, 1:].sum(1)


@checked
def draw(
    model: nn.Module,
    labels: Int[Tensor, "n"],
    generator: torch.Generator,
    *,
    temperature: Positive = 1.0,
    begun: Int[Tensor, "n places"] | None = None,
) -> Int[Tensor, "n 36"]:
    """Codes of a picture for each word, place by place, from nothing or from the first codes of a picture.

    Words and marks are never drawn as a patch.
    """
    check_labels("labels", labels, len(DIGIT_NAMES))

    def patches_only(ids: Tensor, logits: Tensor) -> Tensor:
        return logits.index_fill(1, torch.arange(FIRST_CODE, device=logits.device), -torch.inf)

    asked, left = torch.stack([torch.full_like(labels, DRAW), labels], 1), PLACES
    if begun is not None:
        asked, left = torch.cat([asked, begun + FIRST_CODE], 1), PLACES - begun.shape[1]
    processors = [patches_only, Temperature(temperature)]
    return generate(model, asked, left, processors=processors, generator=generator)[:, 2:] - FIRST_CODE
