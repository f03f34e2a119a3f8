"""The states that are no caches, by themselves; what models do with them is in `test_contract`."""

import torch

from companion.language.states import RecurrentState, TokenState
from tests.conftest import rejects


def test_a_recurrent_memory_is_selected_by_rows_and_cannot_go_back() -> None:
    h, c = torch.arange(12.0).view(2, 3, 2), -torch.arange(12.0).view(2, 3, 2)
    state, order = RecurrentState((h, c), 4), torch.tensor([2, 0, 2])
    chosen = state.select(order)
    assert torch.equal(chosen.memory[0], h[:, order]) and torch.equal(chosen.memory[1], c[:, order])
    assert chosen.length == state.length == 4 and RecurrentState((h, c)).length == 0
    copied = state.clone()
    copied.memory, copied.length = (h + 1, c + 1), 5
    assert torch.equal(state.memory[0], h) and state.length == 4
    state.truncate(4)
    for length in (0, 3, 5):
        with rejects("cannot go back"):
            state.truncate(length)


def test_tokens_are_kept_as_they_are() -> None:
    state = TokenState(torch.zeros(2, 0, dtype=torch.int64))
    state.append(torch.tensor([[2**62, 1], [3, 4]]))  # numbers that no float could hold
    copied = state.clone()
    state.append(torch.tensor([[5], [6]]))
    assert state.ids.tolist() == [[2**62, 1, 5], [3, 4, 6]] and copied.ids.tolist() == [[2**62, 1], [3, 4]]
    assert state.select(torch.tensor([1, 1])).ids.tolist() == [[3, 4, 6], [3, 4, 6]]
    state.truncate(1)
    assert state.ids.tolist() == [[2**62], [3]] and state.length == 1
    with rejects("length"):
        state.truncate(2)
