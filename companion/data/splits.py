"""The split into training, validation and test data: which example belongs where, the same in every lesson.

The split never depends on a lesson's seed, or two lessons would test on each other's training data.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Hashable, Sequence

import torch

from companion.validate import check_choice, check_count

SPLITS = ("train", "valid", "test")
_SEED = 20130613  # fixed for the whole course
_SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}


def split_indices(
    keys: Sequence[Hashable],
    split: str,
    *,
    strata: Sequence[Hashable] | None = None,
    limit: int | None = None,
) -> list[int]:
    """The indices of the examples that belong to a split, shuffled, the same on every call.

    Examples with equal keys (duplicates, or several versions of one thing) always fall into one split. Of each stratum 80 %
    of the keys are for training, 10 % for validation, 10 % for the test. ``limit`` takes the first of the same order.

    Args:
        keys: what makes an example itself, one for each example.
        split: ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
        strata: a class for each example, to be split in the same shares; one class if not given.
        limit: at most so many examples.

    Raises:
        ValueError: an unknown split, no examples, not a class for each, or a limit below 1.
    """
    check_choice("split", split, (*SPLITS, "all"))
    if limit is not None:
        check_count("limit", limit)
    if not keys:
        raise ValueError("keys: got no examples, wanted at least one")
    if strata is not None and len(strata) != len(keys):
        raise ValueError(f"strata: got {len(strata)} classes, wanted one for each of {len(keys)} examples")
    groups: dict[Hashable, dict[Hashable, list[int]]] = defaultdict(lambda: defaultdict(list))
    owner: dict[Hashable, Hashable] = {}
    for i, key in enumerate(keys):
        stratum = owner.setdefault(key, strata[i] if strata is not None else 0)
        groups[stratum][key].append(i)
    generator = torch.Generator().manual_seed(_SEED)
    chosen: list[int] = []
    for stratum in sorted(groups, key=repr):
        members = list(groups[stratum].values())
        order = torch.randperm(len(members), generator=generator).tolist()
        first, last = _bounds(len(members), split)
        chosen += [i for place in order[first:last] for i in members[place]]
    shuffled = torch.randperm(len(chosen), generator=generator).tolist()
    return [chosen[place] for place in shuffled][:limit]


def content_key(data: bytes) -> str:
    """A short key that two examples share if, and practically only if, their bytes are equal."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _bounds(n: int, split: str) -> tuple[int, int]:
    if split == "all":
        return 0, n
    train = math.floor(n * _SHARES["train"] + 0.5)
    valid = math.floor(n * (_SHARES["train"] + _SHARES["valid"]) + 0.5)
    return {"train": (0, train), "valid": (train, valid), "test": (valid, n)}[split]
