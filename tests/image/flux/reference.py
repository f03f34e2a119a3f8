"""Flux of diffusers, in small, with all weights drawn, and inputs for it."""

from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor

from companion.image.flux import places
from tests.conftest import gen

SIZES = {
    "in_channels": 12,
    "num_layers": 2,
    "num_single_layers": 3,
    "attention_head_dim": 20,
    "num_attention_heads": 3,
    "joint_attention_dim": 14,
    "pooled_projection_dim": 10,
    "axes_dims_rope": (4, 6, 10),
}


def published(folder: Path, **changes: object) -> FluxTransformer2DModel:
    torch.manual_seed(0)
    model = FluxTransformer2DModel(**(SIZES | changes)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = 0.3 if parameter.ndim == 1 else 2 / parameter.shape[1] ** 0.5
            parameter.copy_(
                ("norm_" in name and "linear" not in name) + spread * torch.randn(parameter.shape, generator=gen(1))
            )
    model.save_pretrained(folder)
    return model


def inputs(n: int = 2, rows: int = 3, columns: int = 5, words: int = 4) -> dict[str, Tensor]:
    image, text = places(rows, columns, words)
    g = gen(2)
    return {
        "hidden_states": torch.randn(n, rows * columns, 12, generator=g),
        "encoder_hidden_states": torch.randn(n, words, 14, generator=g),
        "pooled_projections": torch.randn(n, 10, generator=g),
        "timestep": torch.rand(n, generator=g),
        "img_ids": image,
        "txt_ids": text,
    }
