"""The first network's loop: equal to torch's own, its gradient to a formula, its batches right on average."""

import itertools
import math

import pytest
import torch
from torch import nn

from companion.foundations.first_network import CurveNet, descend, fit, mean_squared_error
from companion.training import TrainConfig, train
from tests.conftest import gen, rejects


def points(n=7, seed=0):
    x = 2 * torch.rand(n, 1, generator=gen(seed)) - 1
    return x, torch.sin(4 * x) + 0.3


def test_the_network_is_torchs_of_three_layers():
    net = CurveNet(5)
    theirs = nn.Sequential(nn.Linear(1, 5), nn.Tanh(), nn.Linear(5, 1))
    with torch.no_grad():
        for own, parameter in zip((net.w[:, None], net.b, net.v[None], net.c), theirs.parameters(), strict=True):
            parameter.copy_(own)
    x, _ = points()
    torch.testing.assert_close(net(x), theirs(x))
    assert net(x).shape == (7, 1) and net.bends(x).shape == (7, 5)


def test_bends_start_where_the_data_are_and_no_steeper_than_asked():
    net = CurveNet(2000, steepness=3.0)
    where = (-net.b / net.w).detach()
    assert where.abs().max() <= 1.0001 and abs(float(where.mean())) < 0.05
    assert 2.9 < float(net.w.detach().abs().max()) <= 3.0
    assert float(net.v.detach().square().sum()) == pytest.approx(1, abs=0.15)


def test_the_loss_is_sklearns():
    from sklearn.metrics import mean_squared_error as theirs

    x, y = points()
    assert float(mean_squared_error(x, y)) == pytest.approx(theirs(y, x), rel=1e-6)


def test_the_gradient_of_a_line_is_the_formulas():
    """dL/da = 2 mean((a x + c - y) x) and dL/dc = 2 mean(a x + c - y)."""
    x, y = points()
    line = nn.Linear(1, 1)
    mean_squared_error(line(x), y).backward()
    off = line(x) - y
    torch.testing.assert_close(line.weight.grad[0, 0], 2 * (off * x).mean())
    torch.testing.assert_close(line.bias.grad[0], 2 * off.mean())


def test_descending_is_torchs_sgd_and_leaves_no_gradient():
    (x, y), ours, theirs = points(), CurveNet(4), CurveNet(4)
    theirs.load_state_dict(ours.state_dict())
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for _ in range(3):
        mean_squared_error(ours(x), y).backward()
        descend(ours, 0.1)
        assert all(parameter.grad is None for parameter in ours.parameters())
        optimizer.zero_grad()
        mean_squared_error(theirs(x), y).backward()
        optimizer.step()
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[name])


def test_fitting_a_line_finds_the_least_squares():
    x, y = points()
    line = nn.Linear(1, 1)
    fit(line, torch.optim.SGD(line.parameters(), lr=0.3), (x, y), steps=400)
    design = torch.cat([x, torch.ones_like(x)], 1)
    best = torch.linalg.lstsq(design, y).solution
    torch.testing.assert_close(torch.cat([line.weight[:, 0], line.bias]).detach()[:, None], best, rtol=1e-3, atol=1e-4)


def test_what_is_seen_is_before_the_step_and_after_it():
    (x, y), other, net = points(), points(5, seed=1), CurveNet(3)
    before = mean_squared_error(net(x), y).item()
    seen = fit(net, torch.optim.SGD(net.parameters(), lr=0.05), (x, y), steps=4, valid=other)
    assert seen.train[0] == before and len(seen.train) == len(seen.valid) == 4
    assert seen.valid[-1] == mean_squared_error(net(other[0]), other[1]).item()
    assert seen.best == 1 + min(range(4), key=seen.valid.__getitem__)


def upside_down():
    """Validation points of another curve: what fits the training points better fits these worse."""
    x, y = points(5, seed=1)
    return x, -y


