r"""The U-Net of diffusion models: in goes a noisy image and its step, out comes an image of the same size.

Ronneberger, Fischer & Brox, arXiv:1505.04597, as Ho, Jain & Abbeel made it a denoiser, arXiv:2006.11239, appendix B. On the
way down the picture shrinks and the channels grow; on the way up each level gets back what the way down knew at that size
(eq-unet-skip). Every residual block is told the step and the class (eq-unet-block); attention works where the picture is
small.

- :math:`e = W_2\, \mathrm{silu}(W_1\, \mathrm{emb}(t)) + c_y`, :math:`c_y` a learned row for class y (eq-unet-embedding)
- :math:`h = \mathrm{conv}(\mathrm{silu}(\mathrm{norm}(x))) + W\, \mathrm{silu}(e)`,
  :math:`\mathrm{block}(x, e) = x + \mathrm{conv}(\mathrm{silu}(\mathrm{norm}(h)))` (eq-unet-block)
- :math:`x \leftarrow \mathrm{block}([x; s], e)`, s the latest stored output of the way down (eq-unet-skip)

The modules bear the names of diffusers' ``UNet2DModel``, so `UNet.from_pretrained` reads the models that are published in
that format, such as those of the paper. Departures: its variants that none of those models uses are refused.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn
from torch.nn import functional as F

from companion.nn.published import Fields, fill, read_config, read_tensors
from companion.nn.timestep import timestep_embedding
from companion.nn.unet_blocks import Double, Halve, Level, Middle
from companion.validate import Count, Range, Share, check_count, check_labels, checked


@checked
@dataclass(frozen=True)
class UNetConfig:
    """A U-Net's sizes.

    Attributes:
        in_channels: of the noisy image.
        out_channels: of the prediction.
        widths: channels of each level; each level after the first has half the height and width.
        attention: for each level, whether attention follows its blocks; the smallest size always has one in the middle.
        layers: residual blocks of a level on the way down; one more on the way up.
        head_width: channels of an attention head; None for a single head.
        groups: of the group normalisation, a divisor of every width.
        classes: rows of the label embedding, one for "no label" included where there is one; 0 for a model without labels.
        dropout: in each block, in training mode.
        eps: of the group normalisation.
        padding: of the halving convolution: 1 on all sides, or 0 for one row and column at the end, as in the paper's code.
        cosine_first: the order of the step's embedding.
        freq_shift: the shift of its frequencies.
    """

    in_channels: Count = 1
    out_channels: Count = 1
    widths: tuple[int, ...] = (16, 32, 64)
    attention: tuple[bool, ...] = (False, False, True)
    layers: Count = 1
    head_width: Count | None = 16
    groups: Count = 8
    classes: Annotated[int, Range(0)] = 0
    dropout: Share = 0.0
    eps: float = 1e-5
    padding: Annotated[int, Range(0, 1)] = 1
    cosine_first: bool = True
    freq_shift: int = 0

    def __post_init__(self) -> None:
        if not self.widths or len(self.attention) != len(self.widths):
            raise ValueError(
                f"attention: got {len(self.attention)} levels, wanted one for each of {len(self.widths)} widths"
            )
        for width, attends in zip(self.widths, (*self.attention[:-1], True), strict=True):
            check_count("widths", width)
            if width % self.groups:
                raise ValueError(f"widths: got {width}, wanted a multiple of groups = {self.groups}")
            if attends and self.head_width is not None and width % self.head_width:
                raise ValueError(f"widths: got {width}, wanted a multiple of head_width = {self.head_width}")


class UNet(nn.Module):
    """Predict an image's noise (or whatever it is trained for) from the noisy image, its step and its class."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, embed = config.widths, 4 * config.widths[0]
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.time_embedding = nn.ModuleDict(
            {"linear_1": nn.Linear(widths[0], embed), "linear_2": nn.Linear(embed, embed)}
        )
        self.class_embedding = nn.Embedding(config.classes, embed) if config.classes else None
        common = {
            "head_width": config.head_width,
            "groups": config.groups,
            "eps": config.eps,
            "dropout": config.dropout,
        }
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        stored, x = [widths[0]], widths[0]  # channels of what the way down stores, and of the picture on its way
        for i, (width, attends) in enumerate(zip(widths, config.attention, strict=True)):
            resize = Halve(width, padding=config.padding) if i < len(widths) - 1 else None
            ins = [x] + [width] * (config.layers - 1)
            self.down_blocks.append(Level(ins, width, embed, attention=attends, resize=resize, **common))
            stored += [width] * (config.layers + (resize is not None))
            x = width
        self.mid_block = Middle(x, embed, **common)
        for i, (width, attends) in reversed(list(enumerate(zip(widths, config.attention, strict=True)))):
            ins = [(x if j == 0 else width) + stored.pop() for j in range(config.layers + 1)]
            resize = Double(width) if i > 0 else None
            self.up_blocks.append(Level(ins, width, embed, attention=attends, resize=resize, **common))
            x = width
        self.conv_norm_out = nn.GroupNorm(config.groups, widths[0], config.eps)
        self.conv_out = nn.Conv2d(widths[0], config.out_channels, 3, padding=1)

    @checked
    def forward(
        self,
        sample: Float[Tensor, "batch channels={self.config.in_channels} height width"],
        timestep: Num[Tensor, "#batch"] | Num[Tensor, ""] | float,
        class_labels: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch out_channels height width"]:
        """The prediction for each noisy image.

        Args:
            sample: height and width divisible by 2^(levels - 1).
            timestep: one for each image, or one for all.
            class_labels: one for each image, where the model has classes, else None.

        Raises:
            ValueError: sizes that do not fit, or labels that are missing, unknown or not wanted.
        """
        self._check(sample, class_labels)
        e = self._embedding(sample, timestep, class_labels)
        x = self.conv_in(sample)
        stored = [x]
        for level in self.down_blocks:
            for i in range(len(level.resnets)):
                x = level.block(i, x, e)
                stored.append(x)
            for halve in level.downsamplers:
                x = halve(x)
                stored.append(x)
        x = self.mid_block(x, e)
        for level in self.up_blocks:
            for i in range(len(level.resnets)):
                x = level.block(i, torch.cat([x, stored.pop()], dim=1), e)
            for double in level.upsamplers:
                x = double(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))

    def _embedding(self, sample: Tensor, timestep: Tensor | float, class_labels: Tensor | None) -> Tensor:
        """silu(e), which every block needs (eq-unet-embedding)."""
        t = torch.as_tensor(timestep, device=sample.device)
        if t.ndim > 1 or (t.ndim == 1 and len(t) not in (1, len(sample))):
            raise ValueError(
                f"timestep: got shape {tuple(t.shape)}, wanted one number, or one for each of {len(sample)} images"
            )
        c = self.config
        waves = timestep_embedding(t.reshape(-1), c.widths[0], cosine_first=c.cosine_first, freq_shift=c.freq_shift)
        first, second = self.time_embedding["linear_1"], self.time_embedding["linear_2"]
        e = second(F.silu(first(waves.to(sample.dtype)))).expand(len(sample), -1)
        if self.class_embedding is not None:
            e = e + self.class_embedding(class_labels)
        return F.silu(e)

    def _check(self, sample: Tensor, class_labels: Tensor | None) -> None:
        (height, width), step = sample.shape[2:], 2 ** (len(self.config.widths) - 1)
        if height % step or width % step:
            raise ValueError(
                f"sample: got {height}×{width} pixels, wanted multiples of {step}, to be halved and doubled again"
            )
        if (class_labels is None) != (self.class_embedding is None):
            words = ("None", "one for each image") if class_labels is None else ("labels", "None: there are no classes")
            raise ValueError(f"class_labels: got {words[0]}, wanted {words[1]}")
        if class_labels is not None:
            check_labels("class_labels", class_labels, self.config.classes)

    @classmethod
    def from_pretrained(cls, folder: Path | str, *, dtype: torch.dtype = torch.float32) -> "UNet":
        """Read a model from a folder that ``UNet2DModel.save_pretrained`` wrote: config.json and safetensors.

        Args:
            folder: with both.
            dtype: of the parameters, whatever the file's is.

        Raises:
            FileNotFoundError: one of the files is not there.
            ValueError: a variant that this class does not have, or weights that do not fit; the message names them.
        """
        model = cls(config_from_published(read_config(folder, FIELDS), str(folder)))
        names = unet_names(model)
        tensors = read_tensors(folder, "diffusion_pytorch_model")
        return fill(model, tensors, names, where=str(folder), dtype=dtype)


