"""CLIP as a judge: how well pictures and captions fit, and which of several captions is a picture's.

The score of Hessel et al., "CLIPScore", 2021, arXiv:2104.08718, is 2.5 max(0, cosine); here it is the cosine itself, which the
same order follows. A judge is as good as it is measured to be: the shipped one's card says how often it is right.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.image.clip.model import Clip
from companion.validate import Finite, checked

Encode = Callable[[Sequence[str]], Tensor]
_AT_ONCE = 256


@checked
def cosines(
    model: Clip, encode: Encode, pictures: Finite[Tensor, "n channels side side"], captions: Sequence[str]
) -> Float[Tensor, "n m"]:
    """The cosine of every picture with every caption.

    Args:
        model: in evaluation mode.
        encode: captions to rows of token numbers.
        pictures: in the values that the model was trained on; the course's own in [-1, 1].
        captions: any number of them.
    """
    return image_vectors(model, pictures) @ caption_vectors(model, encode, captions).T


@checked
def picks(
    model: Clip, encode: Encode, pictures: Finite[Tensor, "n channels side side"], choices: Sequence[Sequence[str]]
) -> Int[Tensor, "n"]:
    """Which of its own captions fits each picture best, by its place among them.

    Args:
        model: in evaluation mode.
        encode: captions to rows of token numbers.
        pictures: as for `cosines`.
        choices: as many captions for each picture.

    Raises:
        ValueError: another number of lists than of pictures, or lists of unequal length.
    """
    if len(choices) != len(pictures) or len({len(some) for some in choices}) != 1:
        raise ValueError(f"choices: got {len(choices)} lists, wanted {len(pictures)}, one a picture, of one length")
    texts = caption_vectors(model, encode, [caption for some in choices for caption in some])
    seen = image_vectors(model, pictures)
    return (texts.unflatten(0, (len(seen), -1)) @ seen[:, :, None])[..., 0].argmax(1)


def image_vectors(model: Clip, pictures: Float[Tensor, "n channels side side"]) -> Float[Tensor, "n shared"]:
    """Pictures as unit vectors, a few hundred at a time, without gradients."""
    return _in_parts(model, model.image_features, pictures)


def caption_vectors(model: Clip, encode: Encode, captions: Sequence[str]) -> Float[Tensor, "m shared"]:
    """Captions as unit vectors, a few hundred at a time, without gradients."""
    return _in_parts(model, model.text_features, encode(captions))


def _in_parts(model: Clip, features: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    if model.training:
        raise ValueError("model: got a CLIP in training mode, wanted one after .eval()")
    device = model.scale.logit_scale.device
    with torch.no_grad():
        return torch.cat([features(part.to(device)) for part in rows.split(_AT_ONCE)])
