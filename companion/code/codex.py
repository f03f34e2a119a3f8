"""A small Codex that ships with the course: a language model of Python, with fill-in-the-middle.

Chen et al., "Evaluating Large Language Models Trained on Code", 2021, arXiv:2107.03374: a GPT trained further on code, with
extra tokens for runs of blanks. Departures: today's block (`companion.text.llama`) in place of GPT-3's; 1.2 million parameters
in place of 12 billion; the standard library in place of public repositories; tokens learned on the code itself, so that runs
of blanks become tokens without help; half of the pieces are rearranged (`companion.code.fim`).

Trained by ``python -m companion train codex``; `load_middle`, for the cursor, is trained further by ``train codex_middle``.
The standard library differs between versions of Python, and a tokenizer learned on other text would have other numbers; so the
tokenizer ships with the weights, in ``codex_tokens``.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from companion.code.fim import END, MIDDLE, PREFIX, SUFFIX, question
from companion.text.generation import Processor, generate
from companion.text.llama import Llama, LlamaConfig
from companion.text.tokenizer import ByteLevelBPE
from companion.weights import load_weights

CONTEXT = 256
VOCAB_SIZE = 1024


@lru_cache(maxsize=1)
def tokenizer() -> ByteLevelBPE:
    """The tokens of the shipped model: 256 bytes, 764 merges learned on the training modules, the four signs of `fim`."""
    return ByteLevelBPE.load(Path(__file__).with_name("codex_tokens"))


def untrained() -> Llama:
    """The model before training: 6 layers of width 128, 4 heads that share keys and values in pairs."""
    return Llama(
        LlamaConfig(vocab_size=VOCAB_SIZE, context=CONTEXT, width=128, layers=6, heads=4, kv_heads=2, hidden=320)
    )


def load() -> tuple[Llama, ByteLevelBPE]:
    """The trained model, in evaluation mode, and its tokenizer."""
    return load_weights("codex", untrained()), tokenizer()


def load_middle() -> tuple[Llama, ByteLevelBPE]:
    """The model for `fill_in`: the trained one, trained further on middles alone, both sides given (`codex_middle`)."""
    return load_weights("codex_middle", untrained()), tokenizer()


def complete(
    model: nn.Module,
    bpe: ByteLevelBPE,
    prompt: str,
    *,
    samples: int = 1,
    new_tokens: int = 96,
    processors: tuple[Processor, ...] = (),
    generator: torch.Generator | None = None,
) -> list[str]:
    """What the model writes after a prompt, up to its end sign: ``samples`` times, greedily without a generator.

    Of a prompt that leaves no room in the context, the end is read.
    """
    rows = write(model, bpe, [bpe.encode(prompt)] * samples, new_tokens, processors, generator)
    return [bpe.decode(row) for row in rows]


def fill_in(
    model: nn.Module,
    bpe: ByteLevelBPE,
    prefix: str,
    suffix: str,
    *,
    samples: int = 1,
    new_tokens: int = 64,
    processors: tuple[Processor, ...] = (),
    generator: torch.Generator | None = None,
) -> list[str]:
    """What the model writes between prefix and suffix."""
    rows = write(model, bpe, [question(bpe, prefix, suffix)] * samples, new_tokens, processors, generator)
    return [bpe.decode(row) for row in rows]


def first_block(text: str) -> str:
    """A function's body: the text up to the first line that is not empty and not indented (Codex's stop sequences)."""
    kept: list[str] = []
    for line in text.split("\n"):
        if line and not line.startswith((" ", "\t")):
            break
        kept.append(line)
    return "\n".join(kept).rstrip() + "\n"


def write(
    model: nn.Module,
    bpe: ByteLevelBPE,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    processors: tuple[Processor, ...] = (),
    generator: torch.Generator | None = None,
) -> list[list[int]]:
    """The tokens that the model writes after each of several prompts of one length, up to its end sign, without it.

    Raises:
        ValueError: prompts of different lengths, or no room for them in the context.
    """
    end, room = bpe.special[END], model.config.context - new_tokens
    if room < 1:
        raise ValueError(f"new_tokens: got {new_tokens}, wanted fewer than the context of {model.config.context}")
    lengths = {len(ids) for ids in prompts}
    if len(lengths) != 1:
        raise ValueError(f"prompts: got the lengths {sorted(lengths)}, wanted prompts of one length")
    signs = torch.tensor([bpe.special[name] for name in (PREFIX, SUFFIX, MIDDLE)])

    def only_text(_: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """A passage of training may begin inside a prefix, so the model sometimes goes on to a sign; here it must not."""
        return logits.index_fill(1, signs, float("-inf"))

    given = torch.tensor([list(ids[-room:]) for ids in prompts])
    rows = generate(model, given, new_tokens, processors=(only_text, *processors), generator=generator, stop_token=end)
    written = (row[given.shape[1] :].tolist() for row in rows)
    return [row[: row.index(end)] if end in row else row for row in written]
