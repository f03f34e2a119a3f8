r"""Changing a word and keeping the picture: attention to words, looked at and lent.

Hertz et al., "Prompt-to-Prompt Image Editing with Cross Attention Control", 2022, arXiv:2208.01626. What stands where
depends on the noise, and on the attention A of the places to the words (eq-sd-cross). Two pictures are drawn from the same
noise, one for each prompt; in the first share of the steps the second gets the first's attention with its own words' values,

- :math:`\text{edited: } x \leftarrow x + A_\text{source}\, c_\text{edited} W_v W_o` (eq-sd-edit)

so a new word is painted nearer to where the old one stood. Both prompts have equally many words. `word_maps` shows A: which
places took from which word. Departure: the places' attention to each other is not lent.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from companion.diffusion.ddim import ddim_sample
from companion.image.stable_diffusion.pipeline import StableDiffusion
from companion.image.stable_diffusion.text_blocks import TextBlock
from companion.validate import Count, NonNegative, Positive, Share, checked


@contextmanager
def controlled(net: nn.Module, control: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """While it lasts, all attention to words, (n, heads, places, words), goes through ``control``.

    Raises:
        ValueError: a network without such attention, or one that is controlled already.
    """
    blocks = [module for module in net.modules() if isinstance(module, TextBlock)]
    if not blocks or any(block.control is not None for block in blocks):
        got = "a network without" if not blocks else "one under control of its"
        raise ValueError(f"net: got {got} attention to words, wanted one with it that is free")
    try:
        for block in blocks:
            block.control = control
        yield
    finally:
        for block in blocks:
            block.control = None


def lend(attention: Float[Tensor, "n heads places words"], parts: int) -> Float[Tensor, "n heads places words"]:
    """The attention of a batch of ``parts`` parts, of which the last, the edits, gets that of the one before, the sources."""
    rows = list(attention.chunk(parts))
    return torch.cat([*rows[:-1], rows[-2]])


@torch.no_grad()
@checked
def edit_prompts(
    painter: StableDiffusion,
    sources: Sequence[str],
    edits: Sequence[str],
    generator: Generator,
    *,
    share: Share = 0.5,
    scale: NonNegative = 3.0,
    steps: Count = 20,
) -> tuple[Float[Tensor, "n channels height width"], Float[Tensor, "n channels height width"]]:
    """Pictures of the sources, and of the edits where the sources stood.

    Args:
        painter: whose net is a `TextUNet`.
        sources: prompts.
        edits: prompts of as many words each.
        share: of the steps in which attention is lent; 0 only gives both the same noise.

    Raises:
        ValueError: prompts that differ in number or in their number of words.
    """  # fmt: skip
    if [len(a.split()) for a in sources] != [len(b.split()) for b in edits]:
        raise ValueError(f"edits: got {[*edits]} for {[*sources]}, wanted as many, each of as many words")
    prompts, last = [*sources, *edits], round(share * steps)
    times = painter.times(steps)
    until = times[last] if last < len(times) else None
    parts = 4 if scale not in (0, 1) else 2

    def net(z_t: Tensor, t: Tensor, *condition: Tensor) -> Tensor:
        early = last > 0 and (until is None or abs(float(t[0]) - painter.path.data) > abs(until - painter.path.data))
        if not early:
            return painter.net(z_t, t, *condition)
        with controlled(painter.net, lambda attention: lend(attention, parts)):
            return painter.net(z_t, t, *condition)

    noise = painter.noise(len(sources), generator).repeat(2, 1, 1, 1)
    z = ddim_sample(replace(painter, net=net).denoiser(prompts, scale), painter.path, noise, times)
    drawn = painter.latents.decode(z)
    return drawn[: len(sources)], drawn[len(sources) :]


@torch.no_grad()
@checked
def word_maps(
    painter: StableDiffusion,
    prompts: Sequence[str],
    generator: Generator,
    *,
    scale: Positive = 3.0,
    steps: Count = 20,
) -> tuple[Float[Tensor, "n channels height width"], Float[Tensor, "n words rows columns"]]:
    """Pictures, and how much each place took from each word, start and end included: the mean over heads, blocks and steps.

    The grid is the largest at which the painter's `TextUNet` looks at words; what smaller grids took counts for all places that
    they stand for.
    """
    seen: list[Tensor] = []

    def watch(attention: Tensor) -> Tensor:
        seen.append(attention[-len(prompts) :].mean(1))  # guidance puts those with a prompt last
        return attention

    with controlled(painter.net, watch):
        drawn = painter.text_to_image(prompts, generator, scale=scale, steps=steps)
    rows, columns = painter.shape[1:]
    grids = []
    for one in seen:
        shrink = round((rows * columns / one.shape[1]) ** 0.5)
        grids.append(one.transpose(1, 2).unflatten(2, (rows // shrink, columns // shrink)))
    finest = max(grid.shape[2:] for grid in grids)
    return drawn, torch.stack([F.interpolate(grid, size=finest) for grid in grids]).mean(0)
