"""Three-dimensional convolutions, over time and space: causal, and split into a spatial and a temporal one.

Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks" (C3D), arXiv:1412.0767; Tran et al., "A Closer
Look at Spatiotemporal Convolutions" ("(2+1)D"), arXiv:1711.11248. With a kernel K of a frames, b rows and c columns

    y[t, i, j] = Σ_{τ,p,q} K[τ, p, q] x[t - (a - 1) + τ, i + p, j + q]                          (eq-coherence-conv3d)

which is *causal*: frame t is made of frames t - a + 1 … t, because the padding of a - 1 frames lies before the film, not around
it. A spatial convolution S with M channels and a temporal one T after it, with nothing between, are the 3-D convolution with

    K[o, i, τ, p, q] = Σ_m T[o, m, τ] S[m, i, p, q],                                            (eq-coherence-separable)

at M·(i·b·c + o·a) numbers instead of o·i·a·b·c.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion.validate import Count, checked


class CausalConv3d(nn.Module):
    """A 3-D convolution that pads time on the side of the past only (eq-coherence-conv3d).

    Args:
        inputs: channels in.
        outputs: channels out.
        time: frames of the kernel.
        space: rows and columns of the kernel, odd.
        bias: whether there is one.
    """

    @checked
    def __init__(self, inputs: int, outputs: int, *, time: Count = 3, space: Count = 3, bias: bool = True) -> None:
        super().__init__()
        if space % 2 == 0:
            raise ValueError(f"space: got {space}, wanted an odd size")
        self.before = time - 1
        self.conv = nn.Conv3d(inputs, outputs, (time, space, space), padding=(0, space // 2, space // 2), bias=bias)

    @checked
    def forward(
        self, x: Float[Tensor, "n inputs={self.conv.in_channels} frames height width"]
    ) -> Float[Tensor, "n outputs frames height width"]:
        return self.conv(F.pad(x, (0, 0, 0, 0, self.before, 0)))


class SplitConv3d(nn.Module):
    """ "(2+1)D": first over space, then over time.

    Args:
        inputs: channels in.
        outputs: channels out.
        between: channels M between the two.
        time: frames of the temporal kernel.
        space: rows and columns of the spatial kernel, odd.
        bend: whether a SiLU stands between; without it the two are one 3-D convolution (`joined`).
    """

    def __init__(
        self, inputs: int, outputs: int, between: int, *, time: int = 3, space: int = 3, bend: bool = True
    ) -> None:
        super().__init__()
        self.spatial = CausalConv3d(inputs, between, time=1, space=space, bias=False)
        self.temporal = CausalConv3d(between, outputs, time=time, space=1)
        self.bend = bend

    def forward(
        self, x: Float[Tensor, "n inputs frames height width"]
    ) -> Float[Tensor, "n outputs frames height width"]:
        x = self.spatial(x)
        return self.temporal(F.silu(x) if self.bend else x)

    def joined(self) -> Float[Tensor, "outputs inputs time height width"]:
        """The kernel of the one 3-D convolution that equals the two (eq-coherence-separable).

        Raises:
            ValueError: something bends between them, and no such kernel exists.
        """
        if self.bend:
            raise ValueError("bend: got True, wanted False: with a curve between them they are no one convolution")
        spatial, temporal = self.spatial.conv.weight[:, :, 0], self.temporal.conv.weight[:, :, :, 0, 0]
        return torch.einsum("omt,mipq->oitpq", temporal, spatial)


class Conv3dForecaster(nn.Module):
    """Makes all new frames at once: causal 3-D convolutions over the given frames and as many empty ones as are wanted.

    Each new frame sees so much of the past as the kernels reach: with L layers of 3 frames, 2L frames back. Pixels are
    folded as in `companion.video.coherence.convlstm`, and the last given frame is the starting point.

    Args:
        width: channels between the layers.
        layers: convolutions with a curve behind them; a last one makes the frames.
        fold: pixels along a folded square's side.
        split: (2+1)D convolutions instead of full ones.
    """

    @checked
    def __init__(self, width: Count = 32, layers: Count = 4, fold: Count = 2, *, split: bool = False) -> None:
        super().__init__()
        self.fold = fold
        sizes = [fold * fold + 1, *[width] * layers]
        make = (lambda i, o: SplitConv3d(i, o, width)) if split else CausalConv3d
        self.layers = nn.ModuleList(make(i, o) for i, o in zip(sizes, sizes[1:], strict=False))
        self.out = CausalConv3d(width, fold * fold, time=1, space=1)

    @checked
    def forward(
        self, films: Float[Tensor, "n 1 given height width"], new: Count
    ) -> Float[Tensor, "n 1 new height width"]:
        """The next ``new`` frames of films in [-1, 1]."""
        folded = F.pixel_unshuffle(films.transpose(1, 2), self.fold).transpose(1, 2)
        empty = folded[:, :, -1:].expand(-1, -1, new, -1, -1)
        x = torch.cat([folded, empty], dim=2)
        asked = (
            (torch.arange(x.shape[2], device=x.device) >= films.shape[2]).to(x).view(1, 1, -1, 1, 1).expand_as(x[:, :1])
        )
        x = torch.cat([x, asked], dim=1)
        for i, layer in enumerate(self.layers):
            y = F.silu(layer(x))
            x = x + y if i else y
        logits = F.pixel_shuffle(self.out(x)[:, :, -new:].transpose(1, 2), self.fold).transpose(1, 2)
        return (logits + 2 * films[:, :, -1:]).tanh()
