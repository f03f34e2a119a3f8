"""Which examples and which noise a step sees: a function of seed and step alone."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from companion.training.batches import Batches, count_examples, mix, seeded
from tests.conftest import rejects

CPU = torch.device("cpu")


@given(n=st.integers(1, 40), size=st.integers(1, 50), seed=st.integers(0, 5))
def test_every_epoch_sees_every_example_once(n, size, seed):
    batches = Batches((torch.arange(n), torch.arange(n) * 10), size, seed)
    steps = -(-3 * n // size)
    seen = torch.cat([batches(step)[0] for step in range(steps)])
    for epoch in range(3):
        assert sorted(seen[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))
    x, y = batches(1)
    assert len(x) == size and torch.equal(y, x * 10), "the tensors are read in one order"


def test_epochs_differ_and_seeds_repeat_I59():
    n = 50

    def order(seed: int) -> list[list[int]]:
        batches = Batches((torch.arange(n),), 10, seed)
        return [torch.cat([batches(5 * epoch + i)[0] for i in range(5)]).tolist() for epoch in range(3)]

    assert len({tuple(epoch) for epoch in order(0)}) == 3
    assert order(0) == order(0)
    assert order(0) != order(1)


def test_a_step_does_not_depend_on_the_steps_before():
    data = (torch.arange(23),)
    one, other = Batches(data, 7, 0), Batches(data, 7, 0)
    forward = [one(step)[0].tolist() for step in range(20)]
    assert [other(step)[0].tolist() for step in reversed(range(20))] == forward[::-1]


def test_fresh_batches_differ_from_step_to_step_and_repeat():
    def draw(n: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        return (torch.randn(n, 2, generator=generator),)

    one, other = Batches(draw, 4, 0), Batches(draw, 4, 0)
    assert torch.equal(one(5)[0], other(5)[0])
    assert not torch.equal(one(5)[0], one(6)[0])
    assert not torch.equal(one(5)[0], Batches(draw, 4, 1)(5)[0])


def test_noise_differs_between_steps_and_processes_and_leaves_the_global_generator():
    def noise(*parts: int) -> tuple[float, float]:
        with seeded(CPU, *parts) as generator:
            return float(torch.rand((), generator=generator)), float(torch.rand(()))

    torch.manual_seed(8)
    first = torch.rand(3)
    torch.manual_seed(8)
    drawn = [noise(0, 0, 0), noise(0, 1, 0), noise(0, 0, 1), noise(1, 0, 0)]
    assert torch.equal(torch.rand(3), first)
    assert len({number for pair in drawn for number in pair}) == 8, "also the loss's noise and dropout's differ"
    assert noise(0, 1, 0) == drawn[1]


@given(st.integers(-(2**63), 2**63), st.integers(0, 9))
def test_mixed_seeds_fit_torch(seed, step):
    torch.Generator().manual_seed(mix(seed, "x", step))
    assert mix(seed, "x", step) != mix(seed, "y", step)


def test_bad_data_are_refused():
    images = torch.zeros(4, 1, 8, 8)
    for bad, words in [
        (images, r"\(images,\)"),
        ((), "at least 1"),
        ((images[:0],), "at least 1"),
        ((images, images[:3]), r"\[4, 3\]"),
        ((images, [1, 2, 3, 4]), "tuple of tensors"),
        ((torch.tensor(1.0),), "tuple of tensors"),
    ]:
        with rejects(words):
            count_examples(bad)
        with rejects(words):
            Batches(bad, 2, 0)
    with rejects("got 3 examples, wanted 2"):
        Batches(lambda n, g: (images[:3],), 2, 0)(0)
    with rejects(r"\(images,\)"):
        Batches(lambda n, g: images[:n], 2, 0)(0)
    with rejects("size"):
        Batches((images,), 0, 0)
