"""GPT-2 at nanoGPT's laptop size: training step and generation against transformers and x-transformers."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import x_transformers
from torch import nn
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from companion.language.generation import generate
from companion.text.gpt import GPT
from tests.benchmarks.interleaved import compare

VOCAB, CONTEXT, WIDTH, LAYERS, HEADS, BATCH, LENGTH = 65, 256, 128, 4, 4, 12, 64
NEW_TOKENS = 192


@pytest.fixture
def models(tmp_path: Path) -> tuple[GPT, GPT2LMHeadModel]:
    """The same weights in both implementations."""
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCAB, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip
    theirs.save_pretrained(tmp_path)
    return GPT.from_pretrained(tmp_path), theirs


def training_step(model: nn.Module, logits: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], None]:
    """One step on one batch: forward, loss, backward, clipping, AdamW; the same code around both models."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    ids = torch.randint(VOCAB, (BATCH, LENGTH + 1), generator=torch.Generator().manual_seed(0))

    def step() -> None:
        for _ in range(20):  # a single step is so short that the clock's noise would show
            F.cross_entropy(logits(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return step


def test_training_step_against_transformers(benchmark, models: tuple[GPT, GPT2LMHeadModel]) -> None:
    ours, theirs = models
    ids = torch.randint(VOCAB, (2, 9))
    torch.testing.assert_close(ours(ids), theirs.eval()(ids).logits, rtol=0, atol=1e-5)
    benchmark.extra_info.update(what="GPT-2, training step", against="transformers", wanted=1.2)
    compare(benchmark, training_step(ours, ours), training_step(theirs, lambda x: theirs(x, use_cache=False).logits))


def test_training_step_against_x_transformers(benchmark, models: tuple[GPT, GPT2LMHeadModel]) -> None:
    ours, _ = models
    decoder = x_transformers.Decoder(
        dim=WIDTH, depth=LAYERS, heads=HEADS, attn_dim_head=WIDTH // HEADS, attn_flash=True
    )
    theirs = x_transformers.TransformerWrapper(
        num_tokens=VOCAB, max_seq_len=CONTEXT, attn_layers=decoder, tie_embedding=True
    )
    sizes = [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]
    assert abs(sizes[0] / sizes[1] - 1) < 0.02, sizes
    benchmark.extra_info.update(what="GPT-2, training step", against="x-transformers", wanted=1.0)
    compare(benchmark, training_step(ours, ours), training_step(theirs, theirs))


@pytest.mark.parametrize("batch", [1, 8])
def test_generation_against_transformers(benchmark, models: tuple[GPT, GPT2LMHeadModel], batch: int) -> None:
    ours, theirs = models
    prompt = torch.randint(VOCAB, (batch, 16), generator=torch.Generator().manual_seed(0))
    ones = torch.ones_like(prompt)

    def write() -> torch.Tensor:
        with torch.inference_mode():
            return theirs.eval().generate(
                prompt,
                attention_mask=ones,
                max_new_tokens=NEW_TOKENS,
                do_sample=False,
                eos_token_id=None,
                pad_token_id=0,
            )

    assert torch.equal(generate(ours, prompt, NEW_TOKENS), write())
    about = {"what": f"GPT-2, {NEW_TOKENS} tokens, greedy, batch {batch}", "against": "transformers"}
    benchmark.extra_info.update(about, wanted=2.0 if batch == 1 else 1.5)
    compare(benchmark, lambda: generate(ours, prompt, NEW_TOKENS), write)


def test_generation_against_x_transformers(benchmark, models: tuple[GPT, GPT2LMHeadModel]) -> None:
    ours, _ = models
    decoder = x_transformers.Decoder(
        dim=WIDTH, depth=LAYERS, heads=HEADS, attn_dim_head=WIDTH // HEADS, attn_flash=True
    )
    wrapped = x_transformers.TransformerWrapper(
        num_tokens=VOCAB, max_seq_len=CONTEXT, attn_layers=decoder, tie_embedding=True
    )
    theirs = x_transformers.AutoregressiveWrapper(wrapped).eval()
    prompt = torch.randint(VOCAB, (1, 16), generator=torch.Generator().manual_seed(0))
    about = {"what": f"GPT-2, {NEW_TOKENS} tokens, greedy, batch 1", "against": "x-transformers"}
    benchmark.extra_info.update(about, wanted=2.0)
    compare(
        benchmark,
        lambda: generate(ours, prompt, NEW_TOKENS),
        lambda: theirs.generate(prompt, NEW_TOKENS, temperature=0.0, cache_kv=True),
    )
