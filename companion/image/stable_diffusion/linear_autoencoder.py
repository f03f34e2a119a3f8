r"""The best linear autoencoder, and latent diffusion with it in closed form.

Principal components: with m the mean of the pictures and V the k directions in which they vary most,

- :math:`z = V^T (x - m), \quad D(z) = m + V z` (eq-sd-linear)

If the pictures are normal, N(m, C), each :math:`z_i` is N(0, λ_i) by itself, λ the eigenvalues of C, and each step of all that
Stable Diffusion does with them is known: the best denoiser is linear (`companion.diffusion.gaussian`,
eq-gaussian-denoiser), and without fresh noise the exact path from noise ε to data multiplies,

- :math:`x = m + V (\sqrt{\lambda} \odot \epsilon) \sim N(m, V \Lambda V^T)` (eq-sd-linear-whole)

for noise that is all of the first state. So the whole pipeline can be held against a formula, and what the compression costs is
:math:`\sum_{i > k} \lambda_i`, the same for diffusion of any quality.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.diffusion.paths import Path
from companion.diffusion.prediction import Denoiser, Prediction
from companion.image.stable_diffusion.autoencoder import Posterior
from companion.validate import Count, Finite, checked


class LinearAutoencoder(nn.Module):
    """Pictures to k numbers and back, in one place (eq-sd-linear); it stands wherever an `AutoencoderKL` does.

    Args:
        mean: m.
        directions: V, orthonormal columns, one for each number of the code.

    Attributes:
        variances: λ of the k directions, if it was fitted; else ones.
    """

    @checked
    def __init__(self, mean: Float[Tensor, "channels height width"], directions: Float[Tensor, "numbers k"]) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("directions", directions)
        self.register_buffer("variances", torch.ones(directions.shape[1], dtype=mean.dtype))

    @classmethod
    @checked
    def fit(cls, pictures: Finite[Tensor, "n channels height width"], k: Count) -> "LinearAutoencoder":
        """The k principal components of pictures.

        Raises:
            ValueError: more directions than the pictures span.
        """
        if k > min(len(pictures) - 1, pictures[0].numel()):
            raise ValueError(
                f"k: got {k}, wanted at most {min(len(pictures) - 1, pictures[0].numel())} of these pictures"
            )
        mean = pictures.mean(0)
        _, spread, rows = torch.linalg.svd((pictures - mean).flatten(1), full_matrices=False)
        fitted = cls(mean, rows[:k].T.contiguous())
        fitted.variances.copy_(spread[:k].square() / len(pictures))
        return fitted

    @checked
    def encode(self, x: Float[Tensor, "n channels height width"]) -> Posterior:
        """The code, of shape (n, k, 1, 1), with a variance of almost nothing."""
        z = (x - self.mean).flatten(1) @ self.directions
        return Posterior(z[:, :, None, None], torch.full_like(z, -30.0)[:, :, None, None])

    @checked
    def decode(self, z: Float[Tensor, "n k 1 1"]) -> Float[Tensor, "n channels height width"]:
        """The pictures of codes."""
        return self.mean + (z[:, :, 0, 0] @ self.directions.T).unflatten(1, self.mean.shape)


@checked
def normal_denoiser(path: Path, variances: Float[Tensor, "k"]) -> Denoiser:
    """The best denoiser of latents (n, k, 1, 1) whose numbers are N(0, λ_i), each with its own variance."""
    spread = variances[:, None, None]

    def denoiser(z_t: Tensor, t: Tensor) -> Prediction:
        alpha, sigma = path.alpha_sigma(t, z_t)
        part = z_t / (alpha**2 * spread + sigma**2)
        return Prediction(alpha * spread * part, sigma * part)

    return denoiser
