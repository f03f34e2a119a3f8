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
    learned = {task: examples(task, "train", limit=40 if smoke else None, all_languages=True) for task in TASKS}
    texts = dict.fromkeys(text for some in learned.values() for e in some for text in (e.text, e.target))
    pairs = {task: Pairs(some) for task, some in learned.items()}
    batches = Mixture(pairs | {"spans": SpanBatches([*texts], tokenizer())}, SHARES)
    how = TrainConfig(
        steps=8 if smoke else 10_000, batch_size=16, lr=2.5e-3, warmup=0.05, final_lr=0.03, precision="auto", seed=seed
    )
    return train(model, target_loss, batches, how, checkpoint=checkpoint).model


class Pairs:
    """Batches of sources and targets of one task."""

    def __init__(self, some: list[Example]) -> None:
        self.some = some

    def __call__(self, n: int, generator: Generator) -> list[Tensor]:
        """Token rows of ``n`` examples, drawn with replacement."""
        chosen = [self.some[i] for i in torch.randint(len(self.some), (n,), generator=generator).tolist()]
        return [encoded([e.source for e in chosen], tokenizer()), encoded([e.target for e in chosen], tokenizer())]


class Mixture:
    """Batches of several kinds, each batch of one kind, which is drawn too.

    Args:
        kinds: ``draw(n, generator)`` of each.
        shares: of the batches, by the same names.
    """

    def __init__(self, kinds: dict[str, Callable[[int, Generator], list[Tensor]]], shares: dict[str, float]) -> None:
        self.kinds = [kinds[name] for name in shares]
        self.shares = torch.tensor([*shares.values()])

    def __call__(self, n: int, generator: Generator) -> list[Tensor]:
        """A batch of ``n`` examples of one kind."""
        return self.kinds[int(torch.multinomial(self.shares, 1, generator=generator))](n, generator)


def quality(model: T5, smoke: bool = False) -> dict[str, float]:
    """On the test's examples: exact matches of 400 numbers and dates; BLEU, chrF and ROUGE-L of messages and summaries."""
    found = {}
    for task in TASKS:
        asked = examples(task, "test", limit=4 if smoke else 400)
        written = write(model, [e.source for e in asked], 8 if smoke else 48)
        wanted = [e.target for e in asked]
        if task in ("numbers", "dates"):
            found[f"exact_{task}"] = sum(a == b for a, b in zip(written, wanted, strict=True)) / len(asked)
        elif task == "catalogue":
            found["bleu_catalogue"], found["chrf_catalogue"] = bleu(written, wanted), chrf(written, wanted)
        else:
            found["rouge_l_summaries"] = sum(rouge_l(written, wanted)) / len(asked)
    return found


RECIPE = Recipe(
    name="t5_tasks",
    about="A T5 that writes numbers and dates in four languages, interface texts in French and summaries of docstrings.",
    data="num2words (called), Babel's CLDR dates (Unicode License V3), French catalogues of JupyterLab and Sphinx (BSD), "
    "docstrings of the standard library (PSF-2.0); training splits",
    build=build,
    train=_train,
    measure=quality,
)
