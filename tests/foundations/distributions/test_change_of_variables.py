"""Change of variables, dequantisation and bits per dimension, against `torch.distributions`, autograd and exact sums."""

import math

import pytest
import torch
import torch.distributions as td

from companion.foundations.distributions.change_of_variables import Affine, Logit, Transformed, bits_per_dim, dequantise
from companion.foundations.distributions.families import Categorical, DiagonalGaussian
from tests.conftest import rejects

F64 = torch.float64
N, D = 5, 7
MAPS = pytest.mark.parametrize("f", [Affine(3.0, 20.0), Affine(-1.0, 0.25), Logit(1e-6), Logit(0.05)])


def _base(d=D):
    return DiagonalGaussian(torch.randn(d, dtype=F64), torch.rand(d, dtype=F64) + 0.1)


@MAPS
def test_log_det_is_autograds_and_the_inverse_undoes_the_map(f):
    x = 255 * torch.rand(N, D, dtype=F64) + 0.5
    y, log_det = f.forward(x)
    torch.testing.assert_close(f.inverse(y), x, rtol=1e-9, atol=1e-7)
    for i in range(N):
        jacobian = torch.autograd.functional.jacobian(lambda v: f.forward(v[None])[0][0], x[i])
        torch.testing.assert_close(log_det[i], torch.linalg.slogdet(jacobian).logabsdet, rtol=1e-9, atol=1e-9)


def test_affine_gives_torchs_transformed_density_I63():
    base, x = _base(), torch.randn(N, D, dtype=F64)
    got = Transformed(base, Affine(3.0, 20.0)).log_prob(x)
    inner = td.Independent(td.Normal(base.mean, base.var.sqrt()), 1)
    want = td.TransformedDistribution(inner, [td.AffineTransform(3.0, 20.0, event_dim=1)]).log_prob(x)
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)


def test_logit_gives_torchs_transformed_density_I63():
    lam, base, x = 0.05, _base(), 255 * torch.rand(N, D, dtype=F64) + 0.5
    inner = td.Independent(td.Normal(base.mean, base.var.sqrt()), 1)
    chain = [
        td.SigmoidTransform(),
        td.AffineTransform(-lam / (1 - 2 * lam), 1 / (1 - 2 * lam)),
        td.AffineTransform(0.0, 256.0),
    ]
    want = td.TransformedDistribution(inner, chain).log_prob(x)
    torch.testing.assert_close(Transformed(base, Logit(lam)).log_prob(x), want, rtol=1e-9, atol=1e-9)


def test_equations_as_printed_I60():
    lam, x, base = 1e-6, 255 * torch.rand(N, 1, dtype=F64) + 0.5, _base(1)
    y = torch.logit(lam + (1 - 2 * lam) * x / 256)  # eq-dist-logit
    torch.testing.assert_close(Logit(lam).forward(x)[0], y, rtol=1e-10, atol=1e-10)
    a = (lam + (1 - 2 * lam) * x / 256).requires_grad_()
    slope = torch.autograd.grad(torch.logit(a).sum(), a)[0] * (1 - 2 * lam) / 256
    density = base.log_prob(y).exp() * slope.abs().squeeze(1)  # eq-dist-change
    torch.testing.assert_close(Transformed(base, Logit(lam)).log_prob(x).exp(), density, rtol=1e-9, atol=1e-12)


def test_a_transformed_density_integrates_to_the_share_of_the_base_inside():
    for base_mean in (-2.0, 0.0, 3.0):
        base = DiagonalGaussian(torch.tensor([base_mean], dtype=F64), torch.tensor([1.5], dtype=F64))
        x = (torch.arange(256_000, dtype=F64)[:, None] + 0.5) / 1_000
        total = Transformed(base, Logit(0.01)).log_prob(x).exp().sum() / 1_000
        ends = Logit(0.01).forward(torch.tensor([[0.0], [256.0]], dtype=F64))[0].squeeze(1)
        share = td.Normal(base.mean, base.var.sqrt()).cdf(ends).diff().squeeze()
        torch.testing.assert_close(total, share, rtol=1e-5, atol=1e-5)


def test_dequantising_gives_a_lower_bound_of_the_true_log_probability():
    """eq-dist-dequantise on one pixel, where the integral over a cell is a difference of two cumulative probabilities."""
    base, lam = DiagonalGaussian(torch.tensor([-3.0], dtype=F64), torch.tensor([9.0], dtype=F64)), 1e-6
    model = Transformed(base, Logit(lam))
    g = torch.arange(256)
    u = (torch.arange(2_000, dtype=F64) + 0.5) / 2_000
    expected = model.log_prob((g[:, None] + u).reshape(-1, 1)).reshape(256, -1).mean(1)
    edges = Logit(lam).forward(torch.arange(257, dtype=F64)[:, None])[0].squeeze(1)
    exact = td.Normal(base.mean, base.var.sqrt()).cdf(edges).diff().log()
    assert (expected <= exact + 1e-9).all()
    assert (exact - expected).max() > 0.05  # a bound, not an equality
    assert exact.exp().sum() < 1 + 1e-9


