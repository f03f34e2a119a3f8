"""Today's block in the place of GPT-2's: a small Llama, its recipe, and what its gates do.

    h ← h + W_out (σ(W_g n) ⊙ heads(n)),   h ← h + W_down (SiLU(W_1 n) ⊙ W_2 n),   n = RMSNorm(h)       (eq-llama-block)

The block is `companion.nn.llama_block` with gated attention (`companion.nn.attention`, eq-gated-attention), the model
`companion.text.llama.Llama`. `MODERN` has no more parameters than the GPT of `companion.text.gpt.pretraining`, takes about the
same time and reads less text: 1,750 steps where that has 2,000, because each takes longer. `TUNED` there tells the merit of
the block from the rest: GPT-2's block with `MODERN`'s start, learning rates and decay. `UNTUNED` is the fourth cell of that
table: today's block with nanoGPT's start, learning rates and decay. All read the same passages in the same batches.

Sources: Touvron et al. 2023, arXiv:2302.13971; gates on what attention found: Qiu et al. 2025, arXiv:2505.06708.
"""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.text.gpt.pretraining import CONTEXT, NANOGPT, TUNED, WIDTH, PretrainingRecipe
from companion.text.llama import Llama, LlamaConfig
from companion.training import evaluating
from companion.validate import checked


def llama(vocab_size: int) -> Llama:
    """Today's block at the GPT's size: 0.80 million parameters with 65 characters; narrower MLPs make room for the gates.

    The usual rotary base of 10,000 is made for thousands of places: in 64, half of the pairs turn less than a radian.
    """
    sizes = {"width": WIDTH, "layers": 4, "heads": 4, "kv_heads": 4, "hidden": 304, "gated_attention": True}
    return Llama(LlamaConfig(vocab_size, context=CONTEXT, **sizes, rope_base=300.0, init_std=WIDTH**-0.5))


def llama_started_narrower(vocab_size: int) -> Llama:
    """The same model, but its matrices start from N(0, 0.02²) instead of N(0, 1/width)."""
    return Llama(replace(llama(vocab_size).config, init_std=0.02))


UNTUNED = PretrainingRecipe(
    "today's block, nanoGPT's recipe", llama_started_narrower, replace(NANOGPT.config, steps=1_750)
)
MODERN = PretrainingRecipe("today's block, our recipe", llama, replace(TUNED.config, steps=1_750))


@checked
def openings(model: nn.Module, ids: Int[Tensor, "batch n"]) -> Float[Tensor, "layers batch n channels"]:
    """How far each gate of each layer is open while the model reads, from 0 to 1 (eq-gated-attention).

    Args:
        model: whose ``blocks`` each have a `companion.nn.attention.MultiHeadAttention` with gates, named ``attention``.
        ids: token numbers.

    Raises:
        ValueError: attention without gates.
    """
    gates = [block.attention.gate for block in model.blocks]
    if None in gates:
        raise ValueError("model: got attention without gates, wanted gated_attention=True")
    seen: list[Tensor] = []
    handles = [gate.register_forward_hook(lambda module, inputs, out: seen.append(out.sigmoid())) for gate in gates]
    with evaluating(model):
        try:
            model(ids)
        finally:
            for handle in handles:
                handle.remove()
    return torch.stack(seen)
