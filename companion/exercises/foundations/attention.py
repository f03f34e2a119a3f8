"""The checks of exercise 3.3.6: causal attention of new queries behind a cache of old keys.

Right values come from `torch.nn.functional.scaled_dot_product_attention`; who sees whom is found by changing one key after
another. Ids such as I22 are those of the course's list of known mistakes.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare, sizes


def _heads(g: Generator, *, cached: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    batch, heads, d, e, new, old = sizes(g, 6, high=10)
    n, m = new, new + (old if cached else 0)
    return tuple(torch.randn(batch, heads, length, width, generator=g) for length, width in ((n, d), (m, d), (m, e)))  # type: ignore[return-value]


def _attend_shape(answer: Answer, g: Generator) -> str:
    q, k, v = _heads(g)
    wanted = (*q.shape[:-1], v.shape[-1])
    return f"got shape {tuple(answer.tensor(q, k, v, shape=wanted).shape)}, wanted {wanted}"


def _attend_average(answer: Answer, g: Generator) -> str:
    q, k, v = _heads(g)
    got = answer.tensor(q, k, torch.ones_like(v), shape=(*q.shape[:-1], v.shape[-1]))
    if torch.allclose(got, torch.ones_like(got), atol=1e-4):
        return "weights add up to one"
    if (got[..., -1, :] - 1).abs().max() < 1e-3 and (got < 1 + 1e-4).all():
        raise Wrong("the weights of the early queries add up to less than one", "masked after the softmax, not before")
    raise Wrong("the weights of a query do not add up to one", "softmax over the wrong axis, or none")


def _attend_scale(answer: Answer, g: Generator) -> str:
    q, k, v = _heads(g)
    q = q[..., -1:, :]
    d, heads = q.shape[-1], q.shape[1]
    got = answer.tensor(q, k, v, shape=(*q.shape[:-1], v.shape[-1]))
    scales = {
        "the scale √d is missing (I20)": 1.0,
        "divided by d, not by its root": 1 / d,
        "multiplied by √d (I20)": d**0.5,
        "scaled by the width of all heads together (I19)": (d * heads) ** -0.5,
        "scaled by the number of keys": k.shape[-2] ** -0.5,
        "scaled by the values' width": v.shape[-1] ** -0.5,
    }
    mistakes = {name: F.scaled_dot_product_attention(q, k, v, scale=scale) for name, scale in scales.items()}
    mistakes["a query of a cached step sees the first key alone (I22)"] = v[..., :1, :]
    return compare(got, F.scaled_dot_product_attention(q, k, v), mistakes)


def _attend_future(answer: Answer, g: Generator) -> str:
    return _visible(answer, *_heads(g, cached=False), g)


def _attend_cache(answer: Answer, g: Generator) -> str:
    return _visible(answer, *_heads(g), g)


def _visible(answer: Answer, q: Tensor, k: Tensor, v: Tensor, g: Generator) -> str:
    """Change one value, then one key after another; see whose output moves."""
    n, m = q.shape[-2], k.shape[-2]
    shape = (*q.shape[:-1], v.shape[-1])
    q, k = 0.5 * q, 0.5 * k  # small scores: no weight that counts is too small to be seen
    result = answer(q, k, v)
    if isinstance(result, Tensor) and result.isnan().any():
        raise Wrong("got NaN: a query sees no key at all", "the mask's diagonal is off by one")
    before = answer.tensor(q, k, v, shape=shape)

    def moves(k2: Tensor, v2: Tensor) -> Tensor:
        return (answer.tensor(q, k2, v2, shape=shape) - before).abs().amax(dim=(0, 1, 3)) > 1e-5

    change = torch.randn(m, k.shape[-1], generator=g)
    sees = torch.stack([moves(k, v + 10 * _only(j, m)) for j in range(m)], dim=1)
    weighs = torch.stack([moves(k + change * _only(j, m), v) for j in range(m)], dim=1)
    everything = torch.ones(n, m, dtype=torch.bool)
    first, last = everything.tril(), everything.tril(m - n)  # aligned with the first key, with the last
    counts = sees.sum(1).tolist()
    if (sees == last).all():
        if (weighs & ~last).any():
            raise Wrong("a later key changes an earlier query's weights", "masked after the softmax, not before")
        return f"the {n} queries see {counts[0]} to {counts[-1]} of {m} keys"
    if sees.all():
        raise Wrong("every query sees every key", "no causal mask (I21)")
    if n < m and (sees == first).all():
        raise Wrong(f"the first of {n} new queries sees 1 of {m} keys", "the mask starts at the first key (I22)")
    if all(b == a + 1 for a, b in pairwise(counts)) and counts[-1] == m - 1:
        raise Wrong("a query does not see its own position", "the mask's diagonal is off by one")
    i, j = (sees != last).nonzero()[0].tolist()
    raise Wrong(f"query {i} of {n} {'sees' if sees[i, j] else 'does not see'} key {j} of {m}", "the mask")


def _only(j: int, m: int) -> Tensor:
    """A column that is 1 at position ``j`` of ``m`` and 0 elsewhere."""
    return F.one_hot(torch.tensor(j), m)[:, None].float()


EXERCISES = (
    Exercise(
        "3.3.6",
        "attend(q, k, v)",
        (
            Property("the output's shape", 1, _attend_shape),
            Property("each query's weights", 3, _attend_average),
            Property("the scores' scale", 5, _attend_scale),
            Property("no query sees a later key", 4, _attend_future),
            Property("new queries behind a cache of old keys", 3, _attend_cache),
        ),
    ),
)
