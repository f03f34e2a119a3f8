r"""Flux: a transformer that says the velocity from noise to picture, for image tokens among words.

Black Forest Labs announced Flux on 1 August 2024 as a hybrid of multimodal and parallel blocks, trained by flow matching, with
rotary positions; the code and the weights of several variants are public, a paper is not. The model is told

- :math:`e = f(1000\,t) + g(\bar c) \; [+\, h(1000\,w)]` (eq-flux-condition)

the time, the pooled text and, if it was distilled from guidance, the guidance's strength w; it reads words c and image tokens x
through `companion.image.flux.blocks` (eq-flux-joint, eq-flux-single) and answers for each image token. Positions are triples
(0, row, column) for image tokens and (0, 0, 0) for words: among words, order is in the text's states alone.

`Flux.from_pretrained` reads what ``FluxTransformer2DModel.save_pretrained`` of diffusers writes. Published weights turn
neighbouring channels (2i with 2i + 1), `companion.nn.positions.Rotary` turns halves, so rows of queries and keys change places.
In diffusers' convention t is the share of noise, 1 at the start, and the answer is noise minus data.
"""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.image.flux.blocks import DoubleBlock, SingleBlock
from companion.image.flux.config import FIELDS, FluxConfig, config_from_published
from companion.nn.dit_block import DiTHead
from companion.nn.positions import Rotary
from companion.nn.published import fill, read_config, read_tensors
from companion.nn.timestep import timestep_embedding
from companion.validate import checked

WAVES = 256  # numbers of the sines that say a time


