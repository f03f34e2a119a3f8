r"""Stable Diffusion's denoiser: a U-Net on the grid of latents whose places look at the words of a text.

Rombach et al., 2021, arXiv:2112.10752, section 3.3: the U-Net of diffusion models (`companion.nn.unet`, eq-unet-block and
eq-unet-skip) with attention to a text (`companion.image.stable_diffusion.text_blocks`, eq-sd-cross) after the blocks of some
levels and in the middle. The time enters each residual block, the text each attention: nothing else knows of either.

The modules bear the names of diffusers' ``UNet2DConditionModel``, so `TextUNet.from_pretrained` reads the denoisers of Stable
Diffusion 1 and 2. Departure: time may be told in other units (``time_scale``), since a path whose times run from 0 to 1 has
little to say to waves that were made for a thousand steps.
"""

from pathlib import Path

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn
from torch.nn import functional as F

from companion.image.stable_diffusion.config import UNET_FIELDS, TextUNetConfig, unet_config
from companion.image.stable_diffusion.text_blocks import TextAttention
from companion.nn.published import fill, read_config, read_tensors
from companion.nn.timestep import timestep_embedding
from companion.nn.unet import unet_names
from companion.nn.unet_blocks import Double, Halve, Level, ResidualBlock
from companion.validate import checked