def test_early_stopping_gives_back_the_best_weights():
    (x, y), other, net = points(), upside_down(), CurveNet(3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    seen = fit(net, optimizer, (x, y), steps=30, valid=other, keep_best=True)
    assert seen.best < 30
    assert mean_squared_error(net(other[0]), other[1]).item() == min(seen.valid)


def test_without_early_stopping_the_last_weights_stay():
    (x, y), other, net = points(), upside_down(), CurveNet(3)
    seen = fit(net, torch.optim.SGD(net.parameters(), lr=0.1), (x, y), steps=30, valid=other)
    assert mean_squared_error(net(other[0]), other[1]).item() == seen.valid[-1] != min(seen.valid)


def test_the_mean_over_all_batches_is_the_whole_gradient():
    (x, y), net = points(6), CurveNet(3)

    def gradient(chosen):
        return torch.autograd.grad(mean_squared_error(net(x[chosen]), y[chosen]), net.w)[0]

    batches = [gradient(list(chosen)) for chosen in itertools.combinations(range(6), 2)]
    assert len(batches) == math.comb(6, 2)
    torch.testing.assert_close(torch.stack(batches).mean(0), gradient(list(range(6))))


def test_batches_come_from_the_generator_without_repeats():
    x, y = points(6)

    class Watch(nn.Linear):
        def forward(self, x):
            read.append(x.detach()[:, 0].tolist())
            return super().forward(x)

    reads = []
    for seed in (3, 3, 4):
        read = []
        line = Watch(1, 1)
        fit(line, torch.optim.SGD(line.parameters(), lr=0.1), (x, y), steps=5, batch_size=4, generator=gen(seed))
        reads.append(read)
    assert reads[0] == reads[1] != reads[2]
    assert all(len(set(batch)) == 4 for batch in reads[0]) and len({tuple(sorted(batch)) for batch in reads[0]}) > 1


def test_gradients_do_not_pile_up():
    """Known slip: without zero_grad the second step goes along the sum of two gradients."""
    (x, y), net = points(), CurveNet(3)
    start = {name: value.clone() for name, value in net.state_dict().items()}
    fit(net, torch.optim.SGD(net.parameters(), lr=0.1), (x, y), steps=2)
    twice = CurveNet(3)
    twice.load_state_dict(start)
    for _ in range(2):
        mean_squared_error(twice(x), y).backward()
        descend(twice, 0.1)
    torch.testing.assert_close(net.v, twice.v)


def test_bad_input():
    (x, y), net = points(), CurveNet(2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with rejects(r"points: got \(7, 1\) and \(6, 1\)"):
        fit(net, optimizer, (x, y[:6]), steps=1)
    with rejects("batches of 8 with a generator"):
        fit(net, optimizer, (x, y), steps=1, batch_size=8, generator=gen())
    with rejects("batches of 3 without a generator"):
        fit(net, optimizer, (x, y), steps=1, batch_size=3)
    with rejects("valid: got none"):
        fit(net, optimizer, (x, y), steps=1, keep_best=True)
    with rejects("steps"):
        fit(net, optimizer, (x, y), steps=0)
    with rejects("hidden"):
        CurveNet(0)
    with rejects("steepness"):
        CurveNet(2, steepness=0.0)


def test_the_packages_training_is_the_same_loop():
    """`companion.training.train` without schedule, averaging and clipping: the same losses, the same weights."""
    (x, y), ours, theirs = points(8), CurveNet(4), CurveNet(4)
    theirs.load_state_dict(ours.state_dict())
    how = {"lr": 0.02, "betas": (0.9, 0.99), "weight_decay": 0.0}
    seen = fit(ours, torch.optim.AdamW(ours.parameters(), **how), (x, y), steps=6)
    config = TrainConfig(steps=6, batch_size=8, warmup=0.0, final_lr=1.0, clip=1e9, seed=0, **how)
    found = train(theirs, lambda model, batch, _: mean_squared_error(model(batch[0]), batch[1]), (x, y), config)
    torch.testing.assert_close(torch.tensor(found.history.loss), torch.tensor(seen.train))
    torch.testing.assert_close(found.model.v, ours.v)
