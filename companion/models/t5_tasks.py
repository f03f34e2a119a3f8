"""A small T5 that writes numbers and dates in four languages, interface texts in French and summaries of docstrings.

It learns in two phases, as version 1.1 of T5 does: first it fills gaps in plain text, then it learns all four tasks at once,
every batch of one task. A second model, the control, has the same first weights and the same second phase, step by step, and
has read nothing before. The docstrings are those of the running Python. Tokens learned on other text would have other numbers,
so they ship with the weights, in ``t5_tasks_tokens``.
"""

import itertools
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
from companion.text.t5.tasks import END_NAME, PAD_NAME, TASKS, Example, encoded, examples, plain_texts
from companion.text.t5.text_to_text import answers, target_loss
from companion.training import TrainConfig, train
from companion.validate import check_choice

VOCAB_SIZE = 1024
STARTS = ("pre-trained", "from nothing")
READ = {"numbers": 0.15, "dates": 0.2, "catalogue": 0.3, "summaries": 0.35}  # of the batches of plain text
TAUGHT = {"numbers": 0.34, "dates": 0.31, "catalogue": 0.22, "summaries": 0.13}  # of the batches of tasks
CUT = 0.3  # of the tokens of plain text: more than T5's 15 %, as most lines have a dozen


@lru_cache(maxsize=1)
def tokenizer() -> ByteLevelBPE:
    """The tokens of the shipped model: 256 bytes, 734 merges, the pad and the end token, 32 sentinels."""
    return ByteLevelBPE.load(Path(weights.__file__).with_name("t5_tasks_tokens"))


def build() -> nn.ModuleDict:
    """Both models before training, with the same weights: T5s of version 1.1, one layer of width 96 on either side."""
    config = T5Config(
        vocab_size=VOCAB_SIZE, width=96, layers=1, heads=4, head_width=24, hidden=192, gated=True, tied=False,
        max_distance=64, pad_token=tokenizer().special[PAD_NAME],
    )  # fmt: skip
    first, second = T5(config), T5(config)
    second.load_state_dict(first.state_dict())
    return nn.ModuleDict(dict(zip(STARTS, (first, second), strict=True)))


def load(start: str = STARTS[0]) -> tuple[T5, ByteLevelBPE]:
    """A trained model, in evaluation mode, and its tokens.

    Args:
        start: of its second phase, one of `STARTS`.

    Raises:
        ValueError: no such start.
    """
    check_choice("start", start, STARTS)
    return weights.load_weights("t5_tasks", build())[start], tokenizer()


def write(model: T5, sources: list[str], new_tokens: int = 48) -> list[str]:
    """What the model writes for each source, the likeliest token at each step."""
    bpe, device = tokenizer(), next(model.parameters()).device
    rows = answers(model, encoded(sources, bpe).to(device), new_tokens, stop_token=bpe.special[END_NAME])
    return [bpe.decode(row) for row in rows]


def _train(model: nn.Module, seed: int, smoke: bool, checkpoint: Path) -> nn.Module:
    few = 40 if smoke else None
    spans = {task: SpanBatches(lines, tokenizer(), share=CUT) for task, lines in plain_texts(limit=few).items()}
    tasks = {task: Pairs(examples(task, "train", limit=few, all_languages=True)) for task in TASKS}
    reading = _how(4_000, 0.1, seed, smoke), Mixture(spans, READ)
    learning = _how(8_000, 0.03, seed, smoke), Mixture(tasks, TAUGHT)
    for phase, (start, (how, data)) in enumerate(
        zip((*STARTS[:1], *STARTS), (reading, learning, learning), strict=True)
    ):
        own = checkpoint.with_name(f"{checkpoint.name}.{phase}")
        train(model[start], target_loss, data, how, checkpoint=own)
    for phase in range(3):
        checkpoint.with_name(f"{checkpoint.name}.{phase}").unlink()
    return model


def _how(steps: int, final_lr: float, seed: int, smoke: bool) -> TrainConfig:
    return TrainConfig(
        steps=4 if smoke else steps,
        batch_size=16,
        lr=2.5e-3,
        warmup=0.05,
        final_lr=final_lr,
        precision="auto",
        seed=seed,
    )


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


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    """Of both on the test: exact matches of 400 numbers and dates; BLEU, chrF and ROUGE-L of messages and summaries."""
    quality = {}
    for start, task in itertools.product(STARTS, TASKS):
        asked = examples(task, "test", limit=4 if smoke else 400)
        written = write(model[start], [e.source for e in asked], 8 if smoke else 48)
        wanted = [e.target for e in asked]
        if task in ("numbers", "dates"):
            found = {"exact": sum(a == b for a, b in zip(written, wanted, strict=True)) / len(asked)}
        elif task == "catalogue":
            found = {"bleu": bleu(written, wanted), "chrf": chrf(written, wanted)}
        else:
            found = {"rouge_l": sum(rouge_l(written, wanted)) / len(asked)}
        quality |= {f"{name}_{task}_{start.replace(' ', '_')}": value for name, value in found.items()}
    return quality


RECIPE = Recipe(
    name="t5_tasks",
    about="A T5 that writes numbers and dates in four languages, interface texts in French and summaries of docstrings, "
    "pre-trained by span corruption; and one that learned the same without.",
    data="num2words (called), Babel's CLDR dates (Unicode License V3), French catalogues of JupyterLab and Sphinx (BSD), "
    "docstrings of the standard library (PSF-2.0); training splits",
    build=build,
    train=_train,
    measure=_measure,
)
