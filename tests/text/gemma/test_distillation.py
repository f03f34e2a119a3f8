"""Distillation: the minimum is the teacher's entropy, the teacher stays as it is, and full logits say more than tokens."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F

from companion.language.scoring import next_token_loss
from companion.text.gemma import Gemma, GemmaConfig
from companion.text.gemma.distillation import DistillationLoss, forward_kl, soft_cross_entropy
from tests.conftest import gen, rejects

VOCAB = 7
IDS = torch.randint(VOCAB, (3, 6), generator=gen())
CONFIG = GemmaConfig(
    VOCAB, 8, width=12, layers=2, heads=2, kv_heads=1, head_width=6, hidden=16, window=3, global_every=2
)


def logits(*shape: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(*shape, VOCAB, generator=gen(seed), dtype=torch.float64)


def gemma(seed: int, width: int = 12) -> Gemma:
    torch.manual_seed(seed)
    return Gemma(GemmaConfig(**vars(CONFIG) | {"width": width, "init_std": 0.5}))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_eq_gemma_distil_as_printed_I60(temperature: float) -> None:
    z, y = logits(2, 3), logits(2, 3, seed=1)
    p, q = (z / temperature).softmax(-1), (y / temperature).softmax(-1)
    torch.testing.assert_close(soft_cross_entropy(y, z, temperature), -(p * q.log()).sum(-1))
    torch.testing.assert_close(forward_kl(y, z, temperature), kl_divergence(Categorical(p), Categorical(q)))
    torch.testing.assert_close(soft_cross_entropy(z, z, temperature), Categorical(p).entropy())


def test_of_a_teacher_that_is_certain_it_is_the_cross_entropy_of_the_tokens() -> None:
    y, wanted = logits(5), torch.tensor([0, 3, 6, 2, 2])
    certain = torch.full((5, VOCAB), -torch.inf, dtype=torch.float64).scatter(1, wanted[:, None], 0.0)
    torch.testing.assert_close(soft_cross_entropy(y, certain), F.cross_entropy(y, wanted, reduction="none"))


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_minimum_is_the_teachers_entropy(temperature: float) -> None:
    """Descend from somewhere else: the loss never goes below the entropy, ends at it, and the student is the teacher."""
    z = logits(4)
    y = nn.Parameter(logits(4, seed=2))
    entropy = Categorical(logits=z / temperature).entropy()
    optimizer = torch.optim.LBFGS(
        [y], max_iter=200, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def step() -> Tensor:
        optimizer.zero_grad()
        each = soft_cross_entropy(y, z, temperature)
        assert (each >= entropy - 1e-9).all()
        each.sum().backward()
        return each.sum().detach()

    assert float(step()) > float(entropy.sum()) + 0.5
    optimizer.step(step)
    torch.testing.assert_close(soft_cross_entropy(y, z, temperature), entropy, rtol=0, atol=1e-8)
    torch.testing.assert_close((y / temperature).softmax(-1), (z / temperature).softmax(-1), rtol=0, atol=1e-4)


def test_the_gradient_is_the_difference_of_the_probabilities_and_none_goes_to_the_teacher() -> None:
    y, z = logits(4, seed=1).requires_grad_(), logits(4).requires_grad_()
    forward_kl(y, z, 2.0).sum().backward()
    torch.testing.assert_close(y.grad, ((y / 2).softmax(-1) - (z / 2).softmax(-1)).detach() / 2)
    assert z.grad is None


def test_zeros_in_the_teachers_probabilities_are_finite_I32() -> None:
    y, z = logits(4, seed=1), logits(4)
    z[:, 2], y[:3, 2] = -torch.inf, -torch.inf
    y.requires_grad_()
    loss = soft_cross_entropy(y, z)
    loss.sum().backward()
    assert torch.isfinite(loss).all() and torch.isfinite(y.grad).all()
    torch.testing.assert_close(loss[:3], soft_cross_entropy(*(part[:3, [0, 1, 3, 4, 5, 6]] for part in (y, z))))


def test_a_higher_temperature_makes_the_unlikely_count() -> None:
    """Forward KL of a student that misses a token which the teacher gives one chance in 400."""
    z, blind = torch.tensor([6.0, 0.0, 0.0]), torch.tensor([6.0, 0.0, -6.0])
    assert forward_kl(blind, z, 4.0) > 5 * forward_kl(blind, z, 1.0) > 0


def test_the_objective_reads_the_places_of_next_token_prediction_I33() -> None:
    """The places of `next_token_loss`: all tokens but the last are read, and no later one is seen."""
    teacher, student, loss = gemma(1, width=24), gemma(2), None
    loss = DistillationLoss(teacher, 1.5)
    got = loss(student, (IDS,))
    want = soft_cross_entropy(student(IDS[:, :-1]), teacher(IDS[:, :-1]), 1.5).mean()
    torch.testing.assert_close(got, want)
    other = IDS.clone()
    other[:, -1] = (other[:, -1] + 1) % VOCAB
    assert torch.equal(loss(student, (other,)), got) and got.shape == ()


def test_the_teacher_gets_no_gradient_and_keeps_its_mode_while_the_student_learns_I10() -> None:
    teacher, student = gemma(1, width=24).train(), gemma(2).train()
    teacher.blocks[1].dropout = 0.5  # active in training mode alone
    teacher.blocks[0].eval()
    loss = DistillationLoss(teacher)
    first = loss(student, (IDS,))
    assert torch.equal(first, loss(student, (IDS,))), "a teacher in training mode would say something else each time"
    first.backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for p in student.parameters())
    assert teacher.training and not teacher.blocks[0].training and student.training


def test_half_precision_logits_are_raised() -> None:
    y, z = logits(4, seed=1).float(), logits(4).float()
    got = soft_cross_entropy(y.bfloat16(), z.bfloat16())
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, soft_cross_entropy(y.bfloat16().float(), z.bfloat16().float()))


class Table(nn.Module):
    """A language model whose next token depends on the last alone."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table.clone())

    def forward(self, ids: Tensor) -> Tensor:
        return self.table[ids]


def test_from_few_tokens_full_logits_teach_more_than_the_tokens() -> None:
    """The teacher is the chain that wrote the text, so the truth is known: the student's distance to it, after equal steps."""
    truth = Table(logits(VOCAB).float())
    ids = [0]
    for draw in range(80):
        ids.append(int(torch.multinomial(truth.table[ids[-1]].softmax(-1), 1, generator=gen(draw))))
    batch = (torch.tensor([ids]),)
    far = {}
    for name, loss in (("tokens", next_token_loss), ("logits", DistillationLoss(truth))):
        student = Table(torch.zeros(VOCAB, VOCAB))
        optimizer = torch.optim.Adam(student.parameters(), lr=0.1)
        for _ in range(150):
            optimizer.zero_grad()
            loss(student, batch).backward()
            optimizer.step()
        seen = torch.tensor(ids[:-1]).unique()
        far[name] = float(forward_kl(student.table[seen], truth.table[seen]).detach().mean())
    assert far["logits"] < 0.02 < 0.1 < far["tokens"]


def test_bad_input() -> None:
    with rejects("temperature"):
        soft_cross_entropy(logits(2), logits(2), 0.0)
    with rejects("teacher: got shape"):
        soft_cross_entropy(logits(2), logits(2)[:, :5])
    with rejects("temperature"):
        DistillationLoss(gemma(0), -1.0)
    with rejects("teacher"):
        DistillationLoss(torch.zeros(3))
