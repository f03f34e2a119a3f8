"""Signs as a code: equal to the library's, and the entropy loss by hand."""

import pytest
import torch
from vector_quantize_pytorch import LFQ as Library

from companion.image.vae.lfq import LFQ
from tests.conftest import gen, rejects


def swapped(codes: torch.Tensor, width: int) -> torch.Tensor:
    """The library counts the last sign fastest."""
    return sum((codes // 2**i % 2) * 2 ** (width - 1 - i) for i in range(width))


def test_values_codes_and_losses_are_those_of_the_library() -> None:
    width, tau = 5, 1.5
    theirs = Library(
        dim=width, codebook_size=2**width, entropy_loss_weight=0.3, commitment_loss_weight=0.2, diversity_gamma=1.0
    ).train()
    ours, z = LFQ(width, entropy=0.3, beta=0.2, sharpness=tau), torch.randn(2, 20, width, generator=gen(1))
    a, b = z.clone().requires_grad_(), z.clone().requires_grad_()
    found = ours(a.flatten(0, 1))
    values, codes, loss = theirs(b, inv_temperature=tau)
    assert torch.equal(found.codes, swapped(codes.flatten(), width))
    torch.testing.assert_close(found.values, values.flatten(0, 1), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.loss, loss, atol=1e-5, rtol=0)
    (found.loss + found.values.square().sum()).backward()
    (loss + values.square().sum()).backward()
    torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=0)


def test_entropies_by_hand_for_one_sign() -> None:
    """p = sigmoid(4 tau z): the two codes are at distance 2, and the exponent is tau · 2 z c."""
    z = torch.tensor([[0.3], [-0.1], [0.0]])
    p = torch.sigmoid(4 * z)
    h = torch.special.entr(p) + torch.special.entr(1 - p)
    m = p.mean()
    assert float(LFQ(1).entropy_loss(z)) == pytest.approx(
        float(h.mean() - torch.special.entr(m) - torch.special.entr(1 - m)), abs=1e-6
    )


def test_the_entropy_loss_is_least_where_all_codes_are_equally_likely_and_sure() -> None:
    lfq = LFQ(3)
    everywhere = 5 * lfq.vectors(torch.arange(8))
    assert float(lfq.entropy_loss(everywhere)) == pytest.approx(-torch.tensor(8.0).log().item(), abs=1e-4)
    assert float(lfq.entropy_loss(everywhere[:1].expand(8, 3))) == pytest.approx(0, abs=1e-4)


def test_every_code_comes_back_and_zero_counts_as_negative() -> None:
    lfq = LFQ(4)
    codes = torch.arange(16)
    found = lfq(0.1 * lfq.vectors(codes))
    assert torch.equal(found.codes, codes) and torch.equal(found.values, lfq.vectors(codes))
    assert LFQ(2)(torch.zeros(1, 2)).codes.tolist() == [0]
    assert torch.equal(lfq.vectors(torch.tensor([1])), torch.tensor([[1.0, -1.0, -1.0, -1.0]]))


def test_the_commitment_pulls_by_a_quarter_unless_told_otherwise() -> None:
    z = torch.randn(7, 3, generator=gen(1))
    apart = (z - torch.where(z > 0, 1.0, -1.0)).square().mean()
    torch.testing.assert_close(LFQ(3, entropy=0.0)(z).loss, 0.25 * apart)


def test_bad_input() -> None:
    with rejects("width"):
        LFQ(0)
    with rejects("z: got"):
        LFQ(3)(torch.zeros(2, 4))
    with rejects("z: got 1 values that are NaN"):
        LFQ(3)(torch.tensor([[0.1, torch.nan, 0.2]]))
    with rejects("codes"):
        LFQ(3).vectors(torch.tensor([8]))
