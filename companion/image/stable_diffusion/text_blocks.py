r"""Where a picture looks at a text: the transformer blocks inside Stable Diffusion's U-Net.

Rombach et al., 2021, arXiv:2112.10752, section 3.3 and appendix E.2.1. The places of the picture are the tokens x of a small
transformer, and c are the states of the text tower, one for each word:

- :math:`x \leftarrow x + \mathrm{Attention}(x, x)`, places look at places (eq-sd-self)
- :math:`x \leftarrow x + A\, c W_v W_o`, places look at words (eq-sd-cross), with
  :math:`A = \mathrm{softmax}(x W_q (c W_k)^T / \sqrt d)`
- :math:`x \leftarrow x + W_2 (h \odot \mathrm{GELU}(g)), \quad [h; g] = W_1 x` (eq-sd-geglu)

each on normed x. The rows of A say for each place how much it takes from each word: they can be looked at, and changed
(`companion.image.stable_diffusion.prompt_editing`).
"""

from collections.abc import Callable

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion.nn.attention import MultiHeadAttention

# control(A): attention (n, heads, places, words) to attention of the same shape.
Control = Callable[[Tensor], Tensor]


class GatedGELU(nn.Module):
    """The dense half, each place by itself (eq-sd-geglu); four times as wide in between.

    `companion.nn.mlp.GeGLU` is the same with other conventions: two matrices in place of W₁, no biases, GELU by tanh.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.widen, self.narrow = nn.Linear(width, 8 * width), nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Map vectors of shape (..., width) to vectors of that shape."""
        h, gate = self.widen(x).chunk(2, dim=-1)
        return self.narrow(h * F.gelu(gate))


class TextBlock(nn.Module):
    """Places look at places, then at words, then each thinks for itself (eq-sd-self, eq-sd-cross, eq-sd-geglu).

    Attributes:
        control: what may look at the attention to words and change it; None leaves it to the fused kernel.
    """

    def __init__(self, width: int, heads: int, context_width: int) -> None:
        super().__init__()
        plain = {"bias": False, "out_bias": True}
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.attn1 = MultiHeadAttention(width, heads, **plain)
        self.attn2 = MultiHeadAttention(width, heads, context_width=context_width, **plain)
        self.ff = GatedGELU(width)
        self.control: Control | None = None

    def forward(
        self,
        x: Float[Tensor, "n places width"],
        context: Float[Tensor, "n words context_width"],
        mask: Bool[Tensor, "n words"] | None = None,
    ) -> Float[Tensor, "n places width"]:
        """``mask`` is True at the words that may be looked at."""
        x = x + self.attn1(self.norm1(x))
        x = x + self._look(self.norm2(x), context, mask)
        return x + self.ff(self.norm3(x))

    def _look(self, x: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        if self.control is None:
            return self.attn2(x, context, key_mask=mask)
        q, k, v = self.attn2.project(x, context)
        _, weights = self.attn2.attend(q, k, v, key_mask=mask, explicit=True)
        return self.attn2.write(x, self.control(weights) @ v)


class TextAttention(nn.Module):
    """A picture's channels as tokens through a `TextBlock` and back; the result is added to the input.

    Args:
        channels: of input and output.
        heads: of both attentions, a divisor of the channels.
        context_width: of the text's states.
        groups: of the normalisation.
    """

    def __init__(self, channels: int, heads: int, context_width: int, *, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, 1e-6)
        self.proj_in, self.proj_out = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([TextBlock(channels, heads, context_width)])

    def forward(
        self,
        x: Float[Tensor, "n channels height width"],
        context: Float[Tensor, "n words context_width"],
        mask: Bool[Tensor, "n words"] | None = None,
    ) -> Float[Tensor, "n channels height width"]:
        """``mask`` is True at the words that may be looked at."""
        places = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        for block in self.transformer_blocks:
            places = block(places, context, mask)
        return x + self.proj_out(places).transpose(1, 2).reshape(x.shape)
