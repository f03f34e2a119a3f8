"""DPO: parity with TRL's formula by hand, the tabular optimum with exact comparisons, and what compare returns."""

import pytest
import torch

from companion.text.chat.dpo import compare, dpo_loss, dpo_objective, text_log_probs
from tests.conftest import gen, rejects
from tests.text.chat.model import small, world


def test_loss_by_hand() -> None:
    value = dpo_loss(*(torch.tensor([x]) for x in (-1.0, -2.0, -1.5, -1.8)), 0.5)
    assert float(value) == pytest.approx(-torch.tensor(0.5 * (0.5 + 0.2)).sigmoid().log().item())


@pytest.mark.parametrize("beta", [0.4, 2.0])
def test_with_all_pairs_and_their_exact_chances_the_table_reaches_the_optimum(beta: float) -> None:
    """π* ∝ π_ref exp(u/β), to 1e-5 in log-probability."""
    utility = torch.randn(7, generator=gen(0), dtype=torch.float64)
    log_ref = torch.randn(7, generator=gen(1), dtype=torch.float64).log_softmax(0)
    logits = log_ref.clone().requires_grad_()
    chance = (utility[:, None] - utility).sigmoid()  # that the row is preferred to the column
    optimizer = torch.optim.LBFGS(
        [logits], lr=1, max_iter=400, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )
    i, j = (x.flatten() for x in torch.meshgrid(torch.arange(7), torch.arange(7), indexing="ij"))

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        log_p = logits.log_softmax(0)
        loss = (chance.flatten() * dpo_loss(log_p[i], log_p[j], log_ref[i], log_ref[j], beta)).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    wanted = (log_ref + utility / beta).log_softmax(0)
    torch.testing.assert_close(logits.detach().log_softmax(0), wanted, atol=1e-5, rtol=0)


def test_a_text_counts_as_the_sum_of_the_tokens_that_count() -> None:
    """I34, and the known mistake of a mean in the place of the sum."""
    model, here = small(), world()
    ids, mask = here.demonstrations(8, gen(0))
    found = text_log_probs(model, ids, mask)
    for row in range(8):
        end = 1 + int(mask[row].sum())
        log_p = model(ids[row : row + 1, : end - 1]).detach().log_softmax(-1)[0]
        assert float(found[row].detach()) == pytest.approx(
            float(log_p.gather(1, ids[row, 1:end, None]).sum()), abs=1e-4
        )


def test_pairs_begin_alike_and_the_better_is_better_more_often() -> None:
    here, model = world(), small()

    def utility(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return 8 * here.judge(ids).reward

    better, better_mask, worse, worse_mask = compare(model, here, utility, 500, gen(0))
    assert torch.equal(better[:, 0], worse[:, 0])
    assert torch.equal(better_mask, here.judge(better).mask) and torch.equal(worse_mask, here.judge(worse).mask)
    gain = here.judge(better).reward - here.judge(worse).reward
    chance = float((8 * gain.abs()).sigmoid()[gain != 0].mean())
    assert float((gain > 0)[gain != 0].float().mean()) == pytest.approx(chance, abs=0.06)


def test_the_objective_starts_at_log_2_and_its_gradient_raises_the_better() -> None:
    here, model, reference = world(), small(), small()
    pairs = compare(model, here, lambda ids, mask: 8 * here.judge(ids).reward, 20, gen(0))
    objective = dpo_objective(reference, 0.7)
    loss = objective(model, pairs)
    assert loss.item() == pytest.approx(0.6931, abs=1e-4)
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.01 * p.grad
    assert objective(model, pairs).item() < loss.item()
    assert all(p.grad is None for p in reference.parameters())
    with rejects("beta"):
        dpo_objective(reference, 0.0)
