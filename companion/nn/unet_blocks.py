r"""What a U-Net is made of: residual blocks that know the step, attention between pixels, halving and doubling.

As in Ho, Jain & Abbeel, arXiv:2006.11239, appendix B; `companion.nn.unet` puts them together.

- :math:`h = \mathrm{conv}(\mathrm{silu}(\mathrm{norm}(x))) + W\, \mathrm{silu}(e)`,
  :math:`\mathrm{block}(x, e) = x + \mathrm{conv}(\mathrm{silu}(\mathrm{norm}(h)))` (eq-unet-block), where a 1×1 convolution
  fits x if the channels change

Group normalisation (Wu & He, arXiv:1803.08494) treats each image by itself: what a denoiser says of one image does not depend
on the batch.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion.nn.attention import MultiHeadAttention


class ResidualBlock(nn.Module):
    """Two convolutions around which the input passes by (eq-unet-block).

    Args:
        channels_in: of the input.
        channels_out: of the output.
        embed: the width of the embedding of step and class; None for a block that is told nothing, as in an autoencoder.
        groups: of the normalisation.
        eps: of the normalisation.
        dropout: before the second convolution, in training mode.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        embed: int | None,
        *,
        groups: int,
        eps: float = 1e-5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in, eps)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.time_emb_proj = None if embed is None else nn.Linear(embed, channels_out)
        self.norm2 = nn.GroupNorm(groups, channels_out, eps)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else None

    def forward(
        self, x: Float[Tensor, "batch channels_in height width"], e: Float[Tensor, "batch embed"] | None = None
    ) -> Float[Tensor, "batch channels_out height width"]:
        """``e`` is silu of the embedding: all blocks need the same, so the network computes it once."""
        h = self.conv1(F.silu(self.norm1(x)))
        if self.time_emb_proj is not None:
            h = h + self.time_emb_proj(e)[:, :, None, None]
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
        return h + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class ImageAttention(nn.Module):
    """Each pixel looks at every pixel of its image; the result is added to the input.

    Args:
        channels: of input and output.
        head_width: channels of a head; None for a single head.
    """

    def __init__(self, channels: int, *, head_width: int | None, groups: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, eps)
        self.attention = MultiHeadAttention(channels, 1 if head_width is None else channels // head_width)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        pixels = self.group_norm(x).flatten(2).transpose(1, 2)  # (batch, height × width, channels)
        return x + self.attention(pixels).transpose(1, 2).reshape(x.shape)


class Halve(nn.Module):
    """Half the height and width, by a convolution with stride 2.

    Args:
        padding: 1 on every side, or 0 for one row and one column at the far end, as in the code of Ho et al.
    """

    def __init__(self, channels: int, *, padding: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels _ _"]:
        return self.conv(x if self.conv.padding[0] else F.pad(x, (0, 1, 0, 1)))


class Double(nn.Module):
    """Twice the height and width: every pixel becomes four, and a convolution smooths the steps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels _ _"]:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """All that happens at one size of the picture: blocks, each with attention or without, and perhaps a change of size.

    Args:
        channels_in: of each block's input.
        channels_out: of every block's output.
        attention: whether attention follows each block.
        resize: `Halve` at the end of a level on the way down, `Double` on the way up, None at the smallest or full size.
    """

    def __init__(
        self,
        channels_in: list[int],
        channels_out: int,
        embed: int | None,
        *,
        attention: bool,
        head_width: int | None,
        groups: int,
        eps: float,
        dropout: float,
        resize: Halve | Double | None = None,
    ) -> None:
        super().__init__()
        kinds = [(c, channels_out, embed) for c in channels_in]
        self.resnets = nn.ModuleList(ResidualBlock(*kind, groups=groups, eps=eps, dropout=dropout) for kind in kinds)
        looks = (
            [ImageAttention(channels_out, head_width=head_width, groups=groups, eps=eps) for _ in kinds]
            if attention
            else []
        )
        self.attentions = nn.ModuleList(looks)
        self.downsamplers = nn.ModuleList([resize] if isinstance(resize, Halve) else [])
        self.upsamplers = nn.ModuleList([resize] if isinstance(resize, Double) else [])

    def block(self, i: int, x: Tensor, e: Tensor | None = None) -> Tensor:
        """The i-th block, with its attention where the level has one."""
        x = self.resnets[i](x, e)
        return self.attentions[i](x) if len(self.attentions) else x


class Middle(nn.Module):
    """At the smallest size: a block, attention, a block."""

    def __init__(
        self, channels: int, embed: int | None, *, head_width: int | None, groups: int, eps: float, dropout: float
    ) -> None:
        super().__init__()
        blocks = [ResidualBlock(channels, channels, embed, groups=groups, eps=eps, dropout=dropout) for _ in range(2)]
        self.resnets = nn.ModuleList(blocks)
        self.attentions = nn.ModuleList([ImageAttention(channels, head_width=head_width, groups=groups, eps=eps)])

    def forward(
        self, x: Float[Tensor, "b c h w"], e: Float[Tensor, "b embed"] | None = None
    ) -> Float[Tensor, "b c h w"]:
        return self.resnets[1](self.attentions[0](self.resnets[0](x, e)), e)
