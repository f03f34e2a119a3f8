r"""The two kinds of blocks of Flux: words and picture with weights of their own, then with the same.

A *double* block is the MMDiT block of Stable Diffusion 3 (Esser et al., 2024, arXiv:2403.03206, figure 2): two transformers,
one for the words c and one for the image tokens x, that meet in one attention over both,

- :math:`[c; x] \leftarrow [c; x] + \alpha \odot W_o\, \mathrm{Attention}([q_c; q_x], [k_c; k_x], [v_c; v_x])` (eq-flux-joint)

with queries and keys normed (RMS, for each head) and turned by their places. A *single* block (Dehghani et al., 2023,
arXiv:2302.05442, section 2) runs attention and MLP side by side on the joined sequence y,

- :math:`y \leftarrow y + \alpha \odot W\,[\mathrm{Attention}(\hat y);\ \mathrm{GELU}(W_1 \hat y)], \quad
  \hat y = (1 + \gamma) \mathrm{LN}(y) + \beta` (eq-flux-single)

Shifts β, scales γ and gates α come from time and text (`companion.nn.dit_block`, eq-sora-adaln) and start at zero, so each
block starts as the identity. That Flux has these two kinds its authors announced (Black Forest Labs, 1 August 2024); the
details are those of their published code and weights.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion.nn.attention import fused_attention
from companion.nn.dit_block import modulate
from companion.nn.norms import RMSNorm
from companion.nn.positions import turn

Angles = tuple[Tensor, Tensor]  # cosines and sines, as `companion.nn.positions.Rotary.angles` gives them


class Heads(nn.Module):
    """Queries, keys and values of one stream of tokens, queries and keys normed for each head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.q_norm, self.k_norm = RMSNorm(width // heads), RMSNorm(width // heads)

    def forward(self, x: Float[Tensor, "n tokens width"]) -> list[Float[Tensor, "n heads tokens d"]]:
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        return [self.q_norm(q), self.k_norm(k), v]


class Stream(nn.Module):
    """What a double block has once for the words and once for the picture."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.modulation = _zeros(nn.Linear(width, 6 * width))
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.ask = Heads(width, heads)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))


class DoubleBlock(nn.Module):
    """Words and picture, each with weights of its own, meet in one attention (eq-flux-joint)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.text, self.image = Stream(width, heads), Stream(width, heads)

    def forward(
        self,
        c: Float[Tensor, "n words width"],
        x: Float[Tensor, "n tokens width"],
        condition: Float[Tensor, "n width"],
        angles: Angles,
    ) -> tuple[Float[Tensor, "n words width"], Float[Tensor, "n tokens width"]]:
        """``condition`` is silu of the embedding of time and text; ``angles`` of the words' and the tokens' places."""
        streams, both = (self.text, self.image), [c, x]
        marks = [one.modulation(condition)[:, None].chunk(6, dim=-1) for one in streams]
        asked = [one.ask(modulate(one.norm(y), *m[:2])) for one, y, m in zip(streams, both, marks, strict=True)]
        q, k, v = (torch.cat(parts, dim=2) for parts in zip(*asked, strict=True))
        found = attend(q, k, v, angles).split([c.shape[1], x.shape[1]], dim=1)
        for i, (one, (_, _, gate1, shift2, scale2, gate2)) in enumerate(zip(streams, marks, strict=True)):
            y = both[i] + gate1 * one.out(found[i])
            both[i] = y + gate2 * one.mlp(modulate(one.norm(y), shift2, scale2))
        return both[0], both[1]


class SingleBlock(nn.Module):
    """Attention and MLP side by side, the same weights for words and picture (eq-flux-single)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.modulation = _zeros(nn.Linear(width, 3 * width))
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.ask = Heads(width, heads)
        self.widen = nn.Linear(width, 4 * width)
        self.out = nn.Linear(5 * width, width)

    def forward(
        self, y: Float[Tensor, "n tokens width"], condition: Float[Tensor, "n width"], angles: Angles
    ) -> Float[Tensor, "n tokens width"]:
        """Arguments as for `DoubleBlock`, words first in ``y``."""
        shift, scale, gate = self.modulation(condition)[:, None].chunk(3, dim=-1)
        hat = modulate(self.norm(y), shift, scale)
        found = torch.cat([attend(*self.ask(hat), angles), F.gelu(self.widen(hat), approximate="tanh")], dim=-1)
        return y + gate * self.out(found)


def attend(q: Tensor, k: Tensor, v: Tensor, angles: Angles) -> Float[Tensor, "n tokens width"]:
    """Attention of all tokens to all, queries and keys (n, heads, tokens, d) turned by their places; heads side by side."""
    return fused_attention(turn(q, *angles), turn(k, *angles), v).transpose(1, 2).flatten(2)


def _zeros(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
