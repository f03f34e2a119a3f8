"""Numeric functions in bfloat16 and float16: as good as float64 on the same inputs, within what the *inputs'* precision allows.

What is accumulated, compared or scaled inside in half precision fails here: a sum that stops growing, a soft-max of rounded
logits, whole numbers that wrap.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import companion.diffusion.ddim as ddim_module
import companion.diffusion.ddpm as ddpm_module
import companion.foundations.elbo as elbo_module
import companion.foundations.vae as vae_module
from companion.diffusion.ddim import ddim_sample
from companion.diffusion.ddpm import ancestral_sample
from companion.diffusion.dpm_solver import dpm_sample
from companion.diffusion.gaussian import gaussian_denoiser
from companion.diffusion.guidance import guide, rescale_guidance
from companion.diffusion.heun import heun_sample
from companion.diffusion.losses import squared_error
from companion.diffusion.paths import Path, RectifiedFlow, VarianceExploding, cosine_schedule
from companion.diffusion.prediction import Denoiser, Prediction
from companion.ethics.bias.measures import amplification, fidelity_gap, parity_gap
from companion.foundations.distributions.families import Bernoulli, Categorical, DiagonalGaussian
from companion.foundations.distributions.mixtures import Mixture
from companion.foundations.elbo import elbo, evaluate, iwae, latent_use
from companion.foundations.losses.coupling_flow import CouplingFlow
from companion.foundations.losses.wasserstein import critic_gap, wasserstein_1d
from companion.foundations.vae import VAE, BernoulliLikelihood, GaussianLikelihood, GaussianPosterior
from companion.future.realtime.quantization import QuantizedLinear, quantize, sqnr
from companion.language.generation import choose
from companion.language.processors import MinP, RepetitionPenalty, Temperature, TopK, TopP
from companion.language.scoring import mean_nats, next_token_loss, token_log_probs
from companion.language.speculative import acceptance, residual
from companion.metrics.frechet import frechet_distance
from companion.metrics.nearest import nearest
from companion.metrics.roc import auc
from companion.nn.attention import attention
from companion.nn.norms import RMSNorm
from companion.nn.unet import UNet, UNetConfig
from companion.training.checkpoint import load_checkpoint, save_checkpoint
from companion.training.loop import mean_over_examples
from companion.training.optimization import EMA, TrainConfig, Updater
from companion.video.measures import flicker, identity, jerk, shift
from tests.conftest import gen

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
IDS = torch.randint(50, (4, 65), generator=gen(1))
COSINE, STRAIGHT, EXPLODING = cosine_schedule(200), RectifiedFlow(), VarianceExploding()


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=gen(seed), dtype=torch.float64)


class Table(nn.Module):
    """A language model whose logits stand in a table: one row for each token before."""

    config = type("Config", (), {"context": 16, "vocab_size": 50})

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, ids: Tensor, *_: object, **__: object) -> Tensor:
        return self.logits[ids]


def shares(values: Tensor) -> Tensor:
    return values.softmax(-1)


def rms_norm(x: Tensor) -> Tensor:
    return RMSNorm(x.shape[-1]).to(x.dtype)(x)


def quantized(weight: Tensor) -> Tensor:
    found = quantize(weight)
    return found.values.double() * found.scale.double()[:, None]


def coarse(model: nn.Module) -> nn.Module:
    """With weights that every type here can hold, so that all of them run the same network."""
    for parameter in model.double().parameters():
        parameter.data = (parameter.data * 16).round() / 16
    return model.eval()


def of_type(make: Callable[[], nn.Module], like: Tensor) -> nn.Module:
    torch.manual_seed(0)
    return coarse(make()).to(like.dtype)


def flow(x: Tensor) -> CouplingFlow:
    return of_type(lambda: CouplingFlow(x.shape[1], layers=6, width=32), x)


def unet(x: Tensor) -> Tensor:
    config = UNetConfig(widths=(16, 32), attention=(False, True), layers=1, classes=11)
    return of_type(lambda: UNet(config), x)(x, 500, torch.tensor([1, 2]))


class Halves(nn.Module):
    """An encoder whose means are half of x, and whose variances are near 1."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x / 2, x / 16], 1)


def vae(x: Tensor) -> VAE:
    model = VAE(Halves(), nn.Identity(), GaussianLikelihood(), x.shape[1:], x.shape[1:])
    model.likelihood.log_sigma.data.fill_(-1.5)
    return model.to(x.dtype)


