r"""The autoencoder of latent diffusion: a picture becomes a small grid of numbers, and comes back.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", 2021, arXiv:2112.10752, section 3.1 and
appendix G. The encoder says a mean and a variance for every number of the grid; training draws from them:

- :math:`q(z | x) = N(\mu(x), \sigma^2(x))`, :math:`z = \mu + \sigma \epsilon` (eq-sd-posterior)
- :math:`L = \tfrac1d \| x - D(z) \|_1 + \tfrac{\beta}{d}\, KL(q(z | x) \,\|\, N(0, 1))` (eq-sd-autoencoder-loss), d the
  numbers of a picture

With a small :math:`\beta` the grid is hardly a code of independent normals, as a VAE's is; the KL only keeps its numbers from
growing without bound, and the noise makes the decoder bear the small errors that a denoiser will leave.

The modules bear the names of diffusers' ``AutoencoderKL``, so `AutoencoderKL.from_pretrained` reads the autoencoders of Stable
Diffusion and its successors. Departures in training, for drawings on plain grounds: no perceptual and no adversarial loss.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from companion.image.stable_diffusion.config import AUTOENCODER_FIELDS, AutoencoderConfig, autoencoder_config
from companion.nn.published import fill, read_config, read_tensors
from companion.nn.unet import unet_names
from companion.nn.unet_blocks import Double, Halve, Level, Middle
from companion.training.random import randn
from companion.validate import Positive, checked

EPS = 1e-6  # of the group normalisations


@dataclass(frozen=True, eq=False)
class Posterior:
    """q(z | x), a normal distribution for each number of the grid (eq-sd-posterior).

    Attributes:
        mean: what to use of a trained model.
        log_variance: from -30 to 20.
    """

    mean: Float[Tensor, "n channels rows columns"]
    log_variance: Float[Tensor, "n channels rows columns"]

    @property
    def std(self) -> Float[Tensor, "n channels rows columns"]:
        """The standard deviations."""
        return (0.5 * self.log_variance).exp()

    def sample(self, generator: Generator) -> Float[Tensor, "n channels rows columns"]:
        """A draw that passes gradients on to mean and variance."""
        return self.mean + self.std * randn(self.mean.shape, generator, self.mean)

    def kl(self) -> Float[Tensor, "n"]:
        """KL(q(z | x) ‖ N(0, 1)) of each picture, in nats, summed over the grid."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance).flatten(1).sum(1)


class _Half(nn.Module):
    """What encoder and decoder have in common: names, and the last norm and convolution."""

    def __init__(self, config: AutoencoderConfig, channels_in: int, channels_out: int, first: int, last: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels_in, first, 3, padding=1)
        self.mid_block = Middle(config.widths[-1], None, head_width=None, groups=config.groups, eps=EPS, dropout=0.0)
        if not config.attention:
            self.mid_block.attentions = nn.ModuleList([nn.Identity()])
        self.conv_norm_out = nn.GroupNorm(config.groups, last, EPS)
        self.conv_out = nn.Conv2d(last, channels_out, 3, padding=1)

    def _out(self, x: Tensor) -> Tensor:
        return self.conv_out(F.silu(self.conv_norm_out(x)))


def _level(config: AutoencoderConfig, ins: list[int], width: int, resize: Halve | Double | None) -> Level:
    common = {"attention": False, "head_width": None, "groups": config.groups, "eps": EPS, "dropout": 0.0}
    return Level(ins, width, None, resize=resize, **common)


class Encoder(_Half):
    """Pictures to 2 × latent channels at each place of the grid."""

    def __init__(self, config: AutoencoderConfig) -> None:
        widths = config.widths
        super().__init__(config, config.in_channels, 2 * config.latent_channels, widths[0], widths[-1])
        levels, before = [], widths[0]
        for i, width in enumerate(widths):
            resize = Halve(width, padding=0) if i < len(widths) - 1 else None
            levels.append(_level(config, [before] + [width] * (config.layers - 1), width, resize))
            before = width
        self.down_blocks = nn.ModuleList(levels)

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n moments rows columns"]:
        """Height and width divisible by the factor."""
        x = self.conv_in(x)
        for level in self.down_blocks:
            for i in range(len(level.resnets)):
                x = level.block(i, x)
            for halve in level.downsamplers:
                x = halve(x)
        return self._out(self.mid_block(x))


