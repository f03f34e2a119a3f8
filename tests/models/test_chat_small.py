"""The shipped model of small talk: its sizes, and that it predicts talk better than counts of words do."""

import math
from collections import Counter

import pytest
import torch

from companion.data.chats import chats
from companion.language.scoring import mean_nats
from companion.language.tokenizers import ByteLevelBPE
from companion.models.chat_small import VOCAB_SIZE, load, running_text
from companion.text.llama import Llama
from companion.weights import card

Shipped = tuple[Llama, ByteLevelBPE]


@pytest.fixture(scope="module")
def shipped() -> Shipped:
    """The model and its tokenizer, read once."""
    return load()


def test_its_sizes(shipped: Shipped) -> None:
    model, tokens = shipped
    assert tokens.vocab_size == model.config.vocab_size == VOCAB_SIZE
    assert sum(p.numel() for p in model.parameters()) == card("chat_small").parameters == 951_424


def test_it_predicts_held_out_talk_far_better_than_the_tokens_frequencies(shipped: Shipped) -> None:
    model, tokens = shipped
    ids = tokens.encode(running_text(chats("test", limit=6).chats))
    counts = Counter(tokens.encode(running_text(chats("train", limit=80).chats)))
    total = sum(counts.values()) + VOCAB_SIZE
    unigram = -sum(math.log((counts[i] + 1) / total) for i in ids) / len(ids)
    assert mean_nats(model, torch.tensor(ids)) < 0.75 * unigram
