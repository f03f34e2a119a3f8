r"""2013: a variational autoencoder of grey pictures.

Kingma & Welling, "Auto-Encoding Variational Bayes", arXiv:1312.6114: encoder and decoder of fully connected layers with tanh
units, a Gaussian code, one draw of it for each picture (`companion.foundations.vae`). The decoder gives one number
:math:`a` for each pixel. Grey values were often put into the cross-entropy of a pixel that is black or white, which is no
probability of greys; divided by its sum over the four greys k = 0, …, 3 it is one:

.. math:: P(k) = \frac{e^{k a}}{\sum_{j=0}^{3} e^{j a}}

(eq-eras-grey-odds). So the bound

.. math:: -\log P(x) \le -E_q \log P(x \mid z) + KL(q(z \mid x) \| p(z))

(eq-eras-elbo) is one on a probability. Departures: that division; two hidden layers each (with one, many codes from the
prior decoded to black sheets within the lesson's budget); AdamW (2017) and averaged weights.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from companion.foundations.elbo import elbo, iwae
from companion.foundations.vae import VAE
from companion.history.eras.grey import HALF, PIXELS, SIDE, Pictures, grey_index
from companion.training.precision import widened
from companion.validate import Count, checked

BATCH = 100


class GreyLikelihood(nn.Module):
    """p(x | z) of independent grey pixels; the decoder gives the logarithm of the odds of a grey to the next lighter one.

    The sum that divides (eq-eras-grey-odds) is (1 + e^a)(1 + e^2a): k is two independent binary digits with the logits a and
    2a. Two softplus are several times as fast as a softmax over the greys, which took most of an update's time.
    """

    def check(self, x: Tensor) -> None:
        grey_index(x)

    def log_prob(self, output: Float[Tensor, "n pixels"], x: Float[Tensor, "n pixels"]) -> Float[Tensor, "n"]:
        a, k = widened(output), (widened(x) + 1) / (2 * HALF)
        return (k * a - softplus(a) - softplus(2 * a)).sum(1)

    def mean(self, output: Float[Tensor, "n pixels"]) -> Float[Tensor, "n pixels"]:
        a = widened(output)
        return 2 * HALF * (torch.sigmoid(a) + 2 * torch.sigmoid(2 * a)) - 1


class GreyVAE(VAE):
    """The VAE of the lesson, which takes and draws pictures."""

    @checked
    def __init__(self, hidden: Count = 230, latent: Count = 10) -> None:
        encoder, decoder = (
            nn.Sequential(
                nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, outputs)
            )
            for inputs, outputs in ((PIXELS, 2 * latent), (latent, PIXELS))
        )
        super().__init__(encoder, decoder, GreyLikelihood(), (PIXELS,), (latent,))

    def draw(self, n: int, generator: torch.Generator) -> Pictures:
        """The mean greys for n codes from the prior."""
        return self.sample(n, generator).reshape(-1, 1, SIDE, SIDE)

    @torch.no_grad()
    def bound(self, images: Pictures, generator: torch.Generator, draws: int = 1) -> Float[Tensor, "n"]:
        """An upper bound on -log P of each picture in nats: the ELBO's, or the importance-weighted one of more draws."""
        x = images.flatten(1)
        return -(elbo(self, x, generator).value if draws == 1 else iwae(self, x, draws, generator))


def vae_loss(model: GreyVAE, batch: tuple[Tensor, ...], generator: torch.Generator) -> Float[Tensor, ""]:
    """The mean of the bound (eq-eras-elbo), for `companion.training.train`."""
    return -elbo(model, batch[0].flatten(1), generator).value.mean()
