"""The coupling flow: its inverse and its likelihood are exact, whatever the weights."""

import math

import torch

from companion.data.points import moons
from companion.foundations.losses.coupling_flow import Coupling, CouplingFlow
from companion.training import TrainConfig, train
from tests.conftest import rejects


def flow(dims: int = 3) -> CouplingFlow:
    return CouplingFlow(dims, layers=3, width=6).double()


def test_the_inverse_is_exact():
    model = flow()
    x = torch.randn(5, 3, dtype=torch.float64)
    z, _ = model(x)
    assert not torch.allclose(z, x, atol=0.1) and torch.allclose(model.decode(z), x, atol=1e-10)


def test_likelihood_is_the_change_of_variables_by_the_full_jacobian_I63():
    """eq-flow-likelihood as printed: the determinant of autograd's Jacobian, and torch's normal density."""
    model = flow()
    for x in torch.randn(4, 3, dtype=torch.float64):
        jacobian = torch.autograd.functional.jacobian(lambda v: model(v[None])[0][0], x)
        z = model(x[None])[0][0]
        normal = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum()
        want = normal + torch.linalg.slogdet(jacobian).logabsdet
        assert torch.allclose(model.log_prob(x[None])[0], want, atol=1e-10)


def test_coupling_as_printed_I60():
    """eq-coupling for one layer."""
    layer = Coupling(3, width=4).double()
    x = torch.randn(2, 3, dtype=torch.float64)
    out, log_det = layer(x)
    raw, m = layer.net(x[:, :1]).chunk(2, 1)
    s = 3 * torch.tanh(raw / 3)
    assert torch.allclose(out, torch.cat([x[:, 1:] * s.exp() + m, x[:, :1]], 1)) and torch.allclose(log_det, s.sum(1))


def test_density_sums_to_one():
    torch.manual_seed(0)
    model = CouplingFlow(2, layers=2, width=4)
    axis = torch.linspace(-12, 12, 600)
    with torch.no_grad():
        total = model.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * (24 / 599) ** 2
    assert math.isclose(float(total), 1, rel_tol=5e-3)


def test_rows_do_not_mix():
    model = flow()
    x = torch.randn(5, 3, dtype=torch.float64)
    assert torch.allclose(model.log_prob(x)[3:4], model.log_prob(x[3:4]))


def test_learns_more_than_a_gaussian():
    """Held-out likelihood on the moons against the best Gaussian."""
    data, held = moons(), moons("test").points
    torch.manual_seed(0)
    config = TrainConfig(400, 128, lr=5e-3, weight_decay=0.0, ema=0.98)
    model = train(
        CouplingFlow(2, layers=4, width=32), lambda m, b, g: -m.log_prob(b[0]).mean(), data.draw, config
    ).model
    gaussian = torch.distributions.MultivariateNormal(data.points.mean(0), data.points.T.cov())
    with torch.no_grad():
        assert model.log_prob(held).mean() > gaussian.log_prob(held).mean() + 0.5


def test_bad_input():
    for call, pattern in [
        (lambda: CouplingFlow(1), "dims: got 1"),
        (lambda: CouplingFlow(2, layers=0), "layers: got 0"),
        (lambda: CouplingFlow(2).log_prob(torch.zeros(3, 4)), "x: got shape"),
        (lambda: CouplingFlow(2).decode(torch.zeros(0, 2)), "z: got shape"),
    ]:
        with rejects(pattern):
            call()


def test_by_default_both_numbers_of_a_pair_are_changed_four_times():
    assert len(CouplingFlow(2).couplings) == 2 * 4
