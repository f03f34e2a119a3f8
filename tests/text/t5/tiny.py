"""A T5 of each version by transformers, of awkward sizes, and sources and targets for it."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import T5Config as TheirConfig
from transformers import T5ForConditionalGeneration

from tests.conftest import gen
from tests.published import published

SIZES = {
    "vocab_size": 31, "d_model": 18, "d_kv": 5, "d_ff": 22, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 3,
    "relative_attention_num_buckets": 8, "relative_attention_max_distance": 11, "layer_norm_epsilon": 1e-3,
    "decoder_start_token_id": 0,
}  # fmt: skip
OLD = {"feed_forward_proj": "relu"}
NEW = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
VERSIONS = pytest.mark.parametrize("version", [OLD, NEW], ids=["T5", "T5 v1.1"])

SOURCE = torch.randint(2, 31, (3, 13), generator=gen(1))
TARGET = torch.randint(2, 31, (3, 7), generator=gen(2))
# Padding behind, in front and none: 9, 10 and 13 real tokens.
REAL = torch.stack([torch.arange(13) < 9, torch.arange(13) >= 3, torch.ones(13, dtype=torch.bool)])


def untied(version: dict) -> T5ForConditionalGeneration:
    """A model of transformers; version 1.1 with an output of its own, which the library ties where it makes one anew."""
    theirs = T5ForConditionalGeneration(TheirConfig(**(SIZES | version)))
    if not theirs.config.scale_decoder_outputs:
        theirs.lm_head.weight = nn.Parameter(torch.empty_like(theirs.lm_head.weight))
    return theirs


def published_t5(folder: Path, version: dict) -> T5ForConditionalGeneration:
    """The same with random weights of every kind, in a folder."""
    return published(untied(version), folder, std=0.4)
