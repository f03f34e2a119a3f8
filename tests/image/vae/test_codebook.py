"""Nearest codewords, the gradient that goes straight through, the two losses; equal to diffusers' quantiser."""

import pytest
import torch
from diffusers import VQModel
from diffusers.models.autoencoders.vae import VectorQuantizer
from torch import nn

from companion.image.vae.codebook import GradientCodebook, first_codewords, nearest, straight_through, vq_loss
from tests.conftest import gen, rejects


def pair(size: int = 7, width: int = 3, beta: float = 0.4) -> tuple[GradientCodebook, VectorQuantizer]:
    """Ours and theirs with the same codewords."""
    ours, theirs = GradientCodebook(size, width, beta), VectorQuantizer(size, width, beta, legacy=False)
    with torch.no_grad():
        ours.codewords.copy_(torch.randn(size, width, generator=gen(1)))
        theirs.embedding.weight.copy_(ours.codewords)
    return ours, theirs


def test_nearest_is_the_nearest_of_all_by_hand() -> None:
    z, codebook = torch.randn(50, 4, generator=gen(1)), 2 * torch.randn(9, 4, generator=gen(2))
    by_hand = [min(range(9), key=lambda j: float((row - codebook[j]).square().sum())) for row in z]
    assert nearest(z, codebook).tolist() == by_hand


def test_the_length_of_a_codeword_counts() -> None:
    """A long codeword in the right direction is further away than a short one beside it."""
    assert nearest(torch.tensor([[1.0, 0.0]]), torch.tensor([[9.0, 0.0], [0.6, 0.5]])).tolist() == [1]


def test_values_codes_loss_and_gradients_are_those_of_diffusers() -> None:
    ours, theirs = pair()
    z = torch.randn(2, 3, 5, 4, generator=gen(3))
    a, b = z.clone().requires_grad_(), z.clone().requires_grad_()
    rows = a.permute(0, 2, 3, 1).flatten(0, 2)
    found = ours(rows)
    values, loss, (_, _, codes) = theirs(b)
    weights = torch.randn(values.shape, generator=gen(4))
    grid = found.values.reshape(2, 5, 4, 3).permute(0, 3, 1, 2)
    assert torch.equal(found.codes, codes)
    torch.testing.assert_close(grid, values, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.loss, loss)
    ((grid * weights).sum() + found.loss).backward()
    ((values * weights).sum() + loss).backward()
    torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=0)
    torch.testing.assert_close(ours.codewords.grad, theirs.embedding.weight.grad, atol=1e-6, rtol=0)


class Dressed(nn.Module):
    """Ours in the form in which `diffusers.VQModel` calls its own."""

    def __init__(self, ours: GradientCodebook) -> None:
        super().__init__()
        self.ours = ours

    def forward(self, z: torch.Tensor) -> tuple:
        found = self.ours(z.permute(0, 2, 3, 1).flatten(0, 2))
        grid = found.values.reshape(z.shape[0], *z.shape[2:], -1).permute(0, 3, 1, 2)
        return grid, found.loss, (None, None, found.codes)


def test_a_whole_vqmodel_of_diffusers_gives_the_same_picture_with_our_quantiser() -> None:
    torch.manual_seed(0)
    model = VQModel(
        block_out_channels=(8,), layers_per_block=1, latent_channels=3, num_vq_embeddings=7, norm_num_groups=4,
        sample_size=8,
    ).eval()  # fmt: skip
    images = torch.randn(2, 3, 8, 12, generator=gen(5))
    theirs = model(images, return_dict=False)
    ours = GradientCodebook(7, 3, model.quantize.beta)
    ours.codewords.data.copy_(model.quantize.embedding.weight)
    model.quantize = Dressed(ours)
    torch.testing.assert_close(model(images, return_dict=False)[0], theirs[0], atol=1e-5, rtol=0)


