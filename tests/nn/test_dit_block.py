"""The DiT block: parity with diffusers, the identity at the start, dependence."""

import torch
from torch import nn

from companion.nn.dit_block import DiTBlock, DiTHead
from tests.conftest import rejects

WIDTH, HEADS = 24, 3


def awake(module: nn.Module) -> nn.Module:
    """The same module with random weights where it starts with zeros."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    return module.eval()


class Given(nn.Module):
    """Stands in for diffusers' embedding of time and class: the condition itself."""

    def forward(self, timestep, class_labels, hidden_dtype=None):
        return timestep


class TestParity:
    def test_equals_diffusers_block(self):
        """The same weights in diffusers' ``BasicTransformerBlock`` with ``ada_norm_zero``, the block of its DiT."""
        from diffusers.models.attention import BasicTransformerBlock

        theirs = BasicTransformerBlock(
            WIDTH, HEADS, WIDTH // HEADS, activation_fn="gelu-approximate", attention_bias=True,
            num_embeds_ada_norm=10, norm_type="ada_norm_zero", norm_elementwise_affine=False, norm_eps=1e-6,
        ).eval()  # fmt: skip
        awake(theirs).norm1.emb = Given()
        ours = DiTBlock(WIDTH, HEADS)
        pairs = {
            "attention.q": "attn1.to_q", "attention.k": "attn1.to_k", "attention.v": "attn1.to_v",
            "attention.out": "attn1.to_out.0", "mlp.0": "ff.net.0.proj", "mlp.2": "ff.net.2",
            "modulation": "norm1.linear",
        }  # fmt: skip
        for mine, other in pairs.items():
            ours.get_submodule(mine).load_state_dict(theirs.get_submodule(other).state_dict())
        x, condition = torch.randn(2, 5, WIDTH), torch.randn(2, WIDTH)
        want = theirs(x, timestep=condition, class_labels=condition)
        torch.testing.assert_close(ours.eval()(x, condition), want, rtol=1e-5, atol=1e-5)

    def test_printed_equation_I60(self):
        """``eq-sora-adaln`` as the lesson prints it, in float64."""
        block = awake(DiTBlock(WIDTH, HEADS)).double()
        x, c = torch.randn(2, 5, WIDTH).double(), torch.randn(2, WIDTH).double()
        b1, g1, a1, b2, g2, a2 = (p[:, None] for p in block.modulation(c * c.sigmoid()).chunk(6, -1))

        def ln(x):
            return (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-6).sqrt()

        want = x + a1 * block.attention((1 + g1) * ln(x) + b1)
        want = want + a2 * block.mlp((1 + g2) * ln(want) + b2)
        torch.testing.assert_close(block(x, c), want, rtol=0, atol=1e-10)


class TestDependence:
    def test_a_new_block_is_the_identity_and_a_new_head_is_zero(self):
        x, condition = torch.randn(2, 5, WIDTH), torch.randn(2, WIDTH)
        assert torch.equal(DiTBlock(WIDTH, HEADS)(x, condition), x)
        assert not DiTHead(WIDTH, 7)(x, condition).any()

    def test_a_new_block_learns_all_the_same(self):
        """The gates are zero but their gradients are not; without that the block would stay the identity."""
        block = DiTBlock(WIDTH, HEADS)
        block(torch.randn(2, 5, WIDTH), torch.randn(2, WIDTH)).square().sum().backward()
        gates = block.modulation.weight.grad.view(6, WIDTH, WIDTH)
        assert all(gates[i].abs().max() > 0 for i in (2, 5))

    def test_the_condition_matters_and_only_to_its_own_example_I47(self):
        block, x, condition = awake(DiTBlock(WIDTH, HEADS)), torch.randn(3, 5, WIDTH), torch.randn(3, WIDTH)
        changed = condition.clone()
        changed[1] += 1
        moved = (block(x, condition) - block(x, changed)).abs().amax((1, 2))
        assert moved[1] > 1e-3 and moved[0] == 0 and moved[2] == 0

    def test_padding_does_not_matter_I24(self):
        block, x, condition = awake(DiTBlock(WIDTH, HEADS)), torch.randn(2, 6, WIDTH), torch.randn(2, WIDTH)
        real = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
        other = torch.where(real[..., None], x, torch.full_like(x, 100.0))
        torch.testing.assert_close(block(x, condition, real)[real], block(other, condition, real)[real])
        alone = block(x[1:, :4], condition[1:])
        torch.testing.assert_close(block(x, condition, real)[1:, :4], alone, rtol=1e-5, atol=1e-5)

    def test_permuting_tokens_permutes_the_output_I58(self):
        block, x, condition = awake(DiTBlock(WIDTH, HEADS)), torch.randn(2, 6, WIDTH), torch.randn(2, WIDTH)
        order = torch.randperm(6)
        torch.testing.assert_close(block(x[:, order], condition), block(x, condition)[:, order], rtol=1e-5, atol=1e-5)


def test_bad_input():
    with rejects("width"):
        DiTBlock(0, 1)
    with rejects("condition"):
        DiTBlock(WIDTH, HEADS)(torch.zeros(2, 5, WIDTH), torch.zeros(3, WIDTH))
