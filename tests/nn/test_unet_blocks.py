"""The pieces of the U-Net, each against diffusers' or against what its equation says."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion.nn.unet_blocks import Double, Halve, ImageAttention, Middle, ResidualBlock


@pytest.mark.parametrize(("channels_in", "channels_out"), [(6, 9), (6, 6)])
def test_residual_block_as_printed_I60(channels_in, channels_out):
    """``eq-unet-block`` from its parts, in float64; the 1×1 convolution stands only where the channels change."""
    block = ResidualBlock(channels_in, channels_out, 5, groups=3).double()
    x, e = torch.randn(2, channels_in, 4, 7).double(), torch.randn(2, 5).double()
    h = block.conv1(F.silu(F.group_norm(x, 3, block.norm1.weight, block.norm1.bias)))
    h = h + (F.silu(e) @ block.time_emb_proj.weight.T + block.time_emb_proj.bias).reshape(2, channels_out, 1, 1)
    h = block.conv2(F.silu(F.group_norm(h, 3, block.norm2.weight, block.norm2.bias)))
    by = x if channels_in == channels_out else block.conv_shortcut(x)
    assert (block.conv_shortcut is None) == (channels_in == channels_out)
    torch.testing.assert_close(block(x, F.silu(e)), by + h, rtol=0, atol=1e-12)


def test_a_block_that_is_told_nothing_is_one_whose_told_part_is_zero():
    """As in an autoencoder: no map of the embedding, and the same numbers otherwise."""
    told, plain = ResidualBlock(6, 9, 5, groups=3), ResidualBlock(6, 9, None, groups=3)
    assert plain.time_emb_proj is None
    nn.init.zeros_(told.time_emb_proj.bias)
    plain.load_state_dict({k: v for k, v in told.state_dict().items() if "time_emb" not in k})
    x = torch.randn(2, 6, 4, 7)
    torch.testing.assert_close(plain(x), told(x, torch.zeros(2, 5)))


@pytest.mark.parametrize("padding", [0, 1])
def test_halve_equals_diffusers(padding):
    from diffusers.models.downsampling import Downsample2D

    ours, theirs = Halve(3, padding=padding), Downsample2D(3, use_conv=True, padding=padding)
    theirs.conv.load_state_dict(ours.conv.state_dict())
    x = torch.randn(2, 3, 6, 10)
    assert ours(x).shape == (2, 3, 3, 5)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-6)


def test_double_repeats_every_pixel():
    double = Double(2)
    nn.init.dirac_(double.conv.weight)
    nn.init.zeros_(double.conv.bias)
    x = torch.randn(2, 2, 3, 5)
    torch.testing.assert_close(double(x), x.repeat_interleave(2, 2).repeat_interleave(2, 3), rtol=0, atol=0)


def test_attention_does_not_know_where_pixels_stand():
    """No positions: pixels in another order give the same outputs in that order; turning the picture turns them."""
    attend = ImageAttention(8, head_width=4, groups=2)
    x = torch.randn(2, 8, 3, 5)
    torch.testing.assert_close(attend(x.transpose(2, 3)), attend(x).transpose(2, 3), rtol=0, atol=1e-5)
    order = torch.randperm(15)
    shuffled = x.flatten(2)[:, :, order].reshape(x.shape)
    torch.testing.assert_close(attend(shuffled).flatten(2), attend(x).flatten(2)[:, :, order], rtol=0, atol=1e-5)


def test_attention_equals_diffusers():
    from diffusers.models.attention_processor import Attention

    theirs = Attention(12, heads=3, dim_head=4, norm_num_groups=4, residual_connection=True, bias=True, eps=1e-5)
    ours = ImageAttention(12, head_width=4, groups=4)
    ours.group_norm.load_state_dict(theirs.group_norm.state_dict())
    for name, layer in (("q", theirs.to_q), ("k", theirs.to_k), ("v", theirs.to_v), ("out", theirs.to_out[0])):
        getattr(ours.attention, name).load_state_dict(layer.state_dict())
    x = torch.randn(2, 12, 3, 5)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-5)


def test_middle_keeps_the_shape_and_uses_the_embedding():
    middle = Middle(6, 4, head_width=None, groups=2, eps=1e-5, dropout=0.0)
    x = torch.randn(2, 6, 3, 5)
    before, after = middle(x, torch.zeros(2, 4)), middle(x, torch.tensor([[0.0] * 4, [1.0] * 4]))
    assert before.shape == x.shape
    torch.testing.assert_close(before[0], after[0], rtol=0, atol=1e-6)
    assert (before[1] - after[1]).abs().max() > 1e-3
