r"""Classifier-free guidance: go further than the label asks.

Ho & Salimans, arXiv:2207.12598. One network is trained with labels and, some of the time, without. At sampling time both
answers, :math:`\epsilon_y` and :math:`\epsilon_\varnothing`, are computed, and the difference that the label makes is enlarged:

.. math:: \hat\epsilon = \epsilon_\varnothing + w\, (\epsilon_y - \epsilon_\varnothing)

(eq-cfg). **Convention:** w = 0 ignores the label, w = 1 is the plain conditional model, w > 1 exaggerates. The paper writes
:math:`(1 + w')\, \epsilon_y - w'\, \epsilon_\varnothing`: its w' is w - 1. For a given x_t, noise, data and v determine each
other by one affine map, so the same formula holds for each of them.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.diffusion.ddpm import Denoiser
from companion.diffusion.parameterisation import LabelledNet
from companion.validate import check_count, check_number, check_shapes


def guide(without: Float[Tensor, "n ..."], with_label: Float[Tensor, "n ..."], scale: float) -> Float[Tensor, "n ..."]:
    """``without`` + scale · (``with_label`` - ``without``) (eq-cfg)."""
    check_number("scale", scale, low=0)
    if without.shape != with_label.shape:
        raise ValueError(
            f"without: got shape {tuple(without.shape)}, wanted that with a label, {tuple(with_label.shape)}"
        )
    return without + scale * (with_label - without)


def guided(net: LabelledNet, labels: Int[Tensor, "n"], scale: float, *, no_label: int = 10) -> Denoiser:
    """A network with labels as a function of x_t and t alone, guided towards ``labels``; it predicts what the network does.

    One pass of a double batch computes both answers; w = 0 and w = 1 need only one of them.
    """
    check_shapes(labels=(labels, "n"))
    check_number("scale", scale, low=0)
    check_count("no_label", no_label, low=0)
    nothing = torch.full_like(labels, no_label)

    def prediction(x_t: Tensor, t: Tensor) -> Tensor:
        if scale in (0, 1):
            return net(x_t, t, labels if scale else nothing)
        both = net(torch.cat([x_t, x_t]), torch.cat([t, t]), torch.cat([nothing, labels]))
        return guide(*both.chunk(2), scale)

    return prediction
