r"""CLIP: a text and a picture as vectors of one space, in which what belongs together is near.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021, arXiv:2103.00020. Both towers'
pooled vectors (`companion.image.clip.towers`) go through a linear map each and are scaled to length 1, u for texts and v for
pictures. Of a batch of pairs, each picture should find its text among all texts, and each text its picture:

    s_ij = e^τ ⟨v_i, u_j⟩,    L = ½ (InfoNCE(s) + InfoNCE(sᵀ))                                 (eq-clip-loss)

with eq-info-nce of `companion.training.contrastive`. The scale e^τ is learned and held at 100 at most, as in the paper: else
the loss of what is learned falls on, the scale grows without end, and training becomes unstable. For a batch of
N pairs L ≥ log N - I(text; picture): at most log N nats of what a picture says about its text can be learned from it (van den
Oord et al. 2018, arXiv:1807.03748), and the best s_ij is log p(i, j) / p(i) p(j), up to a constant.
"""

import math
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from companion.image.clip.config import BOTH, TEXT, VISION, ClipConfig, clip_config, text_config, vision_config
from companion.image.clip.towers import ClipText, ClipVision
from companion.nn.published import fill, read_config, read_tensors
from companion.training.contrastive import info_nce_of_scores

LARGEST_SCALE = 100.0


class Scale(nn.Module):
    """The learned factor e^τ of the cosines.

    Args:
        start: the factor before training.
    """

    def __init__(self, start: float) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(math.log(start)))

    def forward(self) -> Float[Tensor, ""]:
        """The factor."""
        return self.logit_scale.exp()

    def hold(self) -> None:
        """Bring the parameter itself back to `LARGEST_SCALE`; clamped in the forward pass alone, it would get no gradient."""
        with torch.no_grad():
            self.logit_scale.clamp_(max=math.log(LARGEST_SCALE))


class Clip(nn.Module):
    """Both towers and the maps to the space that they share.

    Args:
        config: the sizes.

    Raises:
        ValueError: heads that do not divide a width.
    """

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.text, self.vision = ClipText(config.text), ClipVision(config.vision)
        self.text_map = nn.Linear(config.text.width, config.shared, bias=False)
        self.vision_map = nn.Linear(config.vision.width, config.shared, bias=False)
        self.scale = Scale(config.scale)
        for layer in (self.text_map, self.vision_map):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)

    def text_features(
        self, input_ids: Int[Tensor, "batch n"], attention_mask: Bool[Tensor, "batch n"] | None = None
    ) -> Float[Tensor, "batch shared"]:
        """Texts as unit vectors."""
        states = self.text(input_ids, attention_mask)
        return F.normalize(self.text_map(self.text.pool(states, input_ids)), dim=-1)

    def image_features(self, pixel_values: Float[Tensor, "batch channels side side"]) -> Float[Tensor, "batch shared"]:
        """Pictures as unit vectors."""
        return F.normalize(self.vision_map(self.vision.pool(self.vision(pixel_values))), dim=-1)

    def forward(
        self,
        input_ids: Int[Tensor, "texts n"],
        pixel_values: Float[Tensor, "pictures channels side side"],
        attention_mask: Bool[Tensor, "texts n"] | None = None,
    ) -> Float[Tensor, "pictures texts"]:
        """The score of each picture with each text (eq-clip-loss), ``logits_per_image``.

        Args:
            input_ids: token numbers of texts.
            pixel_values: pictures.
            attention_mask: True at real tokens.
        """
        cosines = self.image_features(pixel_values) @ self.text_features(input_ids, attention_mask).T
        return self.scale() * cosines

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, dtype: torch.dtype = torch.float32) -> "Clip":
        """Read a CLIP in the published format from a folder with ``config.json`` and safetensors, sharded or not.

        Args:
            folder: with both.
            dtype: of the parameters, whatever the file's is.

        Raises:
            FileNotFoundError: one of the files is not there.
            ValueError: another kind of model, a field that would change the numbers and is not implemented, or weights that
                do not fit; the message names them.
        """
        config = clip_config(read_config(folder, BOTH), str(folder))
        names = _tower(_TEXT, "text_model.", "text.") | _tower(_VISION, "vision_model.", "vision.") | _TOGETHER
        return fill(cls(config), read_tensors(folder), names, where=str(folder), dtype=dtype, ignored=_NO_PARAMETERS)


def text_from_pretrained(folder: str | Path, *, dtype: torch.dtype = torch.float32) -> ClipText:
    """Read a text tower alone, such as Stable Diffusion's ``text_encoder``; arguments and errors as `Clip.from_pretrained`."""
    tower = ClipText(text_config(read_config(folder, TEXT), str(folder)))
    names = _tower(_TEXT, "", "") | _tower(_TEXT, "text_model.", "")
    return fill(tower, read_tensors(folder), names, where=str(folder), dtype=dtype, ignored=_NO_PARAMETERS)


def vision_from_pretrained(folder: str | Path, *, dtype: torch.dtype = torch.float32) -> ClipVision:
    """Read a vision tower alone; arguments and errors as `Clip.from_pretrained`."""
    tower = ClipVision(vision_config(read_config(folder, VISION), str(folder)))
    names = _tower(_VISION, "", "") | _tower(_VISION, "vision_model.", "")
    return fill(tower, read_tensors(folder), names, where=str(folder), dtype=dtype, ignored=_NO_PARAMETERS)


def clip_loss(model: Clip, batch: tuple[Tensor, ...], generator: Generator | None = None) -> Float[Tensor, ""]:
    """The symmetric loss (eq-clip-loss), in nats, as `companion.training.train` calls it.

    Args:
        model: whose scale is held at 100 first.
        batch: pictures; the token numbers of their captions, shape (n, length); and a number for each caption: pairs with the
            same one do not serve each other as wrong answers.
        generator: not used.
    """
    pictures, ids, which = batch
    model.scale.hold()
    scores = model(ids, pictures)
    return (info_nce_of_scores(scores, which) + info_nce_of_scores(scores.T, which)) / 2


_BLOCK = {
    "encoder.layers.*.layer_norm1": "blocks.*.attention_norm",
    "encoder.layers.*.layer_norm2": "blocks.*.mlp_norm",
    "encoder.layers.*.self_attn.q_proj": "blocks.*.attention.q",
    "encoder.layers.*.self_attn.k_proj": "blocks.*.attention.k",
    "encoder.layers.*.self_attn.v_proj": "blocks.*.attention.v",
    "encoder.layers.*.self_attn.out_proj": "blocks.*.attention.out",
    "encoder.layers.*.mlp.fc1": "blocks.*.mlp.0",
    "encoder.layers.*.mlp.fc2": "blocks.*.mlp.2",
    "embeddings.position_embedding": "positions",
}
_TEXT = _BLOCK | {"embeddings.token_embedding": "tokens", "final_layer_norm": "norm"}
_VISION = _BLOCK | {
    "embeddings.patch_embedding": "patches",
    "embeddings": "",
    "pre_layrnorm": "first_norm",  # spelled so in the published files
    "post_layernorm": "norm",
}
_TOGETHER = {"text_projection": "text_map", "visual_projection": "vision_map", "": "scale"}
_NO_PARAMETERS = [f"{tower}embeddings.position_ids" for tower in ("", "text_model.", "vision_model.")]


def _tower(names: dict[str, str], theirs: str, ours: str) -> dict[str, str]:
    return {theirs + name: (ours + own).rstrip(".") for name, own in names.items()}