def test_straight_through_is_the_codeword_forward_and_the_identity_backward() -> None:
    z, weights = torch.randn(4, 3, generator=gen(1)).requires_grad_(), torch.randn(4, 3, generator=gen(2))
    codeword = torch.randn(4, 3, generator=gen(3)).requires_grad_()
    value = straight_through(z, codeword)
    torch.testing.assert_close(value, codeword)
    (value * weights).sum().backward()
    assert torch.equal(z.grad, weights) and codeword.grad is None


def test_I6_beta_changes_the_encoders_gradient_and_not_the_codebooks() -> None:
    grads = []
    for beta in (0.25, 2.0):
        z, codeword = (torch.randn(5, 3, generator=gen(seed)).requires_grad_() for seed in (1, 2))
        vq_loss(z, codeword, beta).backward()
        grads.append((z.grad, codeword.grad))
    (z_small, e_small), (z_large, e_large) = grads
    assert torch.equal(e_small, e_large)
    torch.testing.assert_close(z_large, 8 * z_small)


def test_I7_the_codebook_has_its_gradient_also_without_commitment() -> None:
    """Equal to 2 (n_j e_j - Σ z) / (n d) by hand."""
    ours, z = GradientCodebook(3, 2, beta=0.0), torch.randn(8, 2, generator=gen(1))
    ours.codewords.data.copy_(torch.randn(3, 2, generator=gen(2)))
    found = ours(z)
    found.loss.backward()
    by_hand = torch.stack([2 * (ours.codewords[j].detach() - z[found.codes == j]).sum(0) / z.numel() for j in range(3)])
    torch.testing.assert_close(ours.codewords.grad, by_hand)


def test_I8_the_reconstruction_leaves_the_codebook_alone() -> None:
    ours, z = GradientCodebook(5, 2), torch.randn(8, 2, generator=gen(1)).requires_grad_()
    ours(z).values.square().sum().backward()
    assert ours.codewords.grad is None and z.grad is not None


def test_vectors_are_the_codewords_of_the_codes() -> None:
    ours = GradientCodebook(6, 2)
    z = ours.codewords.detach()[[4, 0, 5]]
    assert ours(z).codes.tolist() == [4, 0, 5]
    assert torch.equal(ours.vectors(torch.tensor([4, 0, 5])), z)


def test_codewords_begin_in_a_small_cube() -> None:
    torch.manual_seed(0)
    first = first_codewords(50, 4)
    assert first.shape == (50, 4) and first.abs().max() <= 1 / 50 < 1.2 * first.abs().max()
    assert abs(float(first.mean())) < 0.003


def test_codewords_begin_on_vectors_of_the_batch_no_one_twice() -> None:
    z = torch.randn(9, 2, generator=gen(1))
    ours = GradientCodebook(6, 2)
    ours.begin(z, gen(2))
    found = [int((row == z).all(1).nonzero()) for row in ours.codewords]
    assert len(set(found)) == 6 and found != sorted(found)
    assert ours.codewords.requires_grad and ours.codewords.grad is None
    with rejects("z: got 5 vectors, wanted at least one for each of the 6"):
        ours.begin(z[:5], gen(2))


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        (lambda q: q(torch.zeros(4, 2)), "z: got"),
        (lambda q: q(torch.full((4, 3), torch.nan)), "z: got 12 values that are NaN"),
        (lambda q: q.vectors(torch.tensor([0, 6])), "codes"),
        (lambda q: straight_through(torch.zeros(3, 2), torch.zeros(1, 2)), "codeword"),
        (lambda q: vq_loss(torch.zeros(3, 2), torch.zeros(1, 2), 0.2), "codeword"),
        (lambda q: vq_loss(torch.zeros(3, 2), torch.zeros(3, 2), -0.2), "beta"),
        (lambda q: GradientCodebook(0, 2), "size"),
        (lambda q: GradientCodebook(4, 2, beta=-1.0), "beta"),
    ],
)
def test_bad_input(call, pattern: str) -> None:
    with rejects(pattern):
        call(GradientCodebook(6, 3))