class Decoder(_Half):
    """The grid to pictures."""

    def __init__(self, config: AutoencoderConfig) -> None:
        widths = config.widths[::-1]
        super().__init__(config, config.latent_channels, config.in_channels, widths[0], widths[-1])
        levels, before = [], widths[0]
        for i, width in enumerate(widths):
            resize = Double(width) if i < len(widths) - 1 else None
            levels.append(_level(config, [before] + [width] * config.layers, width, resize))
            before = width
        self.up_blocks = nn.ModuleList(levels)

    def forward(self, z: Float[Tensor, "n channels rows columns"]) -> Float[Tensor, "n out height width"]:
        """Any number of rows and columns."""
        x = self.mid_block(self.conv_in(z))
        for level in self.up_blocks:
            for i in range(len(level.resnets)):
                x = level.block(i, x)
            for double in level.upsamplers:
                x = double(x)
        return self._out(x)


class AutoencoderKL(nn.Module):
    """The autoencoder of Stable Diffusion, whole."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        z = config.latent_channels
        self.quant_conv = nn.Conv2d(2 * z, 2 * z, 1) if config.quant_conv else nn.Identity()
        self.post_quant_conv = nn.Conv2d(z, z, 1) if config.quant_conv else nn.Identity()

    @checked
    def encode(self, x: Float[Tensor, "n channels={self.config.in_channels} height width"]) -> Posterior:
        """Mean and variance of the grid of each picture, neither shifted nor scaled.

        Raises:
            ValueError: pictures of another form, or with sides that the factor does not divide.
        """
        if any(side % self.config.factor for side in x.shape[2:]):
            raise ValueError(f"x: got sides {tuple(x.shape[2:])}, wanted multiples of {self.config.factor}")
        mean, log_variance = self.quant_conv(self.encoder(x)).chunk(2, dim=1)
        return Posterior(mean, log_variance.clamp(-30, 20))

    @checked
    def decode(
        self, z: Float[Tensor, "n channels={self.config.latent_channels} rows columns"]
    ) -> Float[Tensor, "n out height width"]:
        """The pictures of grids, neither shifted nor scaled."""
        return self.decoder(self.post_quant_conv(z))

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n channels height width"]:
        """Encoded and decoded again, without noise."""
        return self.decode(self.encode(x).mean)

    @classmethod
    def from_pretrained(cls, folder: Path | str, *, dtype: torch.dtype = torch.float32) -> "AutoencoderKL":
        """Read a model from a folder that ``AutoencoderKL.save_pretrained`` of diffusers wrote: config.json and safetensors.

        Args:
            folder: with both.
            dtype: of the parameters, whatever the file's is.

        Raises:
            FileNotFoundError: one of the files is not there.
            ValueError: a variant that this class does not have, or weights that do not fit; the message names them.
        """
        model = cls(autoencoder_config(read_config(folder, AUTOENCODER_FIELDS), str(folder)))
        tensors = read_tensors(folder, "diffusion_pytorch_model")
        # Files of 2022 hold attention's maps as 1×1 convolutions.
        tensors = {k: v[:, :, 0, 0] if ".attentions." in k and v.ndim == 4 else v for k, v in tensors.items()}
        return fill(model, tensors, unet_names(model), where=str(folder), dtype=dtype)


@checked
@dataclass(frozen=True)
class AutoencoderLoss:
    """The loss for `companion.training.train` (eq-sd-autoencoder-loss).

    Attributes:
        beta: the weight of the KL.
    """

    beta: Positive

    def __call__(self, model: AutoencoderKL, batch: tuple[Tensor, ...], generator: Generator) -> Float[Tensor, ""]:
        (x,) = batch
        q = model.encode(x)
        return (model.decode(q.sample(generator)) - x).abs().mean() + self.beta * q.kl().mean() / x[0].numel()
