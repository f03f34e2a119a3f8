r"""Why a transposed convolution draws checkerboards: not every pixel is painted equally often.

Odena, Dumoulin & Olah, "Deconvolution and Checkerboard Artifacts", Distill, 2016. A transposed convolution with kernel k and
stride s lets every input paint k outputs, s apart. Away from the border an output at place o is painted by

.. math:: n(o) = \lceil (k - (o \bmod s)) / s \rceil

inputs along an axis (eq-gan-overlap), and by the product of both axes' numbers in a picture: equally many everywhere if
and only if s divides k. With random weights and inputs of mean square 1 the variance of an output is proportional to that
number.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from companion.validate import Count, checked


@checked
def overlap(inputs: Count, kernel: Count, stride: Count) -> Float[Tensor, "outputs outputs"]:
    """How many inputs paint each pixel, for inputs × inputs of them, no padding; outputs = (inputs - 1) stride + kernel."""
    return F.conv_transpose2d(torch.ones(1, 1, inputs, inputs), torch.ones(1, 1, kernel, kernel), stride=stride)[0, 0]


@checked
def painted(kernel: Count, stride: Count) -> list[int]:
    """Along one axis and away from the border: by how many inputs a pixel of each phase is painted (eq-gan-overlap)."""
    return [-(-(kernel - phase) // stride) for phase in range(stride)]


@checked
def phase_variance(images: Float[Tensor, "n c h w"], stride: Count) -> Float[Tensor, "stride stride"]:
    """The mean square of the pixels at each place of a square of stride × stride, the average over all squares."""
    rows, columns = (size // stride * stride for size in images.shape[2:])
    if not rows or not columns:
        raise ValueError(f"images: got sides {tuple(images.shape[2:])}, wanted at least the stride {stride}")
    square = images[:, :, :rows, :columns].square().mean((0, 1))
    return square.reshape(rows // stride, stride, columns // stride, stride).mean((0, 2))
