r"""Weights as small whole numbers: an eighth or a quarter of the memory, for an error that can be stated beforehand.

The largest absolute value of a group of weights is given the largest whole number, and the rest falls into place
(Dettmers, Lewis, Belkada & Zettlemoyer, "LLM.int8()", 2022, arXiv:2208.07339, section 2, "absmax"):

- :math:`s = \max |w| / (2^{b-1} - 1), \quad q = \mathrm{round}(w / s)` (eq-realtime-absmax)
- :math:`|s q - w| \le s / 2` (eq-realtime-rounding)

A group is one row of the matrix, one output channel, so that a row of large weights does not coarsen the others; all of the
matrix as one group is there for comparison. Numbers that fill their range evenly lose to rounding
:math:`10 \log_{10}(E w^2 / E (s q - w)^2) = 20 \log_{10}(2^b - 2) \approx 6.02\, b` decibels (eq-realtime-sqnr): each bit is
worth six.

`QuantizedLinear` keeps a layer's weights as bytes and the rest in floating point, the form that is called *weight-only*. Its
product with bfloat16 vectors is torch's own kernel for it, ``torch.ops.aten._weight_int8pack_mm``, which reads the bytes as
they are; with other types it is the same sum written out, which first makes floats of them and so saves no time. Departure:
no outlier columns in 16 bits, which LLM.int8() needs for models of billions of parameters.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int8
from torch import Tensor, nn

from companion.language.contract import precise
from companion.validate import Finite, Range, checked

Group = Literal["channel", "tensor"]


@dataclass(frozen=True)
class Quantized:
    """A matrix as whole numbers.

    Attributes:
        values: from -(2^(bits-1) - 1) to 2^(bits-1) - 1.
        scale: of each row.
        bits: of a number.
    """

    values: Int8[Tensor, "out in"]
    scale: Float[Tensor, "out"]
    bits: int

    def dequantized(self) -> Float[Tensor, "out in"]:
        """The matrix that the numbers stand for."""
        return self.values * self.scale[:, None]

    @property
    def bytes(self) -> float:
        """What numbers and scales take, if b-bit numbers are packed without gaps."""
        return self.values.numel() * self.bits / 8 + self.scale.numel() * self.scale.element_size()


@checked
def quantize(
    weight: Finite[Tensor, "out in"], bits: Annotated[int, Range(2, 8)] = 8, *, group: Group = "channel"
) -> Quantized:
    """Round a matrix to whole numbers of ``bits`` bits (eq-realtime-absmax), a scale for each row or one for all."""
    weight, most = precise(weight.detach()), 2 ** (bits - 1) - 1
    largest = weight.abs().amax(1) if group == "channel" else weight.abs().max().expand(len(weight))
    scale = largest / most
    safe = torch.where(scale > 0, scale, 1)  # a row of zeros stays one
    return Quantized((weight / safe[:, None]).round().clamp(-most, most).to(torch.int8), safe.clone(), bits)


@checked
def sqnr(weight: Finite[Tensor, "*shape"], rounded: Finite[Tensor, "*shape"]) -> float:
    """Signal to quantisation noise, in decibels (eq-realtime-sqnr)."""
    weight, rounded = precise(weight.detach()), precise(rounded.detach())
    return float(10 * torch.log10(weight.square().sum() / (weight - rounded).square().sum()))


class QuantizedLinear(nn.Module):
    """A linear layer without a gradient, whose weights are bytes.

    Args:
        layer: the layer to be replaced; it is not changed.
        bits: of a weight; fewer than 8 are stored in a byte all the same, to see what they do to the result.
        group: ``"channel"`` or ``"tensor"``.
    """

    def __init__(self, layer: nn.Linear, bits: int = 8, *, group: Group = "channel") -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        stored = quantize(layer.weight, bits, group=group)
        self.register_buffer("values", stored.values)
        self.register_buffer("scale", stored.scale)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        """x Wᵀ + b, with W the matrix that the bytes stand for."""
        rows = x.reshape(-1, x.shape[-1])
        # The kernel reads 16 numbers at a time and past the end of a row of another length, which ends the process.
        if x.dtype == torch.bfloat16 and x.device.type == "cpu" and x.shape[-1] % 16 == 0:
            y = torch.ops.aten._weight_int8pack_mm(rows, self.values, self.scale.to(x.dtype))
        else:
            y = ((rows @ self.values.to(x.dtype).T) * self.scale).to(x.dtype)
        if self.bias is not None:
            y = y + self.bias
        return y.reshape(*x.shape[:-1], len(self.values))


def quantize_model(
    model: nn.Module, bits: int = 8, *, group: Group = "channel", where: Callable[[str], bool] = lambda name: True
) -> nn.Module:
    """A copy of a model with every linear layer whose name passes ``where`` replaced by a `QuantizedLinear`.

    A layer that shares its matrix with an embedding keeps a float matrix there: only its own product is rounded.
    """
    model = copy.deepcopy(model).eval()
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and where(name)]
    if not names:
        raise ValueError(f"model: got {type(model).__name__} without a linear layer to quantise, wanted at least one")
    for name in names:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, QuantizedLinear(model.get_submodule(name), bits, group=group))
    return model
