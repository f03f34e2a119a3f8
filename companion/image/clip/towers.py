"""CLIP's two towers: transformers that read a text and a picture.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021, arXiv:2103.00020, section 2.4.
Both are stacks of the pre-norm block (`companion.nn.transformer_block`, eq-block), with x₀ of n + 1 places:

    text:     x₀ = W_token[ids] + P,                    causal;  pooled = Norm(x_L)[the end of the text]     (eq-clip-text)
    picture:  x₀ = Norm([c, W_patch patches] + P),  not causal;  pooled = Norm(x_L[0])                       (eq-clip-vision)

The end of the text has seen all of it; in the picture a learned place c, the class token, collects what is asked for. Which
place of the text is the end? The first one with the end's number. Older published models say 2 there, a number that their
texts do not hold, and take the place of the highest number, since their tokenizer gives the end the highest.

Departure: a vision tower may begin with convolutions (Xiao et al., "Early Convolutions Help Transformers See Better", 2021,
arXiv:2106.14881): a patch is then cut from what small filters saw, each layer normed over all of its picture (`nn.GroupNorm`).
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.image.clip.config import LEGACY_END, ClipTextConfig, ClipVisionConfig
from companion.language.contract import check_tokens
from companion.nn.attention import MultiHeadAttention
from companion.nn.mlp import QuickGELU
from companion.nn.transformer_block import TransformerBlock


def clip_blocks(config: ClipTextConfig | ClipVisionConfig, *, causal: bool) -> nn.ModuleList:
    """The blocks of a tower, with OpenAI's initial weights: what a block adds gets smaller with the number of blocks."""
    width, blocks = config.width, []
    for _ in range(config.layers):
        bend = QuickGELU() if config.activation == "quick_gelu" else nn.GELU()
        mlp = nn.Sequential(nn.Linear(width, config.hidden), bend, nn.Linear(config.hidden, width))
        attention = MultiHeadAttention(width, config.heads)
        added = (2 * width * config.layers) ** -0.5
        for layer, std in (
            *((part, width**-0.5) for part in (attention.q, attention.k, attention.v)),
            *((attention.out, added), (mlp[0], (2 * width) ** -0.5), (mlp[2], added)),
        ):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)
        blocks.append(TransformerBlock(attention, mlp, lambda: nn.LayerNorm(width, config.norm_eps), causal=causal))
    return nn.ModuleList(blocks)


class ClipText(nn.Module):
    """The text tower (eq-clip-text).

    Args:
        config: its sizes.

    Raises:
        ValueError: heads that do not divide the width.
    """

    def __init__(self, config: ClipTextConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        self.positions = nn.Embedding(config.context, config.width)
        self.blocks = clip_blocks(config, causal=True)
        self.norm = nn.LayerNorm(config.width, config.norm_eps)
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions.weight, std=0.01)

    def forward(
        self, input_ids: Int[Tensor, "batch n"], attention_mask: Bool[Tensor, "batch n"] | None = None
    ) -> Float[Tensor, "batch n width"]:
        """What the tower says at each place: the condition of image models, and, pooled, what a picture is compared with.

        Args:
            input_ids: token numbers; each text ends with the end token, padding comes after it.
            attention_mask: True at real tokens. As padding comes last, no real place would look at it anyway.

        Raises:
            ValueError: token numbers out of range, or a text that is too long.
        """
        check_tokens(input_ids, None, self.config.vocab_size)
        if input_ids.shape[1] > self.config.context:
            raise ValueError(f"input_ids: got {input_ids.shape[1]} tokens, wanted at most {self.config.context}")
        x = self.tokens(input_ids) + self.positions.weight[: input_ids.shape[1]]
        for block in self.blocks:
            x = block(x, key_mask=attention_mask)
        return self.norm(x)

    def pool(
        self, states: Float[Tensor, "batch n width"], input_ids: Int[Tensor, "batch n"]
    ) -> Float[Tensor, "batch width"]:
        """What ``forward`` says at the end of each text.

        Raises:
            ValueError: a text without its end.
        """
        end = self.config.end_token
        if end == LEGACY_END:
            place = input_ids.argmax(1)
        else:
            ends = input_ids == end
            if not ends.any(1).all():
                row = int((~ends.any(1)).nonzero()[0])
                raise ValueError(f"input_ids: got row {row} without the end token {end}, wanted it in every row")
            place = ends.int().argmax(1)  # the first: padding may have the same number
        return states[torch.arange(len(states), device=states.device), place]


class ClipVision(nn.Module):
    """The vision tower (eq-clip-vision).

    Args:
        config: its sizes.

    Raises:
        ValueError: heads that do not divide the width.
    """

    def __init__(self, config: ClipVisionConfig) -> None:
        super().__init__()
        self.config = config
        stem, channels = [], config.channels
        for wider in config.stem:
            stem += [nn.Conv2d(channels, wider, 3, stride=2, padding=1), nn.GroupNorm(1, wider), nn.ReLU()]
            channels = wider
        self.stem = nn.Sequential(*stem)
        patch = config.patch // 2 ** len(config.stem)
        self.patches = nn.Conv2d(channels, config.width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(config.width) * config.width**-0.5)
        self.positions = nn.Embedding((config.side // config.patch) ** 2 + 1, config.width)
        self.first_norm = nn.LayerNorm(config.width, config.norm_eps)
        self.blocks = clip_blocks(config, causal=False)
        self.norm = nn.LayerNorm(config.width, config.norm_eps)
        nn.init.normal_(self.positions.weight, std=0.3)  # about as large as what the patches start with

    def forward(self, pixel_values: Float[Tensor, "batch channels side side"]) -> Float[Tensor, "batch places width"]:
        """What the tower says at the class token and at each patch, before the last norm.

        Args:
            pixel_values: pictures in the values that the model was trained on; the course's own in [-1, 1].

        Raises:
            ValueError: pictures of another size.
        """
        c = self.config
        if pixel_values.ndim != 4 or pixel_values.shape[1:] != (c.channels, c.side, c.side):
            got = tuple(pixel_values.shape)
            raise ValueError(f"pixel_values: got shape {got}, wanted (batch, {c.channels}, {c.side}, {c.side})")
        patches = self.patches(self.stem(pixel_values)).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(patches), 1, -1), patches], dim=1) + self.positions.weight
        x = self.first_norm(x)
        for block in self.blocks:
            x = block(x)
        return x

    def pool(self, states: Float[Tensor, "batch places width"]) -> Float[Tensor, "batch width"]:
        """What ``forward`` says at the class token, normed."""
        return self.norm(states[:, 0])
