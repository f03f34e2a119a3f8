"""The fully visible belief net: a distribution, exactly."""

import itertools

import pytest
import torch

from companion.data import small_digits
from companion.foundations.belief_net import BeliefNet, negative_log_likelihood
from companion.foundations.distributions.families import Bernoulli
from companion.training import TrainConfig, train
from tests.conftest import rejects


@pytest.fixture
def model() -> BeliefNet:
    net = BeliefNet(6).double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        net.weight.copy_(torch.randn(6, 6, generator=generator))  # also above the diagonal, where it must not count
        net.bias.copy_(torch.randn(6, generator=generator))
    return net


def everything(d: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=d)), dtype=torch.float64)


def test_the_probabilities_of_all_vectors_sum_to_one(model: BeliefNet) -> None:
    assert model.log_prob(everything(6)).exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_the_equation_as_printed(model: BeliefNet) -> None:
    """eq-foundations-chain and eq-foundations-context, factor by factor (I60)."""
    x = everything(6)[37]
    product = 1.0
    for i in range(6):
        logit = model.bias[i] + sum(model.weight[i, j] * x[j] for j in range(i))
        one = 1 / (1 + torch.exp(-logit))
        product *= one if x[i] == 1 else 1 - one
    assert model.log_prob(x[None]).item() == pytest.approx(product.log().item(), abs=1e-12)


def test_a_logit_depends_on_earlier_elements_only(model: BeliefNet) -> None:
    x = torch.rand(1, 6, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: model(v)[0], x)[:, 0]
    assert torch.equal(jacobian, jacobian.tril(-1))
    assert (jacobian.tril(-1) != 0).sum() == 15


def test_samples_have_the_model_frequencies(model: BeliefNet) -> None:
    n = 40_000
    model = model.float()
    x = model.sample(n, torch.Generator().manual_seed(0))
    codes = (x.long() * 2 ** torch.arange(5, -1, -1)).sum(1)
    wanted = model.log_prob(everything(6).float()).exp()
    counts = torch.bincount(codes, minlength=64)
    chi2 = ((counts - n * wanted) ** 2 / (n * wanted)).sum().item()
    assert chi2 < 110  # 63 degrees of freedom: 99.98 % of such sums are smaller


def test_it_beats_independent_pixels_on_held_out_digits() -> None:
    images = {split: (small_digits(split).images.flatten(1) > 0).float() for split in ("train", "test")}
    net = BeliefNet(64)
    train(net, negative_log_likelihood, (images["train"],), TrainConfig(steps=300, lr=0.02, weight_decay=0.1))
    alone = Bernoulli.fit(images["train"], floor=1e-3).log_prob(images["test"]).mean()
    assert net.log_prob(images["test"]).mean() > alone + 5


def test_bad_input(model: BeliefNet) -> None:
    with rejects("only 0 and 1"):
        model.log_prob(torch.full((2, 6), 0.5, dtype=torch.float64))
    with rejects("d = "):
        model.log_prob(torch.zeros(2, 5, dtype=torch.float64))
    with rejects("n"):
        model.sample(0, torch.Generator())
    with rejects("dims"):
        BeliefNet(0)