FIELDS = Fields(
    kind=("_class_name", "UNet2DModel"),
    read={
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": (224, 448, 672, 896),
        "down_block_types": ("DownBlock2D", *["AttnDownBlock2D"] * 3),
        "up_block_types": (*["AttnUpBlock2D"] * 3, "UpBlock2D"),
        "layers_per_block": 2,
        "attention_head_dim": 8,
        "norm_num_groups": 32,
        "num_class_embeds": None,
        "dropout": 0.0,
        "norm_eps": 1e-5,
        "downsample_padding": 1,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
    },
    fixed={
        "act_fn": ("silu", "swish"),
        "add_attention": (True,),
        "attn_norm_num_groups": (None,),
        "center_input_sample": (False,),
        "class_embed_type": (None,),
        "downsample_type": ("conv",),
        "mid_block_scale_factor": (1,),
        "mid_block_type": ("UNetMidBlock2D",),
        "resnet_time_scale_shift": ("default",),
        "time_embedding_dim": (None,),
        "time_embedding_type": ("positional",),
        "upsample_type": ("conv",),
    },
    # The size is only that of the training pictures; the number of steps only counts for embeddings that are learned.
    harmless=frozenset(
        {"_diffusers_version", "_name_or_path", "_use_default_values", "num_train_timesteps", "sample_size"}
    ),
)


