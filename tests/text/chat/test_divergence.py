"""KL estimators: means and gradients summed over all outcomes, against the closed form."""

import pytest
import torch

from companion.text.chat.divergence import k1, k2, k3

LOGITS = torch.tensor([0.3, -1.2, 0.8, 0.1, -0.4], dtype=torch.float64)
REF = torch.tensor([1.1, 0.2, -0.5, 0.0, 0.7], dtype=torch.float64).log_softmax(0)


def kl(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    return (log_p.exp() * (log_p - log_q)).sum()


def test_k1_and_k3_are_unbiased_k2_is_not_and_only_k1_is_ever_negative() -> None:
    log_p = LOGITS.log_softmax(0)
    exact = float(kl(log_p, REF))
    means = [float((log_p.exp() * k(log_p - REF)).sum()) for k in (k1, k2, k3)]
    assert means[0] == pytest.approx(exact) and means[2] == pytest.approx(exact)
    assert abs(means[1] - exact) > 0.02
    assert float(k1(log_p - REF).min()) < 0 < float(k3(log_p - REF).min()) and float(k2(log_p - REF).min()) > 0


def test_gradients_with_the_samples_held_fixed() -> None:
    """k2 follows KL(π ‖ ref), k3 KL(ref ‖ π), and k1 goes nowhere."""

    def gradient(value) -> torch.Tensor:  # of a function of log π
        logits = LOGITS.clone().requires_grad_()
        return torch.autograd.grad(value(logits.log_softmax(0)), logits)[0]

    fixed = LOGITS.softmax(0)
    found = [gradient(lambda log_p, k=k: (fixed * k(log_p - REF)).sum()) for k in (k1, k2, k3)]
    torch.testing.assert_close(found[0], torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(found[1], gradient(lambda log_p: kl(log_p, REF)))
    torch.testing.assert_close(found[2], gradient(lambda log_p: kl(REF, log_p)))
