r"""Imputation: the conditional distribution of hidden entries under a Gaussian classifier, in closed form.

Split an example into known entries k and hidden entries h. For one Gaussian (eq-discriminative-conditional)

.. math:: x_h \mid x_k \sim N(\mu_h + \Sigma_{hk} \Sigma_{kk}^{-1} (x_k - \mu_k),\;
          \Sigma_{hh} - \Sigma_{hk} \Sigma_{kk}^{-1} \Sigma_{kh}).

For a classifier the class is not known either: its posterior given the known entries alone weighs the classes' answers
(eq-discriminative-fill-in). The marginal of a Gaussian is the Gaussian of the entries that are left, so the same object
classifies incomplete examples: no new training.

Source: Bishop, "Pattern Recognition and Machine Learning", 2006, section 2.3.1.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.overview.discriminative.generative_classifier import GaussianClassifier
from companion.training.random import multinomial, randn
from companion.validate import Finite, checked


@checked
def marginal(model: GaussianClassifier, known: Bool[Tensor, "dims={model.mean.shape[1]}"]) -> GaussianClassifier:
    """The classifier of the known entries alone: rows and columns of the hidden ones are left out."""
    _check_known(known)
    return GaussianClassifier(model.log_prior, model.mean[:, known], model.covariance[:, known][:, :, known])


@checked
def conditional(
    mean: Finite[Tensor, "dims"],
    covariance: Finite[Tensor, "dims dims"],
    known: Bool[Tensor, "dims"],
    values: Finite[Tensor, "n known={int(known.sum())}"],
) -> tuple[Float[Tensor, "n hidden"], Float[Tensor, "hidden hidden"]]:
    """Mean and covariance of the hidden entries of a Gaussian, given the values of the known ones.

    Args:
        mean: of all entries.
        covariance: of all entries.
        known: true where an entry is given; at least one is, and at least one is not.
        values: the given entries of each example, in their order.

    Returns:
        The mean for each example, and the covariance, which is the same for all.
    """
    _check_known(known)
    hidden = ~known
    cross = covariance[hidden][:, known]
    factor = torch.linalg.cholesky(covariance[known][:, known])
    gain = torch.cholesky_solve(cross.T, factor).T
    return mean[hidden] + (values - mean[known]) @ gain.T, covariance[hidden][:, hidden] - gain @ cross.T


def fill_in(
    model: GaussianClassifier, x: Float[Tensor, "n dims"], known: Bool[Tensor, "dims"]
) -> Float[Tensor, "n dims"]:
    """The examples with their hidden entries replaced by the mean of p(hidden | known): the best guess by squared error.

    Args:
        x: what stands in the hidden entries is not used, but must be finite.
        known: true where an entry is given.
    """
    weights = _class_weights(model, x, known)
    answers = _answers(model, x, known)
    filled = x.clone()
    filled[:, ~known] = sum(weights[:, c, None] * mean for c, (mean, _) in enumerate(answers))
    return filled


def sample_fill_in(
    model: GaussianClassifier, x: Float[Tensor, "n dims"], known: Bool[Tensor, "dims"], generator: torch.Generator
) -> Float[Tensor, "n dims"]:
    """The examples with their hidden entries drawn from p(hidden | known): first a class, then the entries."""
    weights = _class_weights(model, x, known)
    answers = _answers(model, x, known)
    chosen = multinomial(weights, 1, generator)[:, 0].tolist()
    noise = randn((len(x), int((~known).sum())), generator, like=x)
    factors = {c: torch.linalg.cholesky(answers[c][1]) for c in set(chosen)}
    filled = x.clone()
    filled[:, ~known] = torch.stack([answers[c][0][i] + factors[c] @ noise[i] for i, c in enumerate(chosen)])
    return filled


@checked
def _class_weights(
    model: GaussianClassifier, x: Finite[Tensor, "n dims={model.mean.shape[1]}"], known: Bool[Tensor, "dims"]
) -> Float[Tensor, "n classes"]:
    return marginal(model, known).posterior(x[:, known])


def _answers(model: GaussianClassifier, x: Tensor, known: Tensor) -> list[tuple[Tensor, Tensor]]:
    covariances = model.covariance.expand(len(model.mean), -1, -1)
    return [conditional(m, s, known, x[:, known]) for m, s in zip(model.mean, covariances, strict=True)]


def _check_known(known: Bool[Tensor, "dims"]) -> None:
    if not known.any() or known.all():
        raise ValueError(
            f"known: got {int(known.sum())} of {len(known)} entries, wanted at least one known and one hidden"
        )
