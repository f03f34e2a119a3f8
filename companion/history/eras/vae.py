r"""2013: a variational autoencoder of grey pictures.

Kingma & Welling, "Auto-Encoding Variational Bayes", arXiv:1312.6114: encoder and decoder with a hidden layer of tanh units
each, a Gaussian code, one draw of it for each picture, batches of 100 (`companion.foundations.vae`, `.elbo`). The decoder
gives the mean :math:`\mu` and the width of every pixel; its likelihood is that of four greys (eq-eras-mass), so the bound

.. math:: -\log P(x) \le -E_q \log P(x \mid z) + KL(q(z \mid x) \| p(z))

(eq-eras-elbo) is one on a probability. Departures: that likelihood, where they took grey values for probabilities of ink; AdamW
(2017) and averaged weights instead of Adagrad, which learns far less within these budgets.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.foundations.elbo import elbo, iwae
from companion.foundations.vae import VAE
from companion.history.eras.grey import PIXELS, SIDE, Pictures, log_mass
from companion.validate import Count, checked

BATCH = 100


class GreyLikelihood(nn.Module):
    """p(x | z) of grey pixels; the decoder gives the means, then the logarithms of the widths."""

    def check(self, x: Tensor) -> None:
        """Whether all are greys is checked where pictures enter (`companion.history.eras.grey.grey_index`)."""

    def log_prob(self, output: Float[Tensor, "n outputs"], x: Float[Tensor, "n pixels"]) -> Float[Tensor, "n"]:
        mean, log_width = output.chunk(2, dim=1)
        return log_mass(x, mean, log_width.clamp(-5, 3))

    def mean(self, output: Float[Tensor, "n outputs"]) -> Float[Tensor, "n pixels"]:
        return output.chunk(2, dim=1)[0].clamp(-1, 1)


class GreyVAE(VAE):
    """The VAE of the lesson, which takes and draws pictures."""

    @checked
    def __init__(self, hidden: Count = 200, latent: Count = 10) -> None:
        encoder = nn.Sequential(nn.Linear(PIXELS, hidden), nn.Tanh(), nn.Linear(hidden, 2 * latent))
        decoder = nn.Sequential(nn.Linear(latent, hidden), nn.Tanh(), nn.Linear(hidden, 2 * PIXELS))
        super().__init__(encoder, decoder, GreyLikelihood(), (PIXELS,), (latent,))

    def draw(self, n: int, generator: torch.Generator) -> Pictures:
        """The decoder's means for n codes from the prior."""
        return self.sample(n, generator).reshape(-1, 1, SIDE, SIDE)

    @torch.no_grad()
    def bound(self, images: Pictures, generator: torch.Generator, draws: int = 1) -> Float[Tensor, "n"]:
        """An upper bound on -log P of each picture in nats: the ELBO's, or the importance-weighted one of more draws."""
        x = images.flatten(1)
        return -(elbo(self, x, generator).value if draws == 1 else iwae(self, x, draws, generator))


def vae_loss(model: GreyVAE, batch: tuple[Tensor, ...], generator: torch.Generator) -> Float[Tensor, ""]:
    """The mean of the bound (eq-eras-elbo), for `companion.training.train`."""
    return -elbo(model, batch[0].flatten(1), generator).value.mean()
