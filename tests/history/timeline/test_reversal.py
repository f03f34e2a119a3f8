"""Writing backwards: what the writer may depend on, with and without looking back."""

import pytest
import torch

from companion.history.timeline.reversal import Reverser, letters_right, reversal_loss, strings
from tests.conftest import gen, rejects


def test_strings_have_ten_letters_and_no_padding() -> None:
    (source,) = strings(200, 7, gen())
    assert source.shape == (200, 7) and set(source.unique().tolist()) == set(range(1, 11))


@pytest.mark.parametrize("look", [False, True])
def test_the_writer_sees_only_the_letters_before(look: bool) -> None:
    torch.manual_seed(0)
    model, (source,) = Reverser(look=look), strings(3, 6, gen())
    other = source.flip(1).clone()
    other[:, 3] = 1 + other[:, 3] % 10
    same = model(source, source.flip(1)) == model(source, other)
    assert same[:, :4].all() and not same[:, 4:].all(-1).any()


def test_without_looking_back_all_of_the_source_passes_through_the_last_state() -> None:
    torch.manual_seed(0)
    for look in (False, True):
        model, (source,) = Reverser(look=look), strings(3, 6, gen())
        kept = []
        model.read.register_forward_hook(lambda _, __, out, kept=kept: kept.append(out[0]) or (out[0] * 0, out[1]))
        changed = model(source, source.flip(1))
        model.read._forward_hooks.clear()
        assert torch.equal(changed, model(source, source.flip(1))) is (not look)


def test_loss_and_share_are_of_the_reversed_string() -> None:
    class Oracle(torch.nn.Module):
        def forward(self, source, target):
            return 100 * torch.nn.functional.one_hot(source.flip(1), 11).float()

    (source,) = strings(4, 5, gen())
    assert letters_right(Oracle(), source) == 1 and float(reversal_loss(Oracle(), (source,), gen())) < 1e-6


def test_bad_input() -> None:
    with rejects("length: got 0"):
        strings(2, 0, gen())
