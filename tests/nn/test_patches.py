"""Space-time patches: the inverse, the axes, a convolution's equal, positions and padding."""

import pytest
import torch

from companion.nn.patches import grid_of, grid_positions, pad_tokens, patchify, unpatchify
from tests.conftest import rejects

PATCH = (2, 3, 5)
SHAPE = (2, 3, 8, 9, 20)  # batch, channels, frames, height, width: all different (I58)
GRID = (4, 3, 4)


def test_unpatchify_is_the_inverse_I58():
    films = torch.randn(SHAPE)
    tokens = patchify(films, PATCH)
    assert tokens.shape == (2, 4 * 3 * 4, 3 * 2 * 3 * 5)
    assert torch.equal(unpatchify(tokens, PATCH, GRID), films)


def test_each_token_is_one_box_of_the_film_I58():
    """Found by hand for every token: no axes are swapped, although the shapes would allow it."""
    films = torch.randn(SHAPE)
    tokens = patchify(films, PATCH)
    for token, (t, h, w) in zip(tokens.unbind(1), grid_positions(GRID).tolist(), strict=True):
        box = films[:, :, 2 * t : 2 * t + 2, 3 * h : 3 * h + 3, 5 * w : 5 * w + 5]
        assert torch.equal(token, box.flatten(1))


def test_a_linear_layer_on_tokens_is_a_strided_convolution():
    conv = torch.nn.Conv3d(3, 7, PATCH, stride=PATCH)
    want = conv(films := torch.randn(SHAPE)).flatten(2).transpose(1, 2)
    got = torch.nn.functional.linear(patchify(films, PATCH), conv.weight.flatten(1), conv.bias)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-5)


def test_changing_one_frame_changes_its_tokens_alone_I58():
    films = torch.randn(SHAPE)
    changed = films.clone()
    changed[:, :, 5] += 1
    touched = (patchify(films, PATCH) != patchify(changed, PATCH)).any(-1).all(0)
    assert torch.equal(touched, grid_positions(GRID)[:, 0] == 2)


@pytest.mark.parametrize("size", [(2, 3, 5), (4, 9, 5), (2, 12, 30)])
def test_any_length_and_shape_I57(size):
    films = torch.randn(3, 1, *size)
    grid = grid_of(size, PATCH)
    assert torch.equal(unpatchify(patchify(films, PATCH), PATCH, grid), films)
    assert len(grid_positions(grid)) == patchify(films, PATCH).shape[1]


def test_padding_keeps_what_is_real():
    lists = [torch.randn(n, 4) for n in (3, 1, 6)]
    table, real = pad_tokens(lists)
    assert table.shape == (3, 6, 4) and real.sum(1).tolist() == [3, 1, 6]
    for row, mask, tokens in zip(table, real, lists, strict=True):
        assert torch.equal(row[mask], tokens) and not row[~mask].any()


def test_bad_input():
    with rejects("width"):
        patchify(torch.zeros(1, 1, 2, 3, 6), PATCH)
    with rejects("films"):
        patchify(torch.zeros(1, 2, 3, 5), PATCH)
    with rejects("tokens"):
        unpatchify(torch.zeros(1, 5, 30), PATCH, (2, 1, 1))
    with rejects("tokens"):
        unpatchify(torch.zeros(1, 2, 31), PATCH, (2, 1, 1))
    with rejects("patch"):
        grid_of((4, 4, 4), (0, 2, 2))
    with rejects("lists"):
        pad_tokens([])
    with rejects("tokens"):
        pad_tokens([torch.zeros(2, 3), torch.zeros(2, 4)])
