r"""Estimating a KL divergence from samples of π, with x = log π(v) - log π_ref(v) of a drawn v:

.. math:: k_1 = x,\qquad k_2 = x^2/2,\qquad k_3 = e^{-x} - 1 + x                          (eq-chat-kl)

k_1 and k_3 have the divergence KL(π ‖ π_ref) as their mean, k_2 has not; k_2 and k_3 are never negative, k_1 may be.
Schulman, "Approximating KL divergence", 2020.

What has the right mean need not have the right gradient: if a sample is held fixed and its k is made smaller, k_2 follows
the gradient of KL(π ‖ π_ref), k_3 that of KL(π_ref ‖ π), and k_1 on average goes nowhere.
"""

from jaxtyping import Float
from torch import Tensor


def k1(log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Unbiased; negative where the reference likes the sample more."""
    return log_ratio


def k2(log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Half the square; biased, right to second order."""
    return log_ratio.square() / 2


def k3(log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Unbiased and never negative."""
    return (-log_ratio).exp() - 1 + log_ratio
