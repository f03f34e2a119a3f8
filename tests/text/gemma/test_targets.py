"""What stands in the teacher's place: each as its formula says, and a mean that is the teacher where it should be."""

import torch
from torch import Tensor
from torch.nn import functional as F

from companion.text.gemma.distillation import soft_cross_entropy
from companion.text.gemma.targets import drawn, only_top, shuffled, smoothed
from tests.conftest import gen, rejects

VOCAB = 7
TOKEN = torch.tensor([[0, 6, 3], [2, 2, 5]])


def logits(*shape: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(*shape, VOCAB, generator=gen(seed))


def test_smoothing_is_torchs_and_without_a_share_the_text_I32() -> None:
    y = logits(2, 3)
    for share in (0.0, 0.25, 1.0):
        got = soft_cross_entropy(y, smoothed(TOKEN, VOCAB, share))
        want = F.cross_entropy(y.mT, TOKEN, label_smoothing=share, reduction="none")
        torch.testing.assert_close(got, want)


def test_shuffling_keeps_the_token_that_came_and_all_numbers_and_nothing_else() -> None:
    z = logits(2, 3)
    deals = torch.stack([shuffled(z, TOKEN, gen(seed)) for seed in range(400)])
    own = TOKEN[..., None]
    assert torch.equal(deals.gather(-1, own.expand(400, 2, 3, 1)), z.gather(-1, own).expand(400, 2, 3, 1))
    assert torch.equal(deals.sort(-1).values, z.sort(-1).values.expand_as(deals))
    others = (z.sum(-1, keepdim=True) - z.gather(-1, own)) / (VOCAB - 1)  # every other token gets every other number
    mean = deals.mean(0).scatter(-1, own, others)
    torch.testing.assert_close(mean, others.expand_as(mean), rtol=0, atol=0.5)


def test_each_place_is_dealt_its_own_numbers() -> None:
    """With the same logits and the same token at two places the deals differ, if there are two."""
    z, token = logits(1, 1).expand(1, 2, VOCAB), torch.tensor([[3, 3]])
    deals = torch.stack([shuffled(z, token, gen(seed)) for seed in range(10)])
    assert (deals[:, 0, 0] != deals[:, 0, 1]).any(-1).sum() > 7  # of six numbers: all alike once in 720


def test_only_the_likeliest_are_left_and_they_share_what_there_is() -> None:
    z = logits(2, 3)
    p, kept = z.softmax(-1), only_top(z, 2).softmax(-1)
    top = p.topk(2)
    want = torch.zeros_like(p).scatter(-1, top.indices, top.values / top.values.sum(-1, keepdim=True))
    torch.testing.assert_close(kept, want)
    assert torch.equal(only_top(z, VOCAB), z)


def test_draws_have_the_teachers_mean_and_come_in_shares_of_k() -> None:
    z = logits(2, 3)
    shares = drawn(z, 4, gen(1)).exp()
    torch.testing.assert_close(4 * shares, (4 * shares).round())
    torch.testing.assert_close(shares.sum(-1), torch.ones(2, 3))
    many = drawn(z, 40_000, gen(2)).exp()
    torch.testing.assert_close(many, z.softmax(-1), rtol=0, atol=0.015)
    assert torch.equal(drawn(z, 4, gen(1)), drawn(z, 4, gen(1)))
    assert drawn(z[0, 0], 4, gen(1)).shape == (VOCAB,)


def test_bad_input() -> None:
    with rejects("share"):
        smoothed(TOKEN, VOCAB, 1.5)
    with rejects("token"):
        shuffled(logits(2, 3), TOKEN[:1], gen())
    with rejects("k"):
        drawn(logits(2, 3), 0, gen())
    with rejects("k: got 8"):
        only_top(logits(2, 3), VOCAB + 1)
    for strange in (-1, VOCAB):
        with rejects("token"):
            smoothed(torch.tensor([0, strange]), VOCAB, 0.1)
        with rejects("token"):
            shuffled(logits(2, 3), torch.full((2, 3), strange), gen())