def config_from_published(fields: dict[str, Any], where: str) -> UNetConfig:
    """A `UNetConfig` from the fields of a ``UNet2DModel``'s config.json.

    Raises:
        ValueError: blocks that `UNet` does not have.
    """
    down, up = fields["down_block_types"], fields["up_block_types"]
    attention = tuple(name == "AttnDownBlock2D" for name in down)
    mirrored = [("Attn" if attends else "") + "UpBlock2D" for attends in reversed(attention)]
    if not {"DownBlock2D", "AttnDownBlock2D"} >= set(down) or list(up) != mirrored:
        raise ValueError(
            f"{where}: got down_block_types, up_block_types = {list(down)}, {list(up)}, wanted DownBlock2D and "
            "AttnDownBlock2D, mirrored"
        )
    return UNetConfig(
        in_channels=fields["in_channels"],
        out_channels=fields["out_channels"],
        widths=tuple(fields["block_out_channels"]),
        attention=attention,
        layers=fields["layers_per_block"],
        head_width=fields["attention_head_dim"],
        groups=fields["norm_num_groups"],
        classes=fields["num_class_embeds"] or 0,
        dropout=fields["dropout"],
        eps=fields["norm_eps"],
        padding=fields["downsample_padding"],
        cosine_first=fields["flip_sin_to_cos"],
        freq_shift=fields["freq_shift"],
    )


# Attention's maps here, in diffusers' new spelling and in the old; everything else has the same name in both.
_ATTENTION = {
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "out",
    "query": "q",
    "key": "k",
    "value": "v",
    "proj_attn": "out",
}


def unet_names(model: nn.Module) -> dict[str, str]:
    """The published names of the modules of a `UNet`, or of another network of its blocks, and ours."""
    names = {}
    for own in dict.fromkeys(key.rpartition(".")[0] for key in model.state_dict()):
        place, attends, one = own.rpartition(".attention.")
        for theirs in [key for key, value in _ATTENTION.items() if value == one] if attends else []:
            names[f"{place}.{theirs}"] = own
        if not attends:
            names[own] = own
    return names
