"""Who looks at whom in a Flux: the shares of each block's attention, words and image tokens together."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.image.flux.model import places
from companion.image.flux.packed import SQUARE, PackedFlux
from companion.nn.positions import turn
from companion.validate import checked


@torch.no_grad()
@checked
def joint_attention(
    model: PackedFlux,
    z_t: Float[Tensor, "n channels rows columns"],
    t: Float[Tensor, "n"],
    words: Float[Tensor, "n words text_width"],
    pooled: Float[Tensor, "n pooled_width"],
) -> Float[Tensor, "blocks n heads all all"]:
    """Of each block, double ones first: how much each of words and image tokens, in this order, looks at each."""
    flux, found = model.inner, []
    image, text = places(*(side // SQUARE for side in z_t.shape[2:]), words.shape[1])
    angles = flux.rotary.angles(torch.cat([text, image]).to(z_t.device)[None], z_t.dtype)
    asked: list[tuple[Tensor, Tensor]] = []

    def note(module: nn.Module, given: tuple, heads: list[Tensor]) -> None:
        asked.append((heads[0], heads[1]))

    parts = [part for block in flux.double_blocks for part in (block.text.ask, block.image.ask)]
    parts += [block.ask for block in flux.single_blocks]
    hooks = [part.register_forward_hook(note) for part in parts]
    try:
        model(z_t, t, words, pooled)
    finally:
        for hook in hooks:
            hook.remove()
    double = 2 * len(flux.double_blocks)
    pairs = [tuple(torch.cat(both, dim=2) for both in zip(*asked[i : i + 2], strict=True)) for i in range(0, double, 2)]
    for q, k in [*pairs, *asked[double:]]:
        q, k = turn(q, *angles), turn(k, *angles)
        found.append((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1))
    return torch.stack(found)