class TextUNet(nn.Module):
    """Predict what is in noisy latents, told a time and a text."""

    def __init__(self, config: TextUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, embed = config.widths, 4 * config.widths[0]
        self.conv_in = nn.Conv2d(config.channels, widths[0], 3, padding=1)
        self.time_embedding = nn.ModuleDict(
            {"linear_1": nn.Linear(widths[0], embed), "linear_2": nn.Linear(embed, embed)}
        )
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        stored, x = [widths[0]], widths[0]  # channels of what the way down stores, and of the latents on their way
        for i, width in enumerate(widths):
            resize = Halve(width) if i < len(widths) - 1 else None
            self.down_blocks.append(self._level(i, [x] + [width] * (config.layers - 1), embed, resize))
            stored += [width] * (config.layers + (resize is not None))
            x = width
        middle = [ResidualBlock(x, x, embed, groups=config.groups) for _ in range(2)]
        self.mid_block = nn.ModuleDict({"resnets": nn.ModuleList(middle), "attentions": self._attentions(-1, 1)})
        for i, width in reversed([*enumerate(widths)]):
            ins = [(x if j == 0 else width) + stored.pop() for j in range(config.layers + 1)]
            self.up_blocks.append(self._level(i, ins, embed, Double(width) if i > 0 else None))
            x = width
        self.conv_norm_out = nn.GroupNorm(config.groups, widths[0])
        self.conv_out = nn.Conv2d(widths[0], config.channels, 3, padding=1)
        for module in self.modules():  # each block adds nothing at first, as in the authors' code
            if isinstance(module, ResidualBlock | TextAttention):
                last = module.conv2 if isinstance(module, ResidualBlock) else module.proj_out
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)

    def _level(self, i: int, ins: list[int], embed: int, resize: Halve | Double | None) -> Level:
        config = self.config
        level = Level(
            ins, config.widths[i], embed, attention=False, head_width=None, groups=config.groups, eps=1e-5, dropout=0.0,
            resize=resize,
        )  # fmt: skip
        level.attentions = self._attentions(i, len(ins) if config.attention[i] else 0)
        return level

    def _attentions(self, i: int, n: int) -> nn.ModuleList:
        width, heads = self.config.widths[i], self.config.heads[i]
        some = [TextAttention(width, heads, self.config.context_width, groups=self.config.groups) for _ in range(n)]
        return nn.ModuleList(some)

    @checked
    def forward(
        self,
        sample: Float[Tensor, "n channels={self.config.channels} height width"],
        timestep: Num[Tensor, "n"] | Num[Tensor, ""] | float,
        encoder_hidden_states: Float[Tensor, "n words context_width={self.config.context_width}"],
        encoder_attention_mask: Bool[Tensor, "n words"] | None = None,
    ) -> Float[Tensor, "n channels height width"]:
        """The prediction for each noisy grid.

        Args:
            sample: height and width divisible by 2^(levels - 1).
            timestep: one for each grid, or one for all.
            encoder_hidden_states: what the text tower says of each word.
            encoder_attention_mask: True at words, False at padding; all may be looked at if not given, as in Stable Diffusion.

        Raises:
            ValueError: sizes that do not fit.
        """
        divisor = 2 ** (len(self.config.widths) - 1)
        if any(side % divisor for side in sample.shape[2:]):
            raise ValueError(f"sample: got sides {tuple(sample.shape[2:])}, wanted multiples of {divisor}")
        text = (encoder_hidden_states, encoder_attention_mask)
        e = self._embedding(sample, timestep)
        x = self.conv_in(sample)
        stored = [x]
        for level in self.down_blocks:
            for i in range(len(level.resnets)):
                x = _block(level, i, x, e, text)
                stored.append(x)
            for halve in level.downsamplers:
                x = halve(x)
                stored.append(x)
        first, second = self.mid_block["resnets"]
        x = second(self.mid_block["attentions"][0](first(x, e), *text), e)
        for level in self.up_blocks:
            for i in range(len(level.resnets)):
                x = _block(level, i, torch.cat([x, stored.pop()], dim=1), e, text)
            for double in level.upsamplers:
                x = double(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))

    def _embedding(self, sample: Tensor, timestep: Tensor | float) -> Tensor:
        """silu of the time's embedding, which every block needs."""
        t = self.config.time_scale * torch.as_tensor(timestep, device=sample.device).reshape(-1)
        waves = timestep_embedding(t, self.config.widths[0]).to(sample.dtype)
        first, second = self.time_embedding["linear_1"], self.time_embedding["linear_2"]
        return F.silu(second(F.silu(first(waves)))).expand(len(sample), -1)

    @classmethod
    def from_pretrained(cls, folder: Path | str, *, dtype: torch.dtype = torch.float32) -> "TextUNet":
        """Read a model from a folder that ``UNet2DConditionModel.save_pretrained`` wrote: config.json and safetensors.

        Args:
            folder: with both.
            dtype: of the parameters, whatever the file's is.

        Raises:
            FileNotFoundError: one of the files is not there.
            ValueError: a variant that this class does not have, or weights that do not fit; the message names them.
        """
        model = cls(unet_config(read_config(folder, UNET_FIELDS), str(folder)))
        tensors = read_tensors(folder, "diffusion_pytorch_model")
        # Stable Diffusion 1 holds the maps into and out of the transformer as 1×1 convolutions, 2 as matrices.
        tensors = {k: v[:, :, 0, 0] if ".proj_" in k and v.ndim == 4 else v for k, v in tensors.items()}
        names = unet_names(model)
        inner = {
            "attn1.q": "attn1.to_q",
            "attn1.k": "attn1.to_k",
            "attn1.v": "attn1.to_v",
            "attn1.out": "attn1.to_out.0",
        }
        inner |= {ours.replace("1", "2"): theirs.replace("attn1", "attn2") for ours, theirs in inner.items()}
        inner |= {"ff.widen": "ff.net.0.proj", "ff.narrow": "ff.net.2"}
        for own in [*names.values()]:
            place, _, part = own.rpartition(".transformer_blocks.0.")
            if part in inner:
                names[f"{place}.transformer_blocks.0.{inner[part]}"] = own
        return fill(model, tensors, names, where=str(folder), dtype=dtype)


def _block(level: Level, i: int, x: Tensor, e: Tensor, text: tuple[Tensor, Tensor | None]) -> Tensor:
    x = level.resnets[i](x, e)
    return level.attentions[i](x, *text) if len(level.attentions) else x
