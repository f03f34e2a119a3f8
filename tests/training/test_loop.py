"""The loop: what a step does, what the result is, what is refused."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from companion.training import (
    EMA,
    History,
    TrainConfig,
    TrainingDiverged,
    Updater,
    mean_over_examples,
    train,
)
from companion.training import loop as training
from companion.training.batches import Batches
from tests.conftest import rejects
from tests.training.problems import Awkward, evaluation, net, noisy, regression, squared, weights


def test_accumulated_parts_give_the_gradient_of_the_batch_I40():
    """1 × 16 and 4 × 4 give the same weights after several updates."""
    runs = {
        parts: train(net(), squared, regression(), TrainConfig(steps=6, batch_size=16, accumulate=parts))
        for parts in (1, 4)
    }
    whole, parts = runs[1], runs[4]
    torch.testing.assert_close(weights(parts.model), weights(whole.model), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.tensor(parts.history.grad_norm), torch.tensor(whole.history.grad_norm))
    torch.testing.assert_close(torch.tensor(parts.history.loss), torch.tensor(whole.history.loss))


def test_the_loop_is_the_one_written_by_hand():
    """Equal, bit for bit, to the plain torch loop that a reader would write."""
    config = TrainConfig(steps=12, batch_size=16, lr=0.02, weight_decay=0.1, clip=0.3, seed=4)
    result = train(net(), squared, regression(), config)
    model, losses = net(), []
    matrices = [model[0].weight, model[2].weight]
    vectors = [model[0].bias, model[2].bias]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        betas=(0.9, 0.99),
        fused=True,
    )
    batches = Batches(regression(), 16, 4)
    for step in range(12):
        x, y = batches(step)
        value = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.3)
        for group in optimizer.param_groups:
            group["lr"] = config.lr_at(step)
        optimizer.step()
        losses.append(value.item())
    assert torch.equal(weights(result.model), weights(model))
    assert result.history.loss == losses
    assert result.history.lr == [config.lr_at(step) for step in range(12)]
    assert len(result.history.grad_norm) == 12 and result.seconds > 0


def test_the_result_holds_the_averaged_weights_I55():
    config = TrainConfig(steps=30, batch_size=8, ema=0.9, lr=0.02)
    model = net()
    result = train(model, squared, regression(), config)
    model_by_hand = net()
    updater = Updater(model_by_hand, config)
    average = EMA(model_by_hand, 0.9)
    batches = Batches(regression(), 8, 0)
    for step in range(30):
        squared(model_by_hand, batches(step), None).backward()
        updater.step()
        average.update(model_by_hand)
    assert result.model is not model
    assert torch.equal(weights(model), weights(model_by_hand))
    assert torch.equal(weights(result.model), weights(average.model))
    assert not torch.equal(weights(result.model), weights(model))
    assert all(p.requires_grad for p in result.model.parameters()), "it can be trained further"
    assert train(net(), squared, regression(), TrainConfig(steps=2)).model.training is False


def test_same_seed_same_bits_other_seed_other_run():
    def run(seed: int) -> torch.Tensor:
        return weights(train(Awkward(), noisy, regression(), TrainConfig(steps=8, batch_size=8, seed=seed)).model)

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))


def test_dropout_and_noise_differ_from_step_to_step():
    seen = []

    def watch(model, batch, generator):
        seen.append((tuple(F.dropout(torch.ones(32)).tolist()), float(torch.rand((), generator=generator))))
        return squared(model, batch, generator)

    train(net(), watch, regression(), TrainConfig(steps=5, batch_size=8, accumulate=2))
    assert len(set(seen)) == len(seen) == 10


def test_training_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    wanted = torch.rand(2)
    torch.manual_seed(5)
    model = Awkward()
    torch.manual_seed(5)
    train(model, noisy, regression(), TrainConfig(steps=3, batch_size=8), evaluate=evaluation)
    assert torch.equal(torch.rand(2), wanted)


def test_evaluation_sees_the_right_model_in_the_right_mode_and_changes_nothing_I27():
    config = TrainConfig(steps=7, batch_size=8, ema=0.5)
    model, seen = Awkward(), []

    def evaluate(best):
        seen.append((best is model, best.training, best.body[2].training, torch.is_grad_enabled()))
        torch.rand(100)  # draws from the global generator, as sampling would
        return {"error": torch.tensor(0.5), "step": len(seen)}

    watched = train(model, noisy, regression(), config, evaluate=evaluate, evaluate_every=3)
    plain = train(Awkward(), noisy, regression(), config)
    assert watched.history.evaluated_at == [3, 6, 7]
    assert watched.history.evaluations == [{"error": 0.5, "step": float(i)} for i in (1, 2, 3)]
    assert seen == [(False, False, False, False)] * 3, "the averaged weights, in evaluation mode, without a graph"
    assert torch.equal(weights(watched.model), weights(plain.model))
    assert watched.history.loss == plain.history.loss


def test_training_goes_on_in_training_mode_after_an_evaluation_I27():
    modes = []

    def watch(model, batch, generator):
        modes.append(model.training)
        return squared(model, batch, generator)

    train(net(), watch, regression(), TrainConfig(steps=4), evaluate=lambda m: {}, evaluate_every=1)
    assert modes == [True] * 4


def test_bf16_computes_in_bf16_and_keeps_weights_in_fp32():
    dtypes = set()

    def watch(model, batch, generator):
        out = model(batch[0])
        dtypes.add(out.dtype)
        return F.mse_loss(out, batch[1])

    config = TrainConfig(steps=150, batch_size=32, lr=0.02, precision="bf16")
    result = train(net(), watch, regression(), config)
    assert dtypes == {torch.bfloat16}
    assert {p.dtype for p in result.model.parameters()} == {torch.float32}
    single = train(net(), squared, regression(), TrainConfig(steps=150, batch_size=32, lr=0.02))
    ours, theirs = (r.history.smoothed_loss()[-1] for r in (result, single))
    assert ours == pytest.approx(theirs, rel=0.05), "bf16 ends where fp32 does"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_names_the_step_and_leaves_its_weights(bad):
    model, at = net(), []

    def explode(model, batch, generator):
        at.append(weights(model))
        return squared(model, batch, generator) * (bad if len(at) == 6 else 1.0)

    with rejects("step 5 of 9.*lower the learning rate", TrainingDiverged):
        train(model, explode, regression(), TrainConfig(steps=9))
    assert len(at) == 6 and torch.equal(weights(model), at[-1]) and weights(model).isfinite().all()


def test_old_gradients_do_not_enter_the_first_step():
    model = net()
    (1000 * model(torch.ones(2, 3))).sum().backward()
    result = train(model, squared, regression(), TrainConfig(steps=3))
    assert torch.equal(weights(result.model), weights(train(net(), squared, regression(), TrainConfig(steps=3)).model))


def test_it_learns_more_than_a_line_can():
    """Better than the best linear predictor on held-out data: least squares leaves the product x₁x₂x₃ unexplained."""
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(600, 3, generator=generator) * 4 - 2
    y = torch.stack([x.sum(1), x.prod(1)], 1)
    ones = torch.cat([x, torch.ones(600, 1)], 1)
    line = torch.linalg.lstsq(ones[:500], y[:500]).solution
    baseline = F.mse_loss(ones[500:] @ line, y[500:]).item()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 2))
    config = TrainConfig(steps=800, batch_size=64, lr=0.02, ema=0.99)
    result = train(model, squared, (x[:500], y[:500]), config)
    with torch.no_grad():
        assert F.mse_loss(result.model(x[500:]), y[500:]).item() < 0.5 * baseline


def test_the_mean_over_examples_does_not_depend_on_the_batch_size_I42_I5():
    x = torch.randn(23, 4, generator=torch.Generator().manual_seed(0)) * torch.arange(23.0)[:, None]
    exact = float(x.double().square().sum(1).mean())
    for size in (1, 2, 5, 7, 22, 23, 1000):
        assert mean_over_examples(lambda part: part.square().sum(1), (x,), batch_size=size) == pytest.approx(
            exact, 1e-6
        )
    naive = sum(float(x[i : i + 7].square().sum(1).mean()) for i in range(0, 23, 7)) / 4
    assert abs(naive - exact) > 0.01 * exact, "the mean of the batches' means is another number"
    with rejects(r"got shape \(\), wanted one number an example"):
        mean_over_examples(lambda part: part.sum(), (x,))
    with rejects("got float"):
        mean_over_examples(lambda part: 0.5, (x,))
    with rejects("batch_size"):
        mean_over_examples(lambda part: part.sum(1), (x,), batch_size=0)
    with rejects("at least 1"):
        mean_over_examples(lambda part: part.sum(1), (x[:0],))


def test_smoothed_loss_is_a_running_mean():
    history = History(loss=[1.0, 2.0, 6.0, 3.0])
    assert history.smoothed_loss(2) == [1.0, 1.5, 4.0, 4.5]
    assert history.smoothed_loss(9) == pytest.approx([1.0, 1.5, 3.0, 3.0])
    assert History().smoothed_loss() == []
    with rejects("window"):
        history.smoothed_loss(0)


def test_progress_is_silent_for_short_runs_and_can_be_turned_off(monkeypatch, capsys):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    bars = []

    class Spy(training.tqdm):
        def __init__(self, *arguments, **options):
            bars.append(options)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(training, "tqdm", Spy)
    train(net(), squared, regression(), TrainConfig(steps=3))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    train(net(), squared, regression(), TrainConfig(steps=3))
    assert [bar["disable"] for bar in bars] == [False, True]
    assert bars[0]["total"] == 3 and bars[0]["delay"] == 2
    assert capsys.readouterr() == ("", "")


def test_progress_shows_the_loss_after_two_seconds(monkeypatch, capsys):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    seconds = iter(range(10_000))
    monkeypatch.setattr("tqdm.std.time", lambda: float(next(seconds)))
    train(net(), squared, regression(), TrainConfig(steps=20))
    shown = capsys.readouterr().err
    assert "loss=" in shown and "/20" in shown
    assert shown.endswith("\r"), "and is cleared at the end"


def test_bad_calls_are_refused():
    x, y = regression()
    config = TrainConfig(steps=2, batch_size=8)
    with rejects("batch_size: got 8, wanted a multiple of 1 processes × 3 parts"):
        train(net(), squared, (x, y), TrainConfig(steps=2, batch_size=8, accumulate=3))
    with rejects(r"\[40, 39\]"):
        train(net(), squared, (x, y[1:]), config)
    with rejects(r"\(images,\)"):
        train(net(), squared, x, config)
    with rejects("no parameter"):
        train(nn.ReLU(), squared, (x, y), config)
    with rejects("evaluate_every"):
        train(net(), squared, (x, y), config, evaluate=evaluation, evaluate_every=0)
    with rejects("checkpoint_every"):
        train(net(), squared, (x, y), config, checkpoint_every=-1)
    with rejects(r"loss: got shape \(8, 2\), wanted one number"):
        train(net(), lambda m, b, g: (m(b[0]) - b[1]) ** 2, (x, y), config)
    with rejects("loss: got float"):
        train(net(), lambda m, b, g: 0.5, (x, y), config)
    with rejects("loss: got a loss without a gradient"):
        train(net(), lambda m, b, g: squared(m, b, g).detach(), (x, y), config)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_the_first_and_the_last_example_count(size):
    x = torch.tensor([100.0, 1, 2, 3, 10_000])
    assert mean_over_examples(lambda part: part, (x,), batch_size=size) == pytest.approx(10_106 / 5)


def test_a_run_leaves_its_checkpoint(tmp_path):
    data = torch.randn(8, 2), torch.randn(8, 1)
    config = TrainConfig(steps=3, batch_size=4, seed=0)
    net = torch.nn.Linear(2, 1)
    train(net, lambda m, batch, _: (m(batch[0]) - batch[1]).square().mean(), data, config, checkpoint=tmp_path / "x")
    assert (tmp_path / "x").is_file()
