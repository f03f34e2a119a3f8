r"""DCGAN: transposed convolutions that double the picture, batch normalisation, strided convolutions back.

Radford, Metz & Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
arXiv:1511.06434, section 3: no pooling, batch normalisation but at the generator's output and the critic's input, rectifiers in
the generator and leaky ones of slope 0.2 in the critic, tanh at the end, weights of standard deviation 0.02, Adam of rate 2e-4
with :math:`\beta_1 = 0.5`.

Departures: pictures of 8 to 32 pixels, so one to three doublings from a grid whose side is at least 4; kernels of 4, where the
paper has 5 (`companion.image.gan.checkerboard` says why).
"""

from jaxtyping import Float
from torch import Tensor, nn

from companion.validate import Count, check_count, checked

LATENT = 64
COLOURS = 3


def doublings(side: int) -> tuple[int, int]:
    """How often a grid doubles on its way to a picture of that side, and the grid's side; the grid is at least 4 wide."""
    check_count("side", side, low=8)
    count = 0
    while side % 2 == 0 and side >= 8:
        side, count = side // 2, count + 1
    if not count:
        raise ValueError(f"side: got {side}, wanted an even number")
    return count, side


class Generator(nn.Module):
    """From z to a picture in (-1, 1).

    Args:
        side: of the picture.
        width: channels at the last doubling; twice as many at each one before.
        norm: batch normalisation.
    """

    @checked
    def __init__(self, side: Count, width: Count, *, norm: bool = True, latent: Count = LATENT) -> None:
        super().__init__()
        count, grid = doublings(side)
        inputs = width * 2 ** (count - 1)
        layers = [nn.ConvTranspose2d(latent, inputs, grid, bias=not norm), *_after(inputs, norm, nn.ReLU())]
        for level in range(count - 1, 0, -1):
            outputs = width * 2 ** (level - 1)
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=not norm), *_after(outputs, norm, nn.ReLU())]
            inputs = outputs
        self.net = nn.Sequential(*layers, nn.ConvTranspose2d(inputs, COLOURS, 4, 2, 1), nn.Tanh())
        self.apply(_start)

    @checked
    def forward(self, z: Float[Tensor, "n latent"]) -> Float[Tensor, "n 3 side side"]:
        return self.net(z[:, :, None, None])


class Critic(nn.Module):
    """The generator backwards: one score for each picture."""

    @checked
    def __init__(self, side: Count, width: Count, *, norm: bool = True) -> None:
        super().__init__()
        count, grid = doublings(side)
        layers: list[nn.Module] = [nn.Conv2d(COLOURS, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        inputs = width
        for _ in range(count - 1):
            layers += [
                nn.Conv2d(inputs, 2 * inputs, 4, 2, 1, bias=not norm),
                *_after(2 * inputs, norm, nn.LeakyReLU(0.2)),
            ]
            inputs *= 2
        self.net = nn.Sequential(*layers, nn.Conv2d(inputs, 1, grid), nn.Flatten())
        self.apply(_start)

    @checked
    def forward(self, images: Float[Tensor, "n 3 side side"]) -> Float[Tensor, "n 1"]:
        return self.net(images)


def _after(channels: int, norm: bool, activation: nn.Module) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), activation] if norm else [activation]


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)
