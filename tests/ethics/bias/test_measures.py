"""Skew: closed forms by enumeration, weights that make independent, measures at their ends, aims that exclude each other."""

import pytest
import torch

from companion.ethics.bias.measures import (
    amplification,
    class_shares,
    fidelity_gap,
    guided_share,
    independence_weights,
    parity_gap,
)


def example() -> tuple[torch.Tensor, torch.Tensor]:
    """Class 0: 1 of 4 has the attribute; class 1: 5 of 6."""
    return torch.tensor([0] * 4 + [1] * 6), torch.tensor([True] + [False] * 3 + [True] * 5 + [False])


def test_class_shares_count() -> None:
    assert torch.allclose(class_shares(*example(), 2), torch.tensor([1 / 4, 5 / 6], dtype=torch.float64))


def test_guided_share_is_the_tilted_distribution_by_enumeration() -> None:
    """p(a)^(1-w) p(a|c)^w over the two values of a, normalised."""
    shares, overall = torch.tensor([0.1, 0.35, 0.9], dtype=torch.float64), 0.6
    for w in (0.0, 0.5, 1.0, 2.0, 3.5):
        yes = overall ** (1 - w) * shares**w
        no = (1 - overall) ** (1 - w) * (1 - shares) ** w
        assert torch.allclose(guided_share(shares, overall, w), yes / (yes + no))


def test_guidance_at_its_ends() -> None:
    shares = torch.tensor([0.1, 0.35, 0.9])
    assert torch.allclose(guided_share(shares, 0.6, 1.0), shares)
    assert torch.allclose(guided_share(shares, 0.6, 0.0), torch.full((3,), 0.6))
    assert guided_share(shares, 0.5, 50.0).tolist() == pytest.approx([0, 0, 1], abs=1e-6)


def test_guidance_leaves_what_the_class_does_not_change() -> None:
    """A class whose share is the overall one stays, however strong the guidance: also when that share is not one half."""
    assert float(guided_share(torch.tensor([0.7]), 0.7, 4.0)) == pytest.approx(0.7)


def test_weights_make_class_and_attribute_independent_and_keep_both() -> None:
    labels, attribute = example()
    w = independence_weights(labels, attribute, 2)
    assert float(w.mean()) == pytest.approx(1)
    overall = float(attribute.double().mean())
    for c in (0, 1):
        of_class = labels == c
        assert float(w[of_class].sum()) == pytest.approx(float(of_class.sum()))
        assert float((w * attribute)[of_class].sum() / w[of_class].sum()) == pytest.approx(overall)


def test_measures_of_a_faithful_a_fair_and_an_amplifying_model() -> None:
    data = torch.tensor([0.2, 0.5, 0.8])
    assert amplification(data, data) == fidelity_gap(data, data) == 0
    assert parity_gap(data) == pytest.approx(0.6)
    fair = torch.full((3,), 0.5)
    assert parity_gap(fair) == 0
    assert fidelity_gap(data, fair) == pytest.approx(0.2)
    assert amplification(data, fair) == pytest.approx(-0.2)
    assert amplification(data, torch.tensor([0.0, 0.5, 1.0])) == pytest.approx(0.4 / 3)


def test_debiased_by_one_number() -> None:
    """The mistake: amplification zero, and every class wrong. Opposite errors cancel; the fidelity gap sees them."""
    data, drawn = torch.tensor([0.8, 0.8]), torch.tensor([1.0, 0.6])
    assert amplification(data, drawn) == pytest.approx(0, abs=1e-7)
    assert fidelity_gap(data, drawn) == pytest.approx(0.2)


def test_no_model_has_parity_and_fidelity_where_the_data_are_skewed() -> None:
    """Enumerated on a grid of all models of two classes: the two gaps together are at least half of the data's own gap."""
    data = torch.tensor([0.2, 0.8])
    steps = [i / 20 for i in range(21)]
    least = min(parity_gap(m) + 2 * fidelity_gap(data, m) for a in steps for b in steps for m in [torch.tensor([a, b])])
    assert least == pytest.approx(parity_gap(data), abs=1e-6)


def test_clear_errors() -> None:
    with pytest.raises(ValueError, match="class 1"):
        class_shares(torch.tensor([0, 0, 2]), torch.tensor([True, False, True]), 3)
    with pytest.raises(ValueError, match="overall"):
        guided_share(torch.tensor([0.5]), 1.0, 2.0)
