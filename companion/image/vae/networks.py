r"""Two convolutional networks around a narrow place: pictures of 28×28 become a grid of 4×4, and come back.

Squares of 4×4 pixels become channels, as in a vision transformer, so the networks work on 7×7 places; one convolution with
stride 2 leaves 4×4 of them. A residual block on each side of the narrow place looks at it once more, as in van den Oord et al.,
arXiv:1711.00937, section 4. The decoder is the encoder backwards. What stands in the narrow place is the subject of the lesson:

- `digit_vae`: all 16 places in one vector, from it :math:`\mu, \log \sigma^2` of ``latent`` numbers (Kingma & Welling,
  arXiv:1312.6114); `companion.foundations.vae` holds the model and `companion.foundations.elbo` its bound.
- `companion.image.vae.tokenizer`: one of K codes for each place.

Departures: channels for squares in place of two more convolutions (half the time, no less quality, on pictures this small);
the encoder's last features are normalised (Wu & He, arXiv:1803.08494), so that what quantises them meets numbers of order 1.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.foundations.vae import VAE, Likelihood
from companion.validate import Count, checked

SIDE, SQUARE, GRID = 28, 4, 4


class Residual(nn.Module):
    """x and what a small network makes of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.SiLU(), nn.Conv2d(channels, channels, 1)
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x + self.inner(x)


class Encoder(nn.Module):
    """Pictures as a grid of feature vectors: (n, 1, 28, 28) to (n, features, 4, 4).

    Args:
        features: of each place of the grid.
        width: channels in between.
    """

    @checked
    def __init__(self, features: Count, width: Count = 48) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.PixelUnshuffle(SQUARE), nn.Conv2d(SQUARE**2, width, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1), nn.SiLU(),
            Residual(width), nn.GroupNorm(1, width), nn.SiLU(), nn.Conv2d(width, features, 1),
        )  # fmt: skip

    def forward(self, images: Float[Tensor, "n 1 height width"]) -> Float[Tensor, "n features rows columns"]:
        """Of pictures with sides of 4 times an odd number; of others the decoder would not find back the size."""
        if any(side % (2 * SQUARE) != SQUARE for side in images.shape[2:]):
            raise ValueError(
                f"images: got sides {tuple(images.shape[2:])}, wanted 4 times an odd number, such as 20 or 28"
            )
        return self.net(images)


class Decoder(nn.Module):
    """A grid of feature vectors as pictures: the encoder's steps backwards."""

    @checked
    def __init__(self, features: Count, width: Count = 48) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(features, width, 1), Residual(width), nn.SiLU(),
            nn.ConvTranspose2d(width, width, 3, stride=2, padding=1), nn.SiLU(),
            nn.Conv2d(width, SQUARE**2, 3, padding=1), nn.PixelShuffle(SQUARE),
        )  # fmt: skip

    def forward(self, grid: Float[Tensor, "n features rows columns"]) -> Float[Tensor, "n 1 height width"]:
        return self.net(grid)


@checked
def digit_vae(latent: Count, likelihood: Likelihood, width: Count = 48) -> VAE:
    """A VAE of pictures of shape (n, 1, 28, 28) whose code is one vector of ``latent`` numbers."""
    places = GRID * GRID * width
    head = nn.Linear(places, 2 * latent)
    with torch.no_grad():  # every q(z | x) starts with variance 1
        head.weight[latent:] = 0
        head.bias[latent:] = 0
    encoder = nn.Sequential(Encoder(width, width), nn.SiLU(), nn.Flatten(), head)
    decoder = nn.Sequential(
        nn.Linear(latent, places), nn.Unflatten(1, (width, GRID, GRID)), nn.SiLU(), Decoder(width, width)
    )
    return VAE(encoder, decoder, likelihood, (1, SIDE, SIDE), (latent,))
