"""No example in two splits, all of them in one, the same ones on every call, duplicates together."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.data.splits import SPLITS, content_key, split_indices
from tests.conftest import rejects

KEYS = st.lists(st.integers(0, 30), min_size=1, max_size=80)


@given(keys=KEYS, classes=st.integers(1, 4))
def test_splits_partition_the_examples_and_keep_duplicates_together(keys, classes):
    strata = [key % classes for key in keys]
    parts = {split: split_indices(keys, split, strata=strata) for split in SPLITS}
    assert sorted(i for part in parts.values() for i in part) == list(range(len(keys)))
    assert sorted(split_indices(keys, "all", strata=strata)) == list(range(len(keys)))
    homes: dict[int, set[str]] = {}
    for split, part in parts.items():
        for i in part:
            homes.setdefault(keys[i], set()).add(split)
    assert all(len(home) == 1 for home in homes.values()), homes


@given(keys=KEYS)
def test_duplicates_that_are_labelled_differently_stay_together_too(keys):
    strata = [i % 3 for i in range(len(keys))]
    parts = [{keys[i] for i in split_indices(keys, split, strata=strata)} for split in SPLITS]
    assert sum(map(len, parts)) == len(set(keys))


@given(n=st.integers(1, 60), classes=st.integers(1, 5))
def test_each_class_is_split_in_the_same_shares(n, classes):
    keys = list(range(n * classes))
    strata = [key % classes for key in keys]
    for split, share in (("train", 0.8), ("valid", 0.1), ("test", 0.1)):
        counts = Counter(strata[i] for i in split_indices(keys, split, strata=strata))
        assert len({counts[c] for c in range(classes)}) == 1
        assert abs(counts[0] - share * n) <= 1


@given(keys=KEYS, split=st.sampled_from((*SPLITS, "all")), limit=st.integers(1, 90))
def test_a_limit_takes_the_first_of_the_same_order(keys, split, limit):
    whole = split_indices(keys, split)
    assert split_indices(keys, split, limit=limit) == whole[:limit]


def test_the_order_is_shuffled_and_fixed():
    keys = list(range(100))
    train = split_indices(keys, "train")
    assert train == split_indices(keys, "train") and train != sorted(train)
    assert train[:5] == [96, 55, 74, 77, 45], "the split is a part of the course: every lesson's numbers hang on it"


def test_keys_are_equal_only_for_equal_bytes():
    assert content_key(b"ab") == content_key(b"ab") != content_key(b"ac")
    assert len(content_key(b"")) == 32


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
def test_a_bad_limit_is_refused(limit):
    with rejects("limit"):
        split_indices([1, 2], "train", limit=limit)


def test_bad_calls_are_refused():
    with rejects("split: got 'dev', wanted one of 'train', 'valid', 'test', 'all'"):
        split_indices([1, 2], "dev")
    with rejects("keys"):
        split_indices([], "train")
    with rejects("strata: got 1"):
        split_indices([1, 2], "train", strata=[0])
