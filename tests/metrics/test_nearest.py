"""Nearest neighbours and the copying test: against loops, against all labellings, and with a known copier."""

import itertools

import pytest
import torch

from companion.data import small_digits
from companion.metrics.nearest import copying_test, extracted, nearest
from tests.conftest import rejects


def images(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, 1, 3, 2, generator=torch.Generator().manual_seed(seed))


def test_nearest_equals_a_loop() -> None:
    queries, references = images(5, 0), images(7, 1)
    found = nearest(queries, references, k=3)
    for i, query in enumerate(queries):
        distances = torch.stack([(query - r).square().sum().sqrt() for r in references])
        torch.testing.assert_close(found.distance[i], distances.sort().values[:3])
        assert found.index[i].tolist() == distances.argsort()[:3].tolist()


def test_a_copy_far_from_the_origin_is_at_distance_zero_I56() -> None:
    """|a|² + |b|² - 2ab in float32 would say about 0.1 here."""
    references = images(40, 0) + 1000
    assert nearest(references[:30], references).distance.max() == 0


def test_null_is_every_relabelling_in_the_limit() -> None:
    """All ways to call 3 of 6 images the training set: mean, spread and p-value are those of the enumeration."""
    samples, pool = images(11, 3), images(6, 4)
    hits = torch.bincount(nearest(samples, pool).index[:, 0], minlength=6)
    shares = torch.tensor([hits[list(c)].sum() / 11 for c in itertools.combinations(range(6), 3)], dtype=torch.float64)
    assert shares.mean() == pytest.approx(0.5, abs=1e-6)
    result = copying_test(samples, pool[:3], pool[3:], torch.Generator().manual_seed(0), permutations=20_000)
    assert float(result.null.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(result.null.std()) == pytest.approx(float(shares.std(correction=0)), abs=0.01)
    exact = float((shares >= result.share - 1e-6).double().mean())
    assert result.p_value == pytest.approx(exact, abs=0.02)


def test_p_values_of_honest_samples_are_uniform() -> None:
    """Fresh data in the samples' place: the test says "copied, p <= 0.1" in about one of ten cases."""
    p_values = []
    for seed in range(200):
        pool = torch.randn(90, 4, generator=torch.Generator().manual_seed(seed))
        p_values.append(copying_test(pool[:30], pool[30:60], pool[60:], torch.Generator().manual_seed(0), 99).p_value)
    assert 0.04 < sum(p <= 0.1 for p in p_values) / 200 < 0.17


def test_a_copier_of_digits_is_caught_and_held_out_digits_are_not() -> None:
    x = small_digits("train").images
    train, held_out, fresh = x[:500], x[500:1000], x[1000:1300]
    generator = torch.Generator().manual_seed(0)
    copies = train[:200] + 0.1 * torch.randn(train[:200].shape, generator=generator)
    assert copying_test(copies, train, held_out, generator).p_value <= 0.001
    honest = copying_test(fresh, train, held_out, generator)
    assert honest.p_value > 0.01 and abs(honest.share - 0.5) < 0.15
    threshold = float(nearest(fresh, train).distance.quantile(0.01))
    hit = extracted(copies, train, threshold)
    assert hit[:200].float().mean() > 0.95 and hit[200:].sum() == 0
    assert extracted(fresh, train, threshold).float().mean() < 0.02


def test_order_of_the_samples_does_not_matter() -> None:
    samples, train, held_out = images(9, 0), images(5, 1), images(5, 2)
    a = copying_test(samples, train, held_out, torch.Generator().manual_seed(0))
    b = copying_test(samples.flip(0), train, held_out, torch.Generator().manual_seed(0))
    assert (a.share, a.p_value) == (b.share, b.p_value)
    assert extracted(samples, train, 1.5).equal(extracted(samples.flip(0), train, 1.5))


def test_bad_input() -> None:
    a, b = images(4, 0), images(5, 1)
    with rejects("equal axes"):
        nearest(a, b.flatten(1))
    with rejects("no empty axis"):
        nearest(a, b[:0])
    with rejects("k: got 6"):
        nearest(a, b, k=6)
    with rejects("NaN"):
        nearest(a * torch.nan, b)
    with rejects(r"held_out: got shape \(3, 1, 3, 2\), .* with m = 5, not 3 \(m = 5 in train\)"):
        copying_test(a, b, b[:3], torch.Generator())
    with rejects("permutations"):
        copying_test(a, b, b, torch.Generator(), permutations=0)
    with rejects("threshold"):
        extracted(a, b, -1.0)
