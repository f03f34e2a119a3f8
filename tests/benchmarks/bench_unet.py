"""The U-Net of `companion.nn.unet` against diffusers' ``UNet2DModel`` with the same weights: training step and sampling."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DModel
from torch import nn
from torch.nn import functional as F

from companion.nn.unet import UNet
from tests.benchmarks.interleaved import compare

BATCH, SIDE, STEPS = 32, 28, 10
Predict = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@pytest.fixture
def models(tmp_path: Path) -> tuple[UNet, UNet2DModel]:
    """The same weights in both implementations."""
    torch.manual_seed(0)
    theirs = UNet2DModel(
        sample_size=SIDE, in_channels=1, out_channels=1, block_out_channels=(16, 32, 64), layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"), norm_num_groups=8, attention_head_dim=16,
    )  # fmt: skip
    theirs.save_pretrained(tmp_path)
    return UNet.from_pretrained(tmp_path), theirs


def noisy() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, 1, SIDE, SIDE, generator=generator)
    return images, torch.randint(1000, (BATCH,), generator=generator)


def training_step(model: nn.Module, predict: Predict) -> Callable[[], None]:
    """One step on one batch: forward, squared error, backward, AdamW; the same code around both models."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    images, timesteps = noisy()

    def step() -> None:
        for _ in range(3):
            F.mse_loss(predict(images, timesteps), images).backward()
            optimizer.step()
            optimizer.zero_grad()

    return step


def sampling(model: nn.Module, predict: Predict) -> Callable[[], torch.Tensor]:
    """Some steps of denoising; the arithmetic between the predictions is the same and costs nothing beside them."""
    images, _ = noisy()

    def sample() -> torch.Tensor:
        model.eval()
        x = images
        with torch.inference_mode():
            for step in range(STEPS):
                x = 0.9 * x - 0.1 * predict(x, torch.full((BATCH,), 999 - 100 * step))
        return x

    return sample


def test_training_step_against_diffusers(benchmark, models: tuple[UNet, UNet2DModel]) -> None:
    ours, theirs = models
    benchmark.extra_info.update(what="U-Net, training step", against="diffusers", wanted=1.0)
    compare(benchmark, training_step(ours, ours), training_step(theirs, lambda x, t: theirs(x, t).sample))


def test_sampling_against_diffusers(benchmark, models: tuple[UNet, UNet2DModel]) -> None:
    ours, theirs = models
    a, b = sampling(ours, ours), sampling(theirs, lambda x, t: theirs(x, t).sample)
    torch.testing.assert_close(a(), b(), rtol=0, atol=1e-4)
    about = {"what": f"U-Net, {STEPS} steps of sampling, {BATCH} images", "against": "diffusers"}
    benchmark.extra_info.update(about, wanted=1.0)
    compare(benchmark, a, b)
