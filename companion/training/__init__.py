"""The one training loop of the course, and what it is made of."""

from companion.training.checkpoint import CorruptCheckpoint
from companion.training.loop import History, TrainResult, mean_over_examples, train
from companion.training.losses import MaskedMean
from companion.training.modes import evaluating
from companion.training.optimization import EMA, TrainConfig, TrainingDiverged, Updater, decay_groups

__all__ = [
    "EMA",
    "CorruptCheckpoint",
    "History",
    "MaskedMean",
    "TrainConfig",
    "TrainResult",
    "TrainingDiverged",
    "Updater",
    "decay_groups",
    "evaluating",
    "mean_over_examples",
    "train",
]