def test_the_bound_is_tight_for_a_density_that_is_flat_in_each_cell():
    p = Categorical(torch.randn(1, 256, dtype=F64))
    g = torch.randint(256, (N, 1))
    inside = dequantise(g, torch.Generator().manual_seed(0)).long()
    torch.testing.assert_close(p.log_prob(inside), p.log_prob(g))


def test_dequantise_stays_in_the_cell_of_its_level_and_fills_it():
    g = torch.arange(256)[:, None].expand(256, 2_000)
    x = dequantise(g, torch.Generator().manual_seed(0))
    assert torch.equal(x.floor().long(), g)
    assert torch.equal(x, dequantise(g, torch.Generator().manual_seed(0)))
    assert abs((x - g).mean() - 0.5) < 0.005
    assert abs((x - g).var() - 1 / 12) < 0.002


def test_bits_per_dim_of_the_uniform_is_eight_whatever_the_units():
    uniform = torch.full((N,), -D * math.log(256), dtype=F64)
    torch.testing.assert_close(bits_per_dim(uniform, D), torch.full((N,), 8.0, dtype=F64))
    unit = torch.zeros(N, dtype=F64)  # the same uniform for pixels in [0, 1]
    torch.testing.assert_close(bits_per_dim(unit, D), torch.zeros(N, dtype=F64))
    torch.testing.assert_close(
        bits_per_dim(torch.full((N,), -1.0, dtype=F64), D), torch.full((N,), 1 / (D * math.log(2)), dtype=F64)
    )


def test_scaling_pixels_to_one_shifts_the_score_by_exactly_eight_bits():
    base, x = _base(), 255 * torch.rand(N, D, dtype=F64)
    grey = Transformed(base, Affine(0.0, 256.0)).log_prob(x)
    scaled = base.log_prob(x / 256)
    shift = bits_per_dim(grey, D) - bits_per_dim(scaled, D)
    torch.testing.assert_close(shift, torch.full((N,), 8.0, dtype=F64))


def test_a_density_on_undisturbed_levels_has_no_bottom_and_a_dequantised_one_has():
    g = torch.randint(4, (400, 1))
    scores = []
    for floor in (1e-2, 1e-6, 1e-10):
        spike = DiagonalGaussian(torch.zeros(1, dtype=F64), torch.full((1,), floor, dtype=F64))
        scores.append(bits_per_dim(spike.log_prob(torch.zeros(9, 1, dtype=F64)), 1).mean().item())
    assert scores[0] > scores[1] > scores[2]
    assert scores[2] < -10
    x = dequantise(g, torch.Generator().manual_seed(0)).to(F64)
    best = DiagonalGaussian.fit(x, floor=1e-10)
    assert bits_per_dim(best.log_prob(x), 1).mean() > 2  # four levels, equally likely: no code does it in less


def test_samples_of_the_transformed_lie_in_the_range_of_grey_values():
    x = Transformed(_base(), Logit(1e-6)).sample(500, torch.Generator().manual_seed(0))
    assert x.min() > -1e-3
    assert x.max() < 256 + 1e-3


def test_bad_input_is_one_clear_error_each():
    g = torch.Generator()
    with rejects("scale"):
        Affine(0.0, 0.0)
    with rejects("lam"):
        Logit(0.5)
    with rejects("0 to 256"):
        Logit().forward(torch.full((N, D), -1.0))
    with rejects("NaN"):
        Logit().forward(torch.full((N, D), torch.nan))
    with rejects("axes"):
        Logit().inverse(torch.zeros(D))
    with rejects("axes"):
        Affine(0.0, 1.0).forward(torch.zeros(D))
    with rejects("to_display"):
        dequantise(torch.full((N, D), -1.0), g)
    with rejects("to_display"):
        dequantise(torch.full((N, D), 0.5), g)
    with rejects("empty"):
        dequantise(torch.zeros(0, D), g)
    with rejects("NaN"):
        dequantise(torch.full((N, D), torch.nan), g)
    with rejects("dims"):
        bits_per_dim(torch.zeros(N), 0)
    with rejects("axes"):
        bits_per_dim(torch.zeros(N, D), D)
    with rejects("NaN"):
        bits_per_dim(torch.tensor([-math.inf]), D)
