"""Two T5s that learn the four tasks of `companion.models.t5_tasks`: one has filled gaps in plain text before, one has not.

They have the same first weights and learn the same batches in the same order. Only the first has a phase before, of span
corruption alone, on lines of the training data each by itself (`companion.text.t5.tasks.plain_texts`), as version 1.1 of T5
was pre-trained. What the two differ in at the end comes from that phase.
"""

from pathlib import Path

from torch import nn

from companion import weights
from companion.models import Recipe, t5_tasks
from companion.models.t5_tasks import Mixture, Pairs, tokenizer
from companion.text.t5.cheques import SpanBatches
from companion.text.t5.tasks import TASKS, examples, plain_texts
from companion.text.t5.text_to_text import target_loss
from companion.training import TrainConfig, train

STARTS = ("pre-trained", "from nothing")
READ = {"numbers": 0.15, "dates": 0.2, "catalogue": 0.3, "summaries": 0.35}  # of the batches of plain text
TAUGHT = {"numbers": 0.34, "dates": 0.31, "catalogue": 0.22, "summaries": 0.13}  # of the batches of tasks
CUT = 0.3  # of the tokens of plain text: more than T5's 15 %, as most lines have a dozen


def build() -> nn.ModuleDict:
    """Both models before training, with the same weights."""
    first, second = t5_tasks.build(), t5_tasks.build()
    second.load_state_dict(first.state_dict())
    return nn.ModuleDict(dict(zip(STARTS, (first, second), strict=True)))


def load() -> nn.ModuleDict:
    """The two models, by what they started from, in evaluation mode."""
    return weights.load_weights("t5_reading", build())


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


def _measure(model: nn.Module, smoke: bool = False) -> dict[str, float]:
    """Of each what `companion.models.t5_tasks` measures."""
    return {
        f"{name}_{start.replace(' ', '_')}": value
        for start in STARTS
        for name, value in t5_tasks.quality(model[start], smoke).items()
    }


RECIPE = Recipe(
    name="t5_reading",
    about="Two T5s that learned the same four tasks, one of them pre-trained by span corruption on plain text, one not.",
    data=t5_tasks.RECIPE.data,
    build=build,
    train=_train,
    measure=_measure,
)
