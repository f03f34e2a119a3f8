"""A small T5 that writes numbers and dates in four languages, interface texts in French and summaries of docstrings.

One model for all of them. Every batch is of one task, and one in ten is the puzzle of span corruption on the same texts, as the
first T5 had it in its mixture. The docstrings are those of the running Python. Tokens learned on other text would have other
numbers, so they ship with the weights, in ``t5_tasks_tokens``.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from companion import weights
from companion.language.tokenizers import ByteLevelBPE
from companion.metrics.text_overlap import bleu, chrf, rouge_l
from companion.models import Recipe
from companion.text.t5.cheques import SpanBatches
from companion.text.t5.model import T5, T5Config
from companion.text.t5.tasks import END_NAME, PAD_NAME, TASKS, Example, encoded, examples
from companion.text.t5.text_to_text import answers, target_loss
from companion.training import TrainConfig, train

VOCAB_SIZE = 1024
SHARES = {"numbers": 0.25, "dates": 0.35, "catalogue": 0.25, "summaries": 0.05, "spans": 0.1}  # of the batches


@lru_cache(maxsize=1)
def tokenizer() -> ByteLevelBPE:
    """The tokens of the shipped model: 256 bytes, 734 merges, the pad and the end token, 32 sentinels."""
    return ByteLevelBPE.load(Path(weights.__file__).with_name("t5_tasks_tokens"))


def build() -> T5:
    """The model before training: a T5 of version 1.1 with one layer of width 96 on either side."""
    return T5(
        T5Config(
            vocab_size=VOCAB_SIZE, width=96, layers=1, heads=4, head_width=24, hidden=192, gated=True, tied=False,
            max_distance=64, pad_token=tokenizer().special[PAD_NAME],
        )
    )  # fmt: skip


def load() -> tuple[T5, ByteLevelBPE]:
    """The trained model, in evaluation mode, and its tokens."""
    return weights.load_weights("t5_tasks", build()), tokenizer()


def write(model: T5, sources: list[str], new_tokens: int = 48) -> list[str]:
    """What the model writes for each source, the likeliest token at each step."""
    bpe, device = tokenizer(), next(model.parameters()).device
    rows = answers(model, encoded(sources, bpe).to(device), new_tokens, stop_token=bpe.special[END_NAME])
    return [bpe.decode(row) for row in rows]


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    few = 40 if smoke else None
    learned = {task: examples(task, "train", limit=few, all_languages=True) for task in TASKS}
    how = TrainConfig(
        steps=8 if smoke else 10_000, batch_size=16, lr=2.5e-3, warmup=0.05, final_lr=0.03, precision="auto", seed=seed
    )
    return train(model, target_loss, _batches(learned), how, checkpoint=checkpoint).model


def _batches(learned: dict[str, list[Example]]) -> Callable[[int, Generator], list[Tensor]]:
    """Sources and targets of one task, which is drawn too; spans are cut out of the texts of all tasks."""
    bpe, names, shares = tokenizer(), list(SHARES), torch.tensor(list(SHARES.values()))
    texts = dict.fromkeys(text for some in learned.values() for e in some for text in (e.text, e.target))
    spans = SpanBatches([*texts], bpe)

    def draw(n: int, generator: Generator) -> list[Tensor]:
        task = names[int(torch.multinomial(shares, 1, generator=generator))]
        if task == "spans":
            return spans(n, generator)
        chosen = torch.randint(len(learned[task]), (n,), generator=generator).tolist()
        some = [learned[task][i] for i in chosen]
        return [encoded([e.source for e in some], bpe), encoded([e.target for e in some], bpe)]

    return draw


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    """On the test's examples: exact matches of 400 numbers and dates; BLEU, chrF and ROUGE-L of messages and summaries."""
    quality = {}
    for task in TASKS:
        asked = examples(task, "test", limit=4 if smoke else 400)
        written = write(model, [e.source for e in asked], 8 if smoke else 48)
        wanted = [e.target for e in asked]
        if task in ("numbers", "dates"):
            quality[f"exact_{task}"] = sum(a == b for a, b in zip(written, wanted, strict=True)) / len(asked)
        elif task == "catalogue":
            quality["bleu_catalogue"], quality["chrf_catalogue"] = bleu(written, wanted), chrf(written, wanted)
        else:
            quality["rouge_l_summaries"] = sum(rouge_l(written, wanted)) / len(asked)
    return quality


RECIPE = Recipe(
    name="t5_tasks",
    about="A T5 that writes numbers and dates in four languages, interface texts in French and summaries of docstrings.",
    data="num2words (called), Babel's CLDR dates (Unicode License V3), French catalogues of JupyterLab and Sphinx (BSD), "
    "docstrings of the standard library (PSF-2.0); training splits",
    build=build,
    train=_train,
    measure=_measure,
)
