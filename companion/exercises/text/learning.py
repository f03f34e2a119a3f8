"""The checks of exercises 3.4.2 and 3.4.5: two leaks in a training step, and perplexity over ragged batches.

Who sees whom is found by changing one token after another; perplexity by what must not change it, and by
`torch.nn.functional.cross_entropy`. Ids such as I33 are those of the course's list of known mistakes.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from companion.exercises.answers import Answer, Wrong
from companion.exercises.checking import Exercise, Property, compare, compare_numbers, sizes

_Batch = tuple[Tensor, Tensor, Tensor]  # logits, ids, lengths


def _text(g: Generator) -> tuple[Tensor, Tensor, Tensor]:
    batch, n, width = sizes(g, 3, low=4)
    ids = torch.stack([torch.randperm(30, generator=g)[:n] for _ in range(batch)])
    return ids, torch.randn(n, n, generator=g), torch.randn(30, width, generator=g)


def _pair(answer: Answer, ids: Tensor, scores: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
    result = answer(ids, scores, embedding)
    if not isinstance(result, (tuple, list)) or len(result) != 2 or not all(isinstance(r, Tensor) for r in result):
        raise Wrong(f"got {type(result).__name__}, wanted two tensors: what predicts, and what is predicted")
    mixed, targets = result
    wanted = (len(ids), ids.shape[1] - 1, embedding.shape[1])
    if tuple(mixed.shape) != wanted or tuple(targets.shape) != wanted[:2]:
        raise Wrong(f"got shapes {tuple(mixed.shape)} and {tuple(targets.shape)}, wanted {wanted} and {wanted[:2]}")
    if not mixed.is_floating_point() or not torch.isfinite(mixed).all():
        raise Wrong("got values that are not finite numbers", "a position that sees nothing at all")
    return mixed, targets


def _shapes(answer: Answer, g: Generator) -> str:
    mixed, targets = _pair(answer, *_text(g))
    return f"got shapes {tuple(mixed.shape)} and {tuple(targets.shape)}, as wanted"


def _targets(answer: Answer, g: Generator) -> str:
    ids, scores, embedding = _text(g)
    _, got = _pair(answer, ids, scores, embedding)
    mistakes = {
        "each position predicts its own token: the targets are not shifted (I33)": ids[:, :-1],
        "the targets are shifted twice (I33)": ids.roll(-2, dims=1)[:, :-1],
        "the targets are shifted backwards (I33)": ids.roll(1, dims=1)[:, :-1],
    }
    return compare(got, ids[:, 1:], mistakes)


def _sees(answer: Answer, g: Generator) -> str:
    ids, scores, embedding = _text(g)
    n = ids.shape[1] - 1
    before, _ = _pair(answer, ids, 0.3 * scores, embedding)
    seen = torch.zeros(n, n, dtype=torch.bool)
    for token in range(n):
        changed = ids.clone()
        changed[:, token] = (changed[:, token] + 7) % 30
        after, _ = _pair(answer, changed, 0.3 * scores, embedding)
        seen[:, token] = (after - before).abs().amax(dim=(0, 2)) > 1e-6
    everything = torch.ones(n, n, dtype=torch.bool)
    if torch.equal(seen, everything.tril()):
        return f"position {n - 1} sees {n} tokens, position 0 sees one"
    if torch.equal(seen, everything.tril(1)):
        raise Wrong("each position sees one token too many: the very one it predicts", "the mask's diagonal (I21)")
    if seen.all():
        raise Wrong("every position sees every token", "no causal mask (I21)")
    if torch.equal(seen, everything.tril(-1)):
        raise Wrong("no position sees its own token", "the mask's diagonal is off by one")
    if torch.equal(seen, everything.triu()):
        raise Wrong("each position sees the later tokens", "the mask is upside down (I21)")
    i, j = (seen != everything.tril()).nonzero()[0].tolist()
    raise Wrong(f"position {i} {'sees' if seen[i, j] else 'does not see'} token {j}", "the mask")


def _weights(answer: Answer, g: Generator) -> str:
    ids, scores, embedding = _text(g)
    got, _ = _pair(answer, ids, scores, torch.ones_like(embedding))
    if (got[:, -1] - 1).abs().max() < 1e-4 and (got - 1).abs().max() > 1e-3 and (got < 1 + 1e-4).all():
        raise Wrong("the weights of early positions add up to less than one", "masked after the softmax, not before")
    compare(got, torch.ones_like(got), {})
    got, _ = _pair(answer, ids, scores, embedding)  # the last position may see every token but the one it predicts
    last = scores[-2, :-1]
    tokens = embedding[ids[:, :-1]]
    mistakes = {
        "all tokens weigh alike": tokens.mean(1),
        "scores taken for weights": (last[:, None] * tokens).sum(1),
        "softmax over the wrong axis": (scores[:-1, :-1].softmax(0)[-1][:, None] * tokens).sum(1),
    }
    return compare(got[:, -1], torch.einsum("j,bjw->bw", last.softmax(0), tokens), mistakes)


def _batch(g: Generator, batch: int, n: int, vocab: int, ragged: bool = False) -> _Batch:
    lengths = 2 + torch.randint(n - 1, (batch,), generator=g) if ragged else torch.full((batch,), n)
    return 2 * torch.randn(batch, n, vocab, generator=g), torch.randint(vocab, (batch, n), generator=g), lengths


def _nats(batch: _Batch, shift: int = 1) -> Tensor:
    logits, ids, _ = batch
    n = ids.shape[1]
    return F.cross_entropy(logits[:, : n - shift].mT, ids[:, shift:], reduction="none")


def _one_batch(answer: Answer, g: Generator) -> str:
    batch = _batch(g, *sizes(g, 3, low=4))
    nats = float(_nats(batch).mean())
    mistakes = {
        "each position is asked for its own token: not shifted (I33)": float(_nats(batch, 0).mean().exp()),
        "the mean of perplexities, not the perplexity of the mean": float(_nats(batch).exp().mean()),
        "nats with base 2": 2**nats,
        "the mean loss itself, without the exponential": nats,
        "summed, not averaged over the tokens": math.exp(min(float(_nats(batch).sum()), 700.0)),
        "divided by all tokens, though the first is not predicted": float(
            (_nats(batch).sum() / batch[1].numel()).exp()
        ),
    }
    return compare_numbers(answer.number([batch]), math.exp(nats), mistakes)


def _padding(answer: Answer, g: Generator) -> str:
    b, n, vocab = sizes(g, 3, low=5)
    logits, ids, lengths = _batch(g, b, n, vocab, ragged=True)
    lengths[0] = 3
    beyond = torch.arange(n) >= lengths[:, None]
    first = answer.number([(logits, ids, lengths)])
    if _near(answer, (0.1 * logits, ids, lengths), first):
        raise Wrong("other logits give the same number", "the result does not depend on the model")
    others = torch.where(beyond, (ids + 1) % vocab, ids)
    shaken = torch.where(beyond[..., None], -logits, logits)
    for name, changed in (("ids", (logits, others, lengths)), ("logits", (shaken, ids, lengths))):
        compare_numbers(answer.number([changed]), first, {}) if _near(answer, changed, first) else _counted(name)
    longer = (F.pad(logits, (0, 0, 0, 2), value=1.0), F.pad(ids, (0, 2)), lengths)
    if not _near(answer, longer, first):
        _counted("number")
    return "whatever stands in the padding, the number is the same"


def _near(answer: Answer, batch: _Batch, wanted: float) -> bool:
    return math.isclose(answer.number([batch]), wanted, rel_tol=1e-4)


def _counted(what: str) -> None:
    raise Wrong(f"the {what} of the padding change the result", "padding counts in the loss (I34)")


def _ragged(answer: Answer, g: Generator) -> str:
    b, n, vocab = sizes(g, 3, low=4)
    logits, ids, lengths = _batch(g, b, n, vocab)
    logits[-1] *= 3  # a text that is far harder than the others
    whole = answer.number([(logits, ids, lengths)])
    parts = [(logits[rows], ids[rows], lengths[rows]) for rows in (slice(0, b - 1), slice(b - 1, b))]
    each = [max(answer.number([part]), 1e-9) for part in parts]
    if math.isclose(*each, rel_tol=1e-4):
        raise Wrong("an easy text and a hard one give the same number", "the result does not depend on the model")
    mistakes = {
        "the mean of the batches' means (I42)": math.sqrt(each[0] * each[1]),
        "the mean of the batches' perplexities (I42)": sum(each) / 2,
        "the last batch alone": each[1],
        "the first batch alone": each[0],
    }
    return compare_numbers(answer.number(parts), whole, mistakes)


EXERCISES = (
    Exercise(
        "3.4.2",
        "training_pair(ids, scores, embedding)",
        (
            Property("the shapes of what predicts and of what is predicted", 2, _shapes),
            Property("what each position must predict", 6, _targets),
            Property("which tokens each position sees", 6, _sees),
            Property("the weights of the tokens that are seen", 4, _weights),
        ),
    ),
    Exercise(
        "3.4.5",
        "perplexity(batches)",
        (
            Property("one batch without padding", 9, _one_batch),
            Property("padding does not count", 3, _padding),
            Property("batches of different sizes", 4, _ragged),
        ),
    ),
)
