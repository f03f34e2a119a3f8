"""Closed forms and libraries that more than one test holds the package against."""

from dataclasses import dataclass

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn

from companion.diffusion.paths import Path, RectifiedFlow, VarianceExploding, cosine_schedule, linear_schedule
from companion.diffusion.prediction import Denoiser, Prediction
from companion.language.states import TokenState

# One path of each sort, for tests that hold on all of them.
PATHS = (linear_schedule(1000), cosine_schedule(1000), RectifiedFlow(), VarianceExploding())


def known_data(path: Path, x0: Tensor) -> Denoiser:
    """The exact denoiser where ``x0`` is all the data there are: it knows the data, and from them the noise in x_t."""

    def denoiser(x_t: Tensor, t: Tensor) -> Prediction:
        alpha, sigma = path.alpha_sigma(t, x_t)
        return Prediction(x0.expand_as(x_t), (x_t - alpha * x0) / sigma)

    return denoiser


@dataclass
class Spy:
    """A denoiser that writes down what it was asked."""

    inner: Denoiser

    def __post_init__(self) -> None:
        self.x: list[Tensor] = []
        self.t: list[Tensor] = []

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        self.x.append(x_t.clone())
        self.t.append(torch.as_tensor(t).clone())
        return self.inner(x_t, t)


def library_bpe(text: str, size: int) -> Tokenizer:
    """The byte-level BPE that `tokenizers` learns from a text."""
    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    found.train_from_iterator([text], trainer)
    return found


class Rereader(nn.Module):
    """A language model by its ``logits`` of a whole text, shape (batch, n) to (batch, n, vocabulary): it reads all anew."""

    def new_state(self, batch: int) -> TokenState:
        return TokenState(torch.zeros(batch, 0, dtype=torch.int64))

    def forward(
        self, ids: Tensor, past_key_values: TokenState | None = None, attention_mask: Tensor | None = None
    ) -> Tensor:
        if past_key_values is None:
            return self.logits(ids)
        past_key_values.ids = torch.cat([past_key_values.ids, ids], dim=1)
        return self.logits(past_key_values.ids)[:, -ids.shape[1] :]