def mixture(a: Tensor, b: Tensor) -> Mixture:
    parts = tuple(DiagonalGaussian(mean, torch.full_like(mean, 0.5)) for mean in (a, b))
    return Mixture(torch.full_like(a[:2], 0.5).double().log(), parts)


def precise(path: Path) -> Denoiser:
    """Right to the last digit of x's type, so that what is lost is the sampler's loss."""
    exact = gaussian_denoiser(path, 2.0)

    def denoiser(x: Tensor, t: Tensor) -> Prediction:
        found = exact(x.double(), t)
        return Prediction(found.x0.to(x.dtype), found.eps.to(x.dtype))

    return denoiser


# The name, the function, and inputs in float64 that are rounded before either side sees them.
CASES: dict[str, tuple[Callable, tuple[Tensor, ...]]] = {
    "attention": (lambda *qkv: attention(*qkv)[0], (draw(2, 3, 40, 8), draw(2, 3, 40, 8, seed=1), draw(2, 3, 40, 8, seed=2))),
    "RMSNorm": (rms_norm, (300 * draw(3, 500),)),
    "quantize": (quantized, (draw(7, 300),)),
    "sqnr": (lambda w: torch.tensor(sqnr(w, w.round())), (3 * draw(60, 500),)),
    "mean_nats": (lambda table: torch.tensor(mean_nats(Table(table), IDS.flatten())), (5 * draw(50, 50),)),
    "token_log_probs": (lambda table: token_log_probs(Table(table), IDS), (5 * draw(50, 50),)),
    "next_token_loss": (lambda table: next_token_loss(Table(table), (IDS,)), (5 * draw(50, 50),)),
    "Temperature": (lambda x: shares(Temperature(0.7)(IDS[:, :3], x)), (8 * draw(4, 50),)),
    "TopK": (lambda x: shares(TopK(7)(IDS[:, :3], x).double()), (8 * draw(4, 50),)),
    "TopP": (lambda x: shares(TopP(0.95)(IDS[:, :3], x).double()), (draw(4, 4_000),)),
    "MinP": (lambda x: shares(MinP(0.013)(IDS[:, :3], x).double()), (draw(4, 4_000),)),
    "RepetitionPenalty": (lambda x: RepetitionPenalty(1.3)(IDS[:, :3], x), (8 * draw(4, 50),)),
    "acceptance": (acceptance, (shares(draw(4, 3_000)), shares(draw(4, 3_000, seed=1)))),
    "residual": (residual, (shares(draw(4, 30)), shares(draw(4, 30, seed=1)))),
    "guide": (lambda a, b: guide(a, b, 3.0), (draw(4, 1, 8, 8), draw(4, 1, 8, 8, seed=1))),
    "rescale_guidance": (
        lambda a, b: rescale_guidance(a, b, 0.7), (20 * draw(4, 1, 28, 28), 3 * draw(4, 1, 28, 28, seed=1)),
    ),
    "squared_error": (squared_error, (100 * draw(8, 3, 30), 100 * draw(8, 3, 30, seed=1))),
    "DiagonalGaussian": (
        lambda x, mean: DiagonalGaussian(mean, torch.full_like(mean, 1.5)).log_prob(x), (draw(5, 800), draw(800, seed=1)),
    ),
    "Bernoulli": (lambda x, logits: Bernoulli(logits).log_prob((x > 0).to(x.dtype)), (draw(5, 800), draw(800, seed=1))),
    "Categorical": (lambda logits: Categorical(logits).log_prob(IDS[:, :20]), (3 * draw(20, 50),)),
    "critic_gap": (critic_gap, (draw(4_000) + 30, draw(4_000, seed=1))),
    "wasserstein_1d": (wasserstein_1d, (draw(3_000) + 30, draw(3_000, seed=1))),
    "frechet_distance": (lambda a, b: torch.tensor(frechet_distance(a, b)), (draw(400, 6), draw(400, 6, seed=1) + 1)),
    "nearest": (lambda a, b: nearest(a, b).distance, (draw(9, 300) + 5, draw(70, 300, seed=1) + 5)),
    "auc": (lambda a, b: torch.tensor(auc(a, b)), (draw(500) + 1, draw(500, seed=1))),
    "mean_over_examples": (
        lambda x: torch.tensor(mean_over_examples(lambda part: part, (x,))), (draw(5_000) + 100,),
    ),
    "kl_per_latent": (lambda mean, logvar: GaussianPosterior(mean, logvar).wide.kl_per_latent(),
                      (draw(5, 80) / 10, draw(5, 80, seed=1) / 10)),
    "BernoulliLikelihood": (
        lambda logits, x: BernoulliLikelihood().log_prob(logits, (x > 0).to(x.dtype)), (draw(5, 800), draw(5, 800, seed=1)),
    ),
    "elbo": (lambda x: elbo(vae(x), x, gen()).value, (9 * draw(5, 800),)),
    "elbo's KL": (lambda x: elbo(vae(x), x, gen()).kl, (draw(5, 80) / 5,)),
    "evaluate": (lambda x: torch.tensor(evaluate(vae(x), x, gen())["elbo"]), (draw(600, 20),)),
    "iwae": (lambda x: iwae(vae(x), x, 20, gen()), (9 * draw(6, 200),)),
    "latent_use": (lambda x: torch.cat(latent_use(vae(x), x)), (draw(4_000, 5) + 3,)),
    "CouplingFlow": (lambda x: flow(x).log_prob(x), (draw(50, 60),)),
    "CouplingFlow, decoded": (lambda z: flow(z).decode(z), (draw(50, 60),)),
    "Mixture": (lambda a, b, x: mixture(a, b).log_prob(x), (draw(800), draw(800, seed=1), draw(5, 800, seed=2))),
    "Mixture's responsibilities": (
        lambda a, b, x: mixture(a, b).responsibilities(x), (draw(60) / 10, draw(60, seed=1) / 10, draw(9, 60, seed=2)),
    ),
    "ddim": (lambda x: ddim_sample(precise(COSINE), COSINE, x, 100), (draw(4, 1, 8, 8),)),
    "ddim, straight path": (lambda x: ddim_sample(precise(STRAIGHT), STRAIGHT, x, 200), (draw(4, 1, 8, 8),)),
    "ddim, fresh noise": (lambda x: ddim_sample(precise(COSINE), COSINE, x, 100, gen(3), eta=1.0), (draw(4, 1, 8, 8),)),
    "heun": (lambda x: heun_sample(precise(COSINE), COSINE, x, 100), (draw(4, 1, 8, 8),)),
    "heun, variance exploding": (lambda x: heun_sample(precise(EXPLODING), EXPLODING, x, 100), (80 * draw(4, 1, 8, 8),)),
    "dpm_solver": (lambda x: dpm_sample(precise(COSINE), COSINE, x, 100), (draw(4, 1, 8, 8),)),
    "ddpm": (lambda x: ancestral_sample(precise(COSINE), COSINE, x, gen(3)), (draw(4, 1, 8, 8),)),
    "UNet": (unet, (draw(2, 1, 16, 16),)),
    "jerk": (jerk, (draw(4, 1, 6, 20, 20).tanh(),)),
    "flicker": (flicker, (draw(4, 1, 6, 20, 20).tanh(),)),
    "identity": (identity, (draw(2, 1, 6, 20, 20).tanh(),)),
    "shift": (shift, (draw(4, 28, 28).tanh(), draw(4, 2, seed=1))),
    "amplification": (lambda a, b: torch.tensor(amplification(a, b)), (torch.rand(900, generator=gen(), dtype=torch.float64),
                                                                     torch.rand(900, generator=gen(1), dtype=torch.float64))),
    "parity_gap": (lambda a: torch.tensor(parity_gap(a)), (torch.rand(900, generator=gen(), dtype=torch.float64),)),
    "fidelity_gap": (lambda a, b: torch.tensor(fidelity_gap(a, b)), (torch.rand(900, generator=gen(), dtype=torch.float64),
                                                                   torch.rand(900, generator=gen(1), dtype=torch.float64))),
}  # fmt: skip


