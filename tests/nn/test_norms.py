"""RMS normalisation: the paper's formula, PyTorch's module, what it keeps of a vector."""

import pytest
import torch
from torch import nn

from companion.nn.norms import RMSNorm, ZeroCentredRMSNorm
from tests.conftest import rejects

X = torch.randn(2, 3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_the_formula_as_printed() -> None:
    norm = RMSNorm(7, eps=0.1).double()
    nn.init.normal_(norm.weight)
    expected = X / (X.pow(2).mean(-1, keepdim=True) + 0.1).sqrt() * norm.weight
    torch.testing.assert_close(norm(X), expected, rtol=1e-12, atol=1e-12)


def test_equals_torchs_module_with_its_gradients() -> None:
    ours, theirs = RMSNorm(7, eps=1e-5).double(), nn.RMSNorm(7, eps=1e-5).double()
    nn.init.normal_(ours.weight)
    theirs.load_state_dict(ours.state_dict())
    a, b = X.clone().requires_grad_(), X.clone().requires_grad_()
    ours(a).pow(3).sum().backward()
    theirs(b).pow(3).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)


def test_the_gradient_is_the_formulas() -> None:
    norm = RMSNorm(7, eps=0.1).double()
    nn.init.normal_(norm.weight)
    assert torch.autograd.gradcheck(norm, X.clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda w: torch.func.functional_call(norm, {"weight": w}, X), norm.weight)
    assert torch.autograd.gradcheck(norm, X[0, 0].clone().requires_grad_())


# At the first forward derivative of a process torch compiles its own rules for it, by what it calls deprecated since 2.13.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_works_under_torch_func_and_can_be_derived_twice() -> None:
    norm = RMSNorm(7, eps=0.1).double()
    nn.init.normal_(norm.weight)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return norm(x).pow(3).sum()

    rows = X.flatten(0, 1)
    each = torch.func.vmap(torch.func.grad(loss))(rows)
    torch.testing.assert_close(each, torch.autograd.functional.jacobian(loss, rows))
    tangent = torch.randn_like(rows)
    torch.testing.assert_close(torch.func.jvp(loss, (rows,), (tangent,))[1], (each * tangent).sum())
    assert torch.autograd.gradgradcheck(norm, rows.clone().requires_grad_())
    torch.testing.assert_close(torch.func.hessian(loss)(rows[0]), torch.autograd.functional.hessian(loss, rows[0]))


def test_half_precision_is_computed_in_single() -> None:
    norm, x = RMSNorm(7).bfloat16(), X.bfloat16().requires_grad_()
    got = norm(x)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), RMSNorm(7)(x.detach().float()), rtol=0.005, atol=0)
    got.float().pow(2).sum().backward()
    assert x.grad.dtype == norm.weight.grad.dtype == torch.bfloat16


def test_keeps_the_direction_and_not_the_length_and_unlike_layer_norm_the_mean() -> None:
    norm = RMSNorm(7, eps=0).double()
    torch.testing.assert_close(norm(5 * X), norm(X))
    torch.testing.assert_close(norm(X).pow(2).mean(-1), torch.ones(2, 3, dtype=torch.float64))
    assert (norm(X + 1).mean(-1) - norm(X).mean(-1)).abs().max() > 0.1
    assert torch.isfinite(RMSNorm(7)(torch.zeros(2, 7))).all()


def test_bad_input() -> None:
    with rejects("width"):
        RMSNorm(0)
    with rejects("eps"):
        RMSNorm(3, eps=-1.0)
    with rejects("x"):
        RMSNorm(3)(torch.zeros(2, 4))


def test_the_zero_centred_formula_as_printed() -> None:
    norm = ZeroCentredRMSNorm(7, eps=0.1).double()
    torch.testing.assert_close(norm(X), RMSNorm(7, eps=0.1).double()(X))  # it starts from a gain of 1
    nn.init.normal_(norm.weight)
    expected = X / (X.pow(2).mean(-1, keepdim=True) + 0.1).sqrt() * (1 + norm.weight)
    torch.testing.assert_close(norm(X), expected, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda w: torch.func.functional_call(norm, {"weight": w}, X), norm.weight)
    with rejects("width"):
        ZeroCentredRMSNorm(0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_zero_centred_equals_gemmas_in_each_precision(dtype: torch.dtype) -> None:
    """Near 1 bfloat16 is coarse: a gain that is rounded before it is used would show, or an output before it is scaled."""
    from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm

    ours, theirs = ZeroCentredRMSNorm(64, eps=1e-4), Gemma2RMSNorm(64, eps=1e-4)
    nn.init.normal_(ours.weight, std=0.03)
    theirs.load_state_dict(ours.state_dict())
    ours, theirs = ours.to(dtype), theirs.to(dtype)
    x = torch.randn(50, 64, generator=torch.Generator().manual_seed(0)).to(dtype)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-6 if dtype == torch.float32 else 0)
    assert ours.gain.dtype == torch.float32
