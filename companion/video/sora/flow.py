"""What a film model learns, and how it makes films: rectified flow on lists of latent patches, with known frames and guidance.

The straight path of `companion.diffusion.paths` (noise z at t = 0, film x at t = 1), on tokens. What is known or is
padding is left out of the mean:

    L = E ‖v(x_t) - (x - z)‖² / (numbers that are neither known nor padding)                   (eq-sora-loss)

The times are drawn as sigmoid(N(m, 1)), as Esser et al. do (arXiv:2403.03206); here m = -0.8, towards the noise.
Guidance (Ho & Salimans, arXiv:2207.12598), where w = 1 means none:

    v_w = v(no caption) + w (v(caption) - v(no caption))                                       (eq-sora-guidance)

Extension: the frames that exist are known tokens and stay as they are; the others begin as noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.diffusion.ddim import ddim_sample
from companion.diffusion.guidance import drop_condition, guided
from companion.diffusion.paths import RectifiedFlow, q_sample
from companion.diffusion.prediction import as_denoiser
from companion.diffusion.times import LogitNormal, TimeLaw
from companion.nn.patches import Size3, grid_of, grid_positions, pad_tokens, patchify, unpatchify
from companion.training.random import rand, randn
from companion.validate import Count, NonNegative, Share, checked
from companion.video.sora.captions import NOTHING, encode_captions
from companion.video.sora.transformer import Sora

Batch = tuple[Tensor, Tensor, Tensor, Tensor]  # patches, positions, real, captions
PATCH: Size3 = (1, 1, 1)  # the latents are so small that a patch is one cell
PATH = RectifiedFlow()


def pack(films: Sequence[Float[Tensor, "_ channels _ _ _"]], captions: Sequence[Sequence[str]]) -> Batch:
    """Groups of films, each group of another size, as one batch: patches, positions, what is real, captions."""
    patches, positions, words = [], [], []
    for group, sentences in zip(films, captions, strict=True):
        tokens = patchify(group, PATCH)
        if len(tokens) != len(sentences):
            raise ValueError(f"captions: got {len(sentences)}, wanted one for each of {len(tokens)} films")
        patches += list(tokens)
        positions += [grid_positions(grid_of(tuple(group.shape[2:]), PATCH))] * len(tokens)
        words += sentences
    table, real = pad_tokens(patches)
    places, _ = pad_tokens(positions)
    return table, places.to(table.device), real, encode_captions(words).to(table.device)


@checked
@dataclass(frozen=True)
class FilmLoss:
    """The loss of a batch (eq-sora-loss): ``loss(model, batch, generator)``.

    Attributes:
        drop: the share of films whose caption is replaced by nothing, so that guidance has something to compare with.
        given: the share of films of which the first or the last latent frames are known.
        times: the law of t.
    """

    drop: Share = 0.1
    given: Share = 0.25
    times: TimeLaw = LogitNormal(mean=-0.8)

    def __call__(self, model: Sora, batch: Batch, generator: torch.Generator) -> Float[Tensor, ""]:
        x, positions, real, captions = batch
        captions = drop_condition(captions, NOTHING, self.drop, generator)
        known = draw_known(positions[..., 0], real, self.given, generator)
        z = randn(x.shape, generator, x)
        t = self.times(len(x), generator, x)
        noisy = torch.where(known[..., None], x, q_sample(PATH, x, t, z))
        velocity = model(noisy, positions, t, captions, real, known)
        wanted = real & ~known
        error = (velocity - (x - z)).square().mean(-1) * wanted
        return error.sum() / wanted.sum()


@checked
def draw_known(
    frame: Int[Tensor, "n tokens"], real: Bool[Tensor, "n tokens"], share: Share, generator: torch.Generator
) -> Bool[Tensor, "n tokens"]:
    """Which tokens are given: of a ``share`` of the films some of the first, or some of the last, but never all."""
    last = frame.masked_fill(~real, 0).amax(1, keepdim=True)
    far, side, luck = (rand((len(frame), 1), generator, device=frame.device) for _ in range(3))
    count = 1 + (far * last).floor()  # 1 to last, of last + 1
    known = torch.where(side < 0.5, frame < count, frame > last - count)
    return known & (luck < share) & real & (last > 0)


@torch.no_grad()
@checked
def make_latents(
    model: Sora,
    captions: Sequence[str],
    size: Size3,
    generator: torch.Generator,
    *,
    steps: Count = 20,
    guidance: NonNegative = 2.0,
    known: Float[Tensor, "{len(captions)} {model.config.channels} some {size[1]} {size[2]}"] | None = None,
    at_end: bool = False,
) -> Float[Tensor, "n channels frames latent_height latent_width"]:
    """The latents of one film for each caption.

    Args:
        captions: sentences; "" leaves the content to the model.
        size: latent frames, rows and columns; multiples of the patch.
        steps: of Euler's method, which is DDIM's on a straight path; one evaluation of the network each, with guidance two.
        guidance: 1 for none (eq-sora-guidance).
        known: latent frames that are given, fewer than the film's.
        at_end: whether they are the film's last and what led to them is wanted, instead of what follows.
    """
    n, grid, device = len(captions), grid_of(size, PATCH), model.known.device
    positions = grid_positions(grid).to(device).expand(n, -1, -1)
    words = encode_captions(captions).to(device)
    z = randn((n, positions.shape[1], model.config.channels), generator, device=device)
    given = torch.zeros(z.shape[:2], dtype=torch.bool, device=device)
    if known is not None:
        tokens = patchify(known, PATCH)
        if tokens.shape[1] >= z.shape[1]:
            raise ValueError(f"known: got {known.shape[2]} latent frames, wanted fewer than the film's {size[0]}")
        place = slice(-tokens.shape[1], None) if at_end else slice(tokens.shape[1])
        z[:, place], given[:, place] = tokens, True

    condition = {"positions": positions, "captions": words, "known": given}
    net = guided(lambda x, t, **told: model(x, t=t, **told), condition, guidance, null={"captions": NOTHING})

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return net(x, t).masked_fill(given[..., None], 0.0)

    x = ddim_sample(as_denoiser(velocity, PATH, "velocity"), PATH, z, steps)
    return unpatchify(torch.where(given[..., None], z, x), PATCH, grid)
