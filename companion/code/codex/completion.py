"""Writing code with a language model of Python: at the end of a text, or at the cursor between two sides.

Chen et al., "Evaluating Large Language Models Trained on Code", 2021, arXiv:2107.03374: a GPT trained further on code, with
extra tokens for runs of blanks. Departures of the shipped `companion.models.codex`: today's block (`companion.text.llama`) in
place of GPT-3's; 1.2 million parameters in place of 12 billion; the standard library in place of public repositories; tokens
learned on the code itself, so that runs of blanks become tokens without help; half of the pieces are rearranged
(`companion.code.codex.fim`). For the cursor there is `companion.models.codex_middle`, trained further.
"""

from collections.abc import Sequence

import torch
from torch import nn

from companion.code.codex.fim import END, MIDDLE, PREFIX, SUFFIX, question
from companion.language.contract import device_of, left_padded
from companion.language.generation import generate
from companion.language.processors import Processor
from companion.language.tokenizers import ByteLevelBPE


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
    """What the model writes after a prompt, up to its end token: ``samples`` times, greedily without a generator.

    Of a prompt that leaves no room in the context, the end is read.
    """
    rows = write(model, bpe, [bpe.encode(prompt)], new_tokens, processors, generator, samples=samples)
    return [bpe.decode(row) for row in rows]


def infill(
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
    rows = write(model, bpe, [question(bpe, prefix, suffix)], new_tokens, processors, generator, samples=samples)
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
    *,
    samples: int = 1,
) -> list[list[int]]:
    """The tokens that the model writes after each prompt, up to its end token, without it; ``samples`` rows a prompt.

    Raises:
        ValueError: no room for the prompts in the context.
    """
    end, room = bpe.special[END], model.config.context - new_tokens
    if room < 1:
        raise ValueError(f"new_tokens: got {new_tokens}, wanted fewer than the context of {model.config.context}")
    device = device_of(model)
    marks = torch.tensor([bpe.special[name] for name in (PREFIX, SUFFIX, MIDDLE)], device=device)

    def only_text(_: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """A passage of training may begin inside a prefix, so the model sometimes goes on to a mark; here it must not."""
        return logits.index_fill(1, marks, float("-inf"))

    given, real = (part.to(device) for part in left_padded([ids[-room:] for ids in prompts]))
    rows = generate(
        model,
        given,
        new_tokens,
        attention_mask=real,
        samples=samples,
        processors=(only_text, *processors),
        generator=generator,
        stop_token=end,
    )
    written = (row[given.shape[1] :].tolist() for row in rows)
    return [row[: row.index(end)] if end in row else row for row in written]
