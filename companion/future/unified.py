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
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.language.generation import generate
from companion.language.processors import Temperature
from companion.language.scoring import token_log_probs
from companion.nn.patch_codes import from_patch_codes, to_patch_codes
from companion.training import evaluating
from companion.validate import check_float, check_labels, check_number, check_shapes

SIDE, PATCH = 12, 2  # pixels of the small picture and of a patch
CODES, PLACES = 2 ** (PATCH * PATCH), (SIDE // PATCH) ** 2
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DRAW, READ = len(WORDS), len(WORDS) + 1
FIRST_CODE = len(WORDS) + 2
VOCAB_SIZE = FIRST_CODE + CODES


def to_codes(images: Float[Tensor, "n 1 28 28"]) -> Int[Tensor, "n 36"]:
    """Digits in [-1, 1] as patch codes: the middle 24×24, halved, in black and white, four pixels a number."""
    check_shapes(images=(images, "n 1 28 28"))
    check_float(images=images)
    small = F.avg_pool2d(images[:, :, 2:-2, 2:-2], 2)
    return to_patch_codes(torch.where(small > 0, 1.0, -1.0), PATCH)


def to_images(codes: Int[Tensor, "n 36"]) -> Float[Tensor, "n 1 28 28"]:
    """The pictures that codes stand for, each small pixel as a square of four."""
    check_shapes(codes=(codes, f"n {PLACES}"))
    small = from_patch_codes(codes, SIDE // PATCH, PATCH)
    return F.pad(F.interpolate(small, scale_factor=2.0), (2, 2, 2, 2), value=-1.0)


def rows(codes: Int[Tensor, "n 36"], labels: Int[Tensor, "n"], draw: Tensor) -> Int[Tensor, "n 38"]:
    """The rows of tokens (eq-unified-rows): a task to draw where ``draw`` is true, to read where it is not."""
    check_shapes(codes=(codes, f"n {PLACES}"), labels=(labels, "n"), draw=(draw, "n"))
    check_labels("codes", codes, CODES)
    check_labels("labels", labels, len(WORDS))
    picture, word = codes + FIRST_CODE, labels[:, None]
    drawing = torch.cat([torch.full_like(word, DRAW), word, picture], 1)
    reading = torch.cat([torch.full_like(word, READ), picture, word], 1)
    return torch.where(draw[:, None], drawing, reading)


def unified_loss(
    model: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator, *, word_weight: float = 5.0
) -> Float[Tensor, ""]:
    """Nats a token (eq-unified-loss), for codes and labels; a coin decides for each whether it is drawn or read."""
    codes, labels = batch
    ids = rows(codes, labels, torch.rand(len(codes), generator=generator) < 0.5)
    nats = -token_log_probs(model, ids)
    weight = torch.where(ids[:, 1:] < len(WORDS), word_weight, 1.0)
    return (weight * nats).sum() / weight.sum()


def read(model: nn.Module, codes: Int[Tensor, "n 36"]) -> Float[Tensor, "n 10"]:
    """The probability of each of the ten words after a picture, among the words alone."""
    check_shapes(codes=(codes, f"n {PLACES}"))
    asked = torch.cat([codes.new_full((len(codes), 1), READ), codes + FIRST_CODE], 1)
    with evaluating(model):
        return model(asked)[:, -1, : len(WORDS)].softmax(-1)


def likelihood(model: nn.Module, codes: Int[Tensor, "n 36"], labels: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """log p(picture | word) in nats, by the drawing direction: what the model would have had to draw."""
    ids = rows(codes, labels, torch.ones_like(labels, dtype=torch.bool))
    with evaluating(model):
        return token_log_probs(model, ids)[:, 1:].sum(1)


def draw(
    model: nn.Module,
    labels: Int[Tensor, "n"],
    generator: torch.Generator,
    *,
    temperature: float = 1.0,
    begun: Int[Tensor, "n places"] | None = None,
) -> Int[Tensor, "n 36"]:
    """Codes of a picture for each word, place by place, from nothing or from the first codes of a picture.

    Words and marks are never drawn as a patch.
    """
    check_labels("labels", labels, len(WORDS))
    check_number("temperature", temperature, low=0, open_low=True)

    def patches_only(ids: Tensor, logits: Tensor) -> Tensor:
        return logits.index_fill(1, torch.arange(FIRST_CODE, device=logits.device), -torch.inf)

    asked, left = torch.stack([torch.full_like(labels, DRAW), labels], 1), PLACES
    if begun is not None:
        check_shapes(begun=(begun, f"{len(labels)} _"))
        asked, left = torch.cat([asked, begun + FIRST_CODE], 1), PLACES - begun.shape[1]
    processors = [patches_only, Temperature(temperature)]
    return generate(model, asked, left, processors=processors, generator=generator)[:, 2:] - FIRST_CODE
