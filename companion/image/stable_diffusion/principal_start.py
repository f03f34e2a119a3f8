r"""An autoencoder that begins as the best linear one: principal components, in the weights of an `AutoencoderKL`.

From random weights a small autoencoder needs minutes to do what a singular value decomposition does at once. So the weights of
one with a single level begin such that it *is* that decomposition, V the k directions in which the places' numbers vary most:

- :math:`z = V^T (x - m) / c, \quad D(z) = m + c V z` (eq-sd-principal)

and training goes on from there. Every number travels as a pair of channels, h and -h, which makes the bend linear, and a pair
of large constants B and -B beside them makes the norm's divisor nearly the same for all pictures:

- :math:`\mathrm{silu}(h) - \mathrm{silu}(-h) = h` (eq-sd-pair)

Residual blocks and attention add nothing at first; what training makes of them is what the linear map lacks.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.image.stable_diffusion.autoencoder import AutoencoderKL, Decoder, Encoder
from companion.nn.unet_blocks import ImageAttention, ResidualBlock
from companion.validate import Finite, Positive, checked

CONSTANT = 16.0
"""B, of the pair that steadies the norm."""
_FREE = 0.3  # what the weights of the channels that carry nothing yet are multiplied by


@torch.no_grad()
@checked
def begin_at_principal_components(
    model: AutoencoderKL, pictures: Finite[Tensor, "n channels height width"], noise: Positive = 0.05
) -> None:
    """Give an untrained autoencoder weights with which it encodes and decodes by principal components (eq-sd-principal).

    Args:
        model: of one level and one group, with 2 (latent channels) + 2 channels at least.
        pictures: as the model takes them; a few hundred.
        noise: the posterior's standard deviation at first; latents spread by 1.

    Raises:
        ValueError: a model of another form.
    """
    config = model.config
    k, width = config.latent_channels, config.widths[0]
    if len(config.widths) > 1 or config.groups > 1 or width < 2 * k + 2 or not config.quant_conv:
        got = f"widths {config.widths}, {config.groups} groups, quant_conv {config.quant_conv}"
        raise ValueError(
            f"model: got {got}, wanted one level of at least {2 * k + 2} channels, one group and quant_conv"
        )
    places = pictures.movedim(1, -1).flatten(0, 2)
    mean = places.mean(0)
    _, spread, rows = torch.linalg.svd(places - mean, full_matrices=False)
    directions = rows[:k]
    c = float((spread[:k].square().sum() / len(places) / k).sqrt())
    for module in model.modules():
        if isinstance(module, ResidualBlock):
            _zero(module.conv2)
        elif isinstance(module, ImageAttention):
            _zero(module.attention.out)
    for conv, identity in ((model.quant_conv, torch.eye(2 * k)), (model.post_quant_conv, torch.eye(k))):
        conv.weight.copy_(identity[:, :, None, None])
        conv.bias.zero_()
    _in(model.encoder, directions / c, -directions @ mean / c)
    z = (places - mean) @ directions.T / c
    shape = (len(pictures), *pictures.shape[2:], k)
    _out(model.encoder, torch.cat([torch.eye(k), torch.zeros(k, k)]), pictures)
    model.encoder.conv_out.bias[k:] = 2 * torch.tensor(noise).log()
    _in(model.decoder, torch.eye(k), torch.zeros(k))
    _out(model.decoder, c * directions.T, z.reshape(shape).movedim(-1, 1))
    model.decoder.conv_out.bias.copy_(mean)


def _zero(layer: nn.Module) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def _in(half: Encoder | Decoder, rows: Float[Tensor, "k numbers"], bias: Float[Tensor, "k"]) -> None:
    """The first convolution: k numbers of each place in pairs, then the pair of constants, then what was there, smaller."""
    conv, k = half.conv_in, len(rows)
    conv.weight.mul_(_FREE)
    conv.bias.zero_()
    conv.weight[: 2 * k + 2] = 0
    conv.weight[:k, :, 1, 1], conv.weight[k : 2 * k, :, 1, 1] = rows, -rows
    conv.bias[:k], conv.bias[k : 2 * k] = bias, -bias
    conv.bias[2 * k], conv.bias[2 * k + 1] = CONSTANT, -CONSTANT


def _out(half: Encoder | Decoder, rows: Float[Tensor, "numbers k"], given: Float[Tensor, "n channels h w"]) -> None:
    """The last convolution: numbers from the pairs (eq-sd-pair), times what the norm divides by on what is given."""
    conv, k = half.conv_out, rows.shape[1]
    divisor = half.conv_in(given).flatten(1).std(1).mean()
    _zero(conv)
    conv.weight[:, :k, 1, 1], conv.weight[:, k : 2 * k, 1, 1] = divisor * rows, -divisor * rows
