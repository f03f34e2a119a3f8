"""The block of a diffusion transformer: a transformer block whose norms and residual branches a condition controls.

Peebles & Xie, "Scalable Diffusion Models with Transformers", arXiv:2212.09748, "adaLN-Zero". From a condition c (time and
caption) one linear layer makes six vectors: a shift β, a scale γ and a gate α for each of the two branches,

    x ← x + α₁ Attention((1 + γ₁) LN(x) + β₁),   x ← x + α₂ MLP((1 + γ₂) LN(x) + β₂)           (eq-sora-adaln)

That layer starts at zero, so each block starts as the identity. The order β₁, γ₁, α₁, β₂, γ₂, α₂ is that of the authors'
code and of diffusers' ``AdaLayerNormZero``. The norms have no weights of their own.
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion.nn.attention import MultiHeadAttention
from companion.validate import Count, checked


class DiTBlock(nn.Module):
    """One block (eq-sora-adaln).

    Args:
        width: of tokens and condition.
        heads: of the attention. The MLP's hidden layer has four times the width.
    """

    @checked
    def __init__(self, width: Count, heads: Count) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.attention = MultiHeadAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self,
        x: Float[Tensor, "batch tokens width"],
        condition: Float[Tensor, "batch width"],
        key_mask: Bool[Tensor, "batch tokens"] | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """Mix the tokens under a condition; ``key_mask`` is True at tokens that are real, False at padding."""
        if len(condition) != len(x):  # would be broadcast
            raise ValueError(f"condition: got {len(condition)} rows, wanted one for each of {len(x)} inputs")
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(F.silu(condition))[:, None].chunk(6, dim=-1)
        x = x + gate1 * self.attention(modulate(self.norm(x), shift1, scale1), key_mask=key_mask)
        return x + gate2 * self.mlp(modulate(self.norm(x), shift2, scale2))


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Scale and shift a normalised tensor; a scale of 0 leaves it alone."""
    return (1 + scale) * x + shift


class DiTHead(nn.Module):
    """The last layer of a diffusion transformer: a norm that the condition controls, then a linear map; it starts at zero."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, features)
        for layer in (self.modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, x: Float[Tensor, "batch tokens width"], condition: Float[Tensor, "batch width"]
    ) -> Float[Tensor, "batch tokens features"]:
        shift, scale = self.modulation(F.silu(condition))[:, None].chunk(2, dim=-1)
        return self.out(modulate(self.norm(x), shift, scale))
