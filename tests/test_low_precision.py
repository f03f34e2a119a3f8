"""Every numeric function in bfloat16 and float16: as good as float64 on the same inputs, within what the *inputs'* precision allows.

What is accumulated, compared or scaled inside in half precision fails here: a sum that stops growing, a softmax of rounded
logits, whole numbers that wrap.
"""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from companion.ethics.bias import measures
from companion.foundations.distributions.families import Bernoulli, Categorical, DiagonalGaussian
from companion.future.realtime.quantization import QuantizedLinear, quantize, sqnr
from companion.language.generation import choose
from companion.language.processors import MinP, RepetitionPenalty, Temperature, TopK, TopP
from companion.language.scoring import mean_nats, next_token_loss, token_log_probs
from companion.language.speculative import acceptance, residual
from companion.metrics.frechet import frechet_distance
from companion.nn.attention import attention
from companion.nn.norms import RMSNorm
from companion.nn.positions import sinusoidal
from companion.training.optimization import EMA, TrainConfig, Updater
from tests.conftest import gen

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
