"""The transformer blocks: the printed equations in float64, what control sees and changes."""

import math

import torch
from torch import nn

from companion.image.stable_diffusion.text_blocks import GatedGELU, TextAttention, TextBlock
from tests.conftest import gen


def random_block(width: int = 6, heads: int = 2, context: int = 5) -> TextBlock:
    block, generator = TextBlock(width, heads, context).double(), gen(1)  # one for all: else norms would be alike
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_(std=0.5, generator=generator)
    return block.eval()


X, TEXT = torch.randn(2, 4, 6, generator=gen(2)).double(), torch.randn(2, 3, 5, generator=gen(3)).double()


def by_hand(block: TextBlock, x: torch.Tensor, text: torch.Tensor, heads: int = 2) -> torch.Tensor:
    """eq-sd-self, eq-sd-cross, eq-sd-geglu, head by head; heads scale by √(head width) I19."""

    def look(layer, x, c):
        rows = slice(None)
        found = []
        d = x.shape[-1] // heads
        for h in range(heads):
            rows = slice(h * d, (h + 1) * d)
            q, k, v = x @ layer.q.weight[rows].T, c @ layer.k.weight[rows].T, c @ layer.v.weight[rows].T
            found.append((q @ k.transpose(1, 2) / math.sqrt(d)).softmax(-1) @ v)
        return torch.cat(found, -1) @ layer.out.weight.T + layer.out.bias

    n = block.norm1(x)
    x = x + look(block.attn1, n, n)
    x = x + look(block.attn2, block.norm2(x), text)
    h, g = (block.norm3(x) @ block.ff.widen.weight.T + block.ff.widen.bias).chunk(2, -1)
    gelu = g * 0.5 * (1 + torch.erf(g / math.sqrt(2)))
    return x + (h * gelu) @ block.ff.narrow.weight.T + block.ff.narrow.bias


@torch.no_grad()
def test_a_block_is_what_is_printed() -> None:
    block = random_block()
    torch.testing.assert_close(block(X, TEXT), by_hand(block, X, TEXT))


@torch.no_grad()
def test_one_word_moves_all_places_alike() -> None:
    """With a single word the softmax has no choice: attention to it is a constant shift."""
    block = random_block()
    shift = block.attn2(block.norm2(X), TEXT[:, :1])
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift))


@torch.no_grad()
def test_control_sees_shares_that_sum_to_1_and_what_it_returns_is_used() -> None:
    block, seen = random_block(), []
    free = block(X, TEXT)
    mask = torch.tensor([[True, True, False], [True] * 3])
    plain = block(X, TEXT, mask)
    block.control = lambda a: seen.append(a) or a
    torch.testing.assert_close(block(X, TEXT, mask), plain)
    (a,) = seen
    assert a.shape == (2, 2, 4, 3) and (a[0, ..., 2] == 0).all()
    torch.testing.assert_close(a.sum(-1), torch.ones_like(a[..., 0]))
    block.control = lambda a: torch.eye(3)[0].double().expand_as(a)  # all look at the first word
    torch.testing.assert_close(block(X, TEXT), random_block()(X, TEXT[:, :1]))
    block.control = None
    torch.testing.assert_close(block(X, TEXT), free)


@torch.no_grad()
def test_a_picture_goes_through_as_places_and_comes_back_in_order() -> None:
    layer = TextAttention(6, 2, 5, groups=3).eval()
    generator = gen(1)
    for parameter in layer.parameters():
        parameter.normal_(std=0.5, generator=generator)
    x, text = torch.randn(2, 6, 2, 3, generator=gen(4)), TEXT.float()
    places = nn.functional.group_norm(x, 3, layer.norm.weight, layer.norm.bias, 1e-6).permute(0, 2, 3, 1)
    inner = layer.transformer_blocks[0](layer.proj_in(places.reshape(2, 6, 6)), text)
    want = x + layer.proj_out(inner).reshape(2, 2, 3, 6).permute(0, 3, 1, 2)
    torch.testing.assert_close(layer(x, text), want)


def test_the_dense_half_is_four_times_as_wide() -> None:
    assert GatedGELU(3).narrow.in_features == 12 and GatedGELU(3).widen.out_features == 24