class Flux(nn.Module):
    """The denoiser (eq-flux-condition, eq-flux-joint, eq-flux-single); its last layer starts at zero."""

    def __init__(self, config: FluxConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.image_in, self.text_in = nn.Linear(config.channels, width), nn.Linear(config.text_width, width)
        self.time, self.pooled = _embedder(WAVES, width), _embedder(config.pooled_width, width)
        self.guidance = _embedder(WAVES, width) if config.guidance else None
        self.steps = _embedder(WAVES, width) if config.steps else None
        self.rotary = Rotary(config.head_width, axes=config.axes)
        self.double_blocks = nn.ModuleList(DoubleBlock(width, config.heads) for _ in range(config.double))
        self.single_blocks = nn.ModuleList(SingleBlock(width, config.heads) for _ in range(config.single))
        self.head = DiTHead(width, config.channels)

    @checked
    def forward(
        self,
        hidden_states: Float[Tensor, "n tokens channels={self.config.channels}"],
        encoder_hidden_states: Float[Tensor, "n words text_width={self.config.text_width}"],
        pooled_projections: Float[Tensor, "n pooled_width={self.config.pooled_width}"],
        timestep: Float[Tensor, "n"],
        img_ids: Int[Tensor, "tokens axes"],
        txt_ids: Int[Tensor, "words axes"],
        guidance: Float[Tensor, "n"] | None = None,
        steps: Int[Tensor, "n"] | None = None,
    ) -> Float[Tensor, "n tokens channels"]:
        """The prediction for each image token.

        Args:
            hidden_states: noisy image tokens.
            encoder_hidden_states: what a text tower says of each word.
            pooled_projections: the text as a whole.
            timestep: from 0 to 1.
            img_ids: places of the image tokens; see `places`.
            txt_ids: places of the words.
            guidance: the strength, for a model that was distilled from guidance.
            steps: how many the sampler takes, for a model of shortcuts; told as the length of one.

        Raises:
            ValueError: sizes that do not fit, or a strength or steps for a model that takes none, or none for one that does.
        """
        condition = self.time(self._waves(timestep)) + self.pooled(pooled_projections)
        for name, given in (("guidance", guidance), ("steps", None if steps is None else 1 / steps)):
            told = getattr(self, name)
            if (given is None) != (told is None):
                got, wanted = ("none", "one") if given is None else ("one", "none")
                built = f"the model was built with {name} = {getattr(self.config, name)}"
                raise ValueError(f"{name}: got {got}, wanted {wanted}: {built}")
            if told is not None:
                condition = condition + told(self._waves(given))
        c, x = self.text_in(encoder_hidden_states), self.image_in(hidden_states)
        angles = self.rotary.angles(torch.cat([txt_ids, img_ids])[None], x.dtype)
        signal = F.silu(condition)
        for block in self.double_blocks:
            c, x = block(c, x, signal, angles)
        y = torch.cat([c, x], dim=1)
        for block in self.single_blocks:
            y = block(y, signal, angles)
        return self.head(y[:, c.shape[1] :], condition)

    def _waves(self, t: Tensor) -> Tensor:
        return timestep_embedding(self.config.time_scale * t, WAVES).to(self.image_in.weight.dtype)

    @classmethod
    def from_pretrained(cls, folder: Path | str, *, dtype: torch.dtype = torch.float32) -> "Flux":
        """Read a model from a folder that ``FluxTransformer2DModel.save_pretrained`` wrote: config.json and safetensors.

        Args:
            folder: with both.
            dtype: of the parameters, whatever the file's is.

        Raises:
            FileNotFoundError: one of the files is not there.
            ValueError: a variant that this class does not have, or weights that do not fit; the message names them.
        """
        config = config_from_published(read_config(folder, FIELDS), str(folder))
        tensors = read_tensors(folder, "diffusion_pytorch_model")
        tensors = {name: _ours(name, tensor, config) for name, tensor in tensors.items()}
        return fill(cls(config), tensors, NAMES, where=str(folder), dtype=dtype)


@checked
def places(rows: int, columns: int, words: int) -> tuple[Int[Tensor, "tokens 3"], Int[Tensor, "words 3"]]:
    """``img_ids`` of a grid in reading order, and ``txt_ids``."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    image = torch.stack([torch.zeros_like(row), row, column], dim=-1).reshape(-1, 3)
    return image, torch.zeros(words, 3, dtype=image.dtype)


def _embedder(numbers: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(numbers, width), nn.SiLU(), nn.Linear(width, width))


_TURNED = {"to_q", "to_k", "add_q_proj", "add_k_proj", "norm_q", "norm_k", "norm_added_q", "norm_added_k"}


def _ours(name: str, tensor: Tensor, config: FluxConfig) -> Tensor:
    """A published tensor in our conventions: halves in place of neighbours, a shift before its scale."""
    module = name.rpartition(".")[0]
    if module.rpartition(".")[2] in _TURNED and len(tensor) % config.head_width == 0:
        heads = tensor.unflatten(0, (-1, config.head_width))
        return torch.cat([heads[:, ::2], heads[:, 1::2]], dim=1).flatten(0, 1)
    if module == "norm_out.linear":
        return torch.cat(tensor.chunk(2)[::-1])
    return tensor


def _half(ours: str, q: str, norm: str, out: str, ff: str, modulation: str) -> dict[str, str]:
    """The names of a double block's stream."""
    block, attention = "transformer_blocks.*", "transformer_blocks.*.attn"
    named = {f"{attention}.{q.format(one)}": f"ask.{one}" for one in "qkv"}
    named |= {f"{attention}.{norm.format(one)}": f"ask.{one}_norm" for one in "qk"}
    named |= {f"{attention}.{out}": "out", f"{block}.{modulation}.linear": "modulation"}
    named |= {f"{block}.{ff}.net.0.proj": "mlp.0", f"{block}.{ff}.net.2": "mlp.2"}
    return {theirs: f"double_blocks.*.{ours}.{own}" for theirs, own in named.items()}


_SINGLE = {
    **{f"attn.to_{one}": f"ask.{one}" for one in "qkv"},
    **{f"attn.norm_{one}": f"ask.{one}_norm" for one in "qk"},
    "norm.linear": "modulation",
    "proj_mlp": "widen",
    "proj_out": "out",
}
_EMBEDDED = {"timestep_embedder": "time", "text_embedder": "pooled", "guidance_embedder": "guidance"}
NAMES = {
    "x_embedder": "image_in",
    "context_embedder": "text_in",
    **{
        f"time_text_embed.{theirs}.linear_{i + 1}": f"{ours}.{2 * i}"
        for theirs, ours in _EMBEDDED.items()
        for i in (0, 1)
    },
    **_half("image", "to_{}", "norm_{}", "to_out.0", "ff", "norm1"),
    **_half("text", "add_{}_proj", "norm_added_{}", "to_add_out", "ff_context", "norm1_context"),
    **{f"single_transformer_blocks.*.{theirs}": f"single_blocks.*.{ours}" for theirs, ours in _SINGLE.items()},
    "norm_out.linear": "head.modulation",
    "proj_out": "head.out",
}
"""Published modules and ours."""
