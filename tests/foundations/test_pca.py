"""Principal components: against scikit-learn, against the covariance's eigenvectors, with more dimensions than examples."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.foundations.pca import fit_pca
from tests.conftest import rejects


def data(n: int, d: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return mixed @ torch.randn(d, d, generator=generator, dtype=torch.float64) + torch.arange(d)


@pytest.mark.parametrize(("n", "d", "k"), [(200, 6, 3), (7, 30, 5), (5, 5, 4)])
def test_codes_are_scikit_learns_but_for_signs(n: int, d: int, k: int) -> None:
    from sklearn.decomposition import PCA

    x, reference = data(n, d), PCA(n_components=k)
    theirs = torch.from_numpy(reference.fit_transform(x.numpy()))
    ours = fit_pca(x)
    torch.testing.assert_close(ours.encode(x, k).abs(), theirs.abs())
    # scikit-learn divides by n - 1.
    wanted = torch.from_numpy(reference.explained_variance_) * (n - 1) / n
    torch.testing.assert_close(ours.eigenvalues[:k], wanted)


def test_axes_are_the_covariances_eigenvectors() -> None:
    x = data(50, 6)
    pca = fit_pca(x)
    covariance = torch.cov(x.T, correction=0)
    torch.testing.assert_close(covariance @ pca.axes, pca.axes * pca.eigenvalues)
    torch.testing.assert_close(pca.axes.T @ pca.axes, torch.eye(6, dtype=torch.float64))


@settings(max_examples=20, deadline=None)
@given(d=st.integers(2, 6), n=st.integers(2, 20), seed=st.integers(0, 99))
def test_all_axes_give_the_data_back(d: int, n: int, seed: int) -> None:
    x = data(n, d, seed)
    pca = fit_pca(x)
    torch.testing.assert_close(pca.decode(pca.encode(x, min(n, d))), x, rtol=0, atol=1e-9)
    lost = ((x - pca.decode(pca.encode(x, 1))) ** 2).sum(1).mean()
    torch.testing.assert_close(lost, pca.eigenvalues[1:].sum(), rtol=0, atol=1e-9)
    assert (pca.eigenvalues.diff() <= 1e-12).all()


def test_one_example_varies_along_nothing() -> None:
    pca = fit_pca(torch.tensor([[3.0, -2.0]]))
    assert pca.mean.tolist() == [3, -2] and pca.eigenvalues.tolist() == [0]


@pytest.mark.parametrize(
    "x", [torch.zeros(5), torch.zeros(0, 3), torch.full((4, 3), math.nan), torch.zeros(4, 3).int()]
)
def test_bad_data(x: torch.Tensor) -> None:
    with rejects("x"):
        fit_pca(x)


def test_sizes_must_fit() -> None:
    pca = fit_pca(data(20, 6))
    with rejects("x"):
        pca.encode(torch.zeros(4, 5).double(), 2)
    for latent in (0, 7):
        with rejects("latent"):
            pca.encode(data(20, 6), latent)
    with rejects("latent"):
        pca.decode(torch.zeros(2, 7).double())