@pytest.fixture(autouse=True)
def noise_that_every_type_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch draws other numbers for float64 than for float32; here all types get the same."""

    def randn(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
        return torch.randn(*shape, generator=generator).bfloat16().to(like.dtype)

    for module in (vae_module, elbo_module, ddim_module, ddpm_module):
        monkeypatch.setattr(module, "randn", randn)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_as_good_as_in_float64(name: str, dtype: torch.dtype) -> None:
    function, inputs = CASES[name]
    rounded = [part.to(dtype) for part in inputs]
    with torch.no_grad():
        got, wanted = function(*rounded).double(), function(*(part.double() for part in rounded)).double()
    most = 4 * max(torch.finfo(dtype).eps, 1e-6)
    assert got.shape == wanted.shape and got.isfinite().all()
    error = float((got - wanted).abs().max() / wanted.abs().max())
    assert error <= most, f"{error:.2g} of the largest value, wanted at most {most:.2g}"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_averaged_weights_move(dtype: torch.dtype) -> None:
    """5,000 small steps towards 1.1: in half precision each of them is less than the distance to the next number."""
    model = nn.Linear(1, 1, bias=False).to(dtype)
    nn.init.ones_(model.weight)
    ema = EMA(model, 0.999)
    ema.updates = 100_000  # long past its beginning, where it follows at once
    nn.init.constant_(model.weight, 1.1)
    online = float(model.weight.detach())
    for _ in range(5_000):
        ema.update(model)
    wanted = online + (1 - online) * 0.999**5_000
    assert float(ema.model.weight) == pytest.approx(wanted, rel=2 * torch.finfo(dtype).eps)
    assert ema.model.weight.dtype == dtype and ema.averages["weight"].dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_averages_in_half_precision_survive_a_checkpoint(tmp_path, dtype: torch.dtype) -> None:
    config = TrainConfig(steps=40, ema=0.999)

    def updated(updater: Updater, steps: int) -> Updater:
        for i in range(steps):
            x = draw(8, 3, seed=updater.steps_done + i).to(dtype)
            updater.model(x).square().mean().backward()
            updater.step()
        return updater

    def new() -> Updater:
        torch.manual_seed(0)
        return Updater(nn.Linear(3, 2).to(dtype), config)

    first = updated(new(), 20)
    save_checkpoint(tmp_path / "state.safetensors", first, data="", history={})
    again = new()
    load_checkpoint(tmp_path / "state.safetensors", again, data="")
    for name, average in first.ema.averages.items():
        assert torch.equal(average, again.ema.averages[name])
    assert torch.equal(first.best(torch.ones(1, 3, dtype=dtype)), again.best(torch.ones(1, 3, dtype=dtype)))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_whole_numbers_do_not_wrap(dtype: torch.dtype, bits: int) -> None:
    weight, most = draw(200, 300).to(dtype), 2 ** (bits - 1) - 1
    for scaled in (weight, weight * 1e-4, torch.full_like(weight, torch.finfo(dtype).smallest_normal) / 64):
        found = quantize(scaled, bits)
        assert int(found.values.abs().max()) <= most
        assert (found.values.sign() * scaled.sign() >= 0).all(), "none has the other sign"
    found = quantize(weight, bits)
    error = (found.dequantized().double() - weight.double()).abs()
    assert (error <= found.scale.double()[:, None] / 2 * (1 + 1e-5)).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("width", [33, 60, 64, 100])
def test_a_quantised_layer_of_any_width_answers_in_the_type_of_its_input(dtype: torch.dtype, width: int) -> None:
    layer = nn.Linear(width, 7).to(dtype)
    x = draw(5, width).to(dtype)
    got = QuantizedLinear(layer)(x)
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), layer.double()(x.double()), atol=0.03, rtol=0)


@pytest.mark.parametrize("dtype", [*DTYPES, torch.float64], ids=str)
@pytest.mark.parametrize("temperature", [5e-324, 1e-45, 1e-40, 1e-4, 1.0, 1e4, 1e300])
def test_any_temperature_gives_probabilities(dtype: torch.dtype, temperature: float) -> None:
    logits = (20 * draw(4, 50)).to(dtype)
    logits[1] -= 500
    logits[1, 5] = -400
    logits[2, :10] = -math.inf
    p = Temperature(temperature)(IDS, logits).softmax(-1)
    assert p.isfinite().all() and torch.allclose(p.sum(-1), torch.ones(4, dtype=p.dtype))
    if temperature <= 1e-4:
        assert torch.equal(p.argmax(-1), logits.argmax(-1)) and (p.amax(-1) > 0.49).all()
        assert torch.equal(choose(Temperature(temperature)(IDS, logits), gen()), logits.argmax(-1))
    assert (p[2, :10] == 0).all()
