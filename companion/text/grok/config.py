"""The sizes of a Grok, and how those of a Mixtral are read from a published configuration.

Grok-1's ways are those of its published code (github.com/xai-org/grok-1, `model.py` and `run.py`, March 2024): there is no
paper. Mixtral: Jiang et al., "Mixtral of Experts", 2024, arXiv:2401.04088. They differ in eight things:

|                                   | Grok-1                    | Mixtral        |
| --------------------------------- | ------------------------- | -------------- |
| gates of the chosen experts       | as the softmax gave them  | divided by their sum |
| scores of attention               | 30 tanh(s / 30)           | s              |
| norms of a block                  | before and after each part | before each part |
| what bends in an expert           | GELU (tanh form)          | SiLU           |
| token table                       | is the output matrix, too | apart from it  |
| what is read from the table       | times √6144, the root of the width | as it is |
| logits                            | divided by √3             | as they are    |
| rotary base                       | 10,000                    | 1,000,000      |

Both have 8 experts of which 2 run, grouped queries, no biases, RMS norms with ε = 1e-5.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from companion.nn.published import HARMLESS, WANTED, Fields, rope_of
from companion.validate import Count, Positive, Range, checked


@checked
@dataclass(frozen=True)
class GrokConfig:
    """The sizes of a Grok; the defaults are Grok-1's ways.

    Attributes:
        vocab_size: how many tokens there are.
        context: how many tokens it is trained to read.
        width: of the stream.
        layers: how many blocks.
        heads: of the queries.
        kv_heads: of the keys and values.
        hidden: of each expert.
        experts: how many each layer has; with one there is no router, and the model is dense.
        active: how many of them run for a token.
        head_width: of a head; width / heads if not given.
        renormalised: whether the gates of the chosen are divided by their sum.
        score_cap: of the scores of attention, or None for none.
        sandwich: whether what a part adds is normalised, too.
        bend: of the experts' gates.
        tied: whether the output matrix is the token table.
        embedding_scale: what is read from the table is multiplied by it; the root of the width if not given.
        logit_scale: the logits are multiplied by it.
        rope_base: of the rotary frequencies.
        norm_eps: of all norms.
        init_std: of the normal distribution that all matrices start from; see `companion.text.llama.LlamaConfig`.
        nudged: whether the routers have a bias for the choice (`companion.text.grok.balance.nudge`), as in DeepSeek-V3.
    """

    vocab_size: Count
    context: Count
    width: Count
    layers: Count
    heads: Count
    kv_heads: Count
    hidden: Count
    experts: Count = 8
    active: Count = 2
    head_width: Count | None = None
    renormalised: bool = False
    score_cap: Positive | None = 30.0
    sandwich: bool = True
    bend: Literal["gelu", "silu"] = "gelu"
    tied: bool = True
    embedding_scale: Positive | None = None
    logit_scale: Positive = 3**-0.5
    rope_base: Annotated[float, Range(1, open_low=True)] = 10_000.0
    norm_eps: float = 1e-5
    init_std: Positive = 0.02
    nudged: bool = False

    def __post_init__(self) -> None:
        if self.head_width is None and self.width % (2 * self.heads):
            raise ValueError(
                f"width: got {self.width}, wanted a multiple of 2 × {self.heads} heads: rotary turns pairs"
            )
        if self.active > self.experts:
            raise ValueError(f"active: got {self.active}, wanted at most the {self.experts} experts that there are")


PUBLISHED = Fields(
    kind=("model_type", "mixtral"),
    read={
        "vocab_size": WANTED,
        "hidden_size": WANTED,
        "intermediate_size": WANTED,
        "num_hidden_layers": WANTED,
        "num_attention_heads": WANTED,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "head_dim": None,
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-5,
        "rope_parameters": None,
        "rope_scaling": None,
        "rope_theta": 1_000_000.0,
        "tie_word_embeddings": False,
    },
    fixed={
        "hidden_act": ("silu", "swish"),
        "sliding_window": (None,),
        "is_encoder_decoder": (False,),
        "per_layer_config": (None,),
        "pruned_heads": (None, {}),
    },
    # These have a bearing on training alone.
    harmless=HARMLESS | {"attention_dropout", "output_router_logits", "router_aux_loss_coef", "router_jitter_noise"},
)


def config_from_published(fields: dict[str, Any], where: str) -> GrokConfig:
    """A `GrokConfig` with Mixtral's ways from the fields of a published one.

    Raises:
        ValueError: rotary frequencies that are rescaled, or one expert, which Mixtral would give a router.
    """
    base = fields["rope_theta"]
    for name in ("rope_scaling", "rope_parameters"):  # the old name and the new
        own, _ = rope_of(fields[name], name, where)
        base = base if own is None else own
    if fields["num_local_experts"] == 1:
        raise ValueError(f"{where}: got num_local_experts = 1, wanted at least 2: with one there is no router here")
    return GrokConfig(
        vocab_size=fields["vocab_size"],
        context=fields["max_position_embeddings"],
        width=fields["hidden_size"],
        layers=fields["num_hidden_layers"],
        heads=fields["num_attention_heads"],
        kv_heads=fields["num_key_value_heads"] or fields["num_attention_heads"],
        hidden=fields["intermediate_size"],
        experts=fields["num_local_experts"],
        active=fields["num_experts_per_tok"],
        head_width=fields["head_dim"],
        renormalised=True,
        score_cap=None,
        sandwich=False,
        bend="silu",
        tied=fields["tie_word_embeddings"],
        embedding_scale=1.0,
        logit_scale=1.0,
        rope_base=base,
        norm_eps=fields["rms_norm_eps"],
    )
