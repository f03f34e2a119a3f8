"""The sizes of a Gemma, and how they are read from published configurations: Gemma 2, and the text models of Gemma 3.

Gemma Team, "Gemma 2: Improving Open Language Models at a Practical Size", 2024, arXiv:2408.00118, table 1, and "Gemma 3
Technical Report", 2025, arXiv:2503.19786, table 1 and section 2. The two differ in four things:

- in Gemma 2 every second layer is global, in Gemma 3 every sixth; both begin with local ones;
- Gemma 2 has one rotary base, 10,000; Gemma 3's global layers have 1,000,000, stretched by 8 in the larger models;
- what holds the scores of attention in bounds is a soft cap of 50 in Gemma 2, and norms of queries and keys in Gemma 3;
- Gemma 2 caps its logits at 30.

Departure: other orders of layers, biases and attention to what comes after are refused, not guessed.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from companion.nn.published import HARMLESS, WANTED, Fields, rope_of
from companion.validate import Count, Positive, Range, checked

Base = Annotated[float, Range(1, open_low=True)]


@checked
@dataclass(frozen=True)
class GemmaConfig:
    """The sizes of a Gemma; the defaults are Gemma 3's ways.

    Attributes:
        vocab_size: how many tokens there are.
        context: how many tokens it is trained to read.
        width: of the stream.
        layers: how many blocks.
        heads: of the queries.
        kv_heads: of the keys and values.
        head_width: of a head, which need not be width / heads.
        hidden: of the gated MLPs.
        window: how many tokens a local layer sees, the reading one included.
        global_every: of so many layers the last sees all that came before; the others are local.
        query_scalar: scores are divided by its root; a head's width if not given.
        qk_norm: whether queries and keys are normalised.
        score_cap: of the scores of attention; none if not given.
        logit_cap: of the logits; none if not given.
        local_base: of the rotary frequencies of local layers.
        global_base: of those of global layers.
        global_stretch: of those of global layers, which are divided by it.
        norm_eps: of all norms.
        init_std: of the normal distribution that all matrices start from; see `companion.text.llama.LlamaConfig`.
    """

    vocab_size: Count
    context: Count
    width: Count
    layers: Count
    heads: Count
    kv_heads: Count
    head_width: Count
    hidden: Count
    window: Count
    global_every: Count = 6
    query_scalar: Positive | None = None
    qk_norm: bool = True
    score_cap: Positive | None = None
    logit_cap: Positive | None = None
    local_base: Base = 10_000.0
    global_base: Base = 1_000_000.0
    global_stretch: Positive = 1.0
    norm_eps: float = 1e-6
    init_std: Positive = 0.02

    def is_local(self, layer: int) -> bool:
        """Whether a layer, counted from 0, sees only the window."""
        return (layer + 1) % self.global_every != 0


_ALIKE = {"layers": 26, "head_width": 256, "query_scalar": 256.0}
GEMMA2_2B = GemmaConfig(
    256_000, 8192, 2304, heads=8, kv_heads=4, hidden=9216, window=4096, global_every=2, qk_norm=False, score_cap=50.0,
    logit_cap=30.0, global_base=10_000.0, **_ALIKE,
)  # fmt: skip
"""The sizes of Gemma 2 2B."""
GEMMA3_1B = GemmaConfig(262_144, 32_768, 1152, heads=4, kv_heads=1, hidden=6912, window=512, **_ALIKE)
"""The sizes of Gemma 3 1B."""

_READ = {
    "model_type": WANTED,
    "vocab_size": WANTED,
    "hidden_size": WANTED,
    "intermediate_size": WANTED,
    "num_hidden_layers": WANTED,
    "num_attention_heads": WANTED,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "rms_norm_eps": 1e-6,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "layer_types": None,
    "rope_parameters": None,
    "rope_scaling": None,
}
_FIXED = {
    "hidden_activation": ("gelu_pytorch_tanh", "gelu_new"),
    "attention_bias": (False,),
    "tie_word_embeddings": (True,),
    "use_bidirectional_attention": (False, None),
    "is_encoder_decoder": (False,),
    "per_layer_config": (None,),
    "pruned_heads": (None, {}),
}
# How a cache is kept has no bearing on the numbers; hidden_act stands in Gemma 2's files, and the library does not read it.
_HARMLESS = HARMLESS | {"attention_dropout", "cache_implementation", "hidden_act"}

GEMMA2 = Fields(
    kind=("model_type", "gemma2"),
    read=_READ
    | {
        "max_position_embeddings": 8192,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "rope_theta": 10_000.0,
    },
    fixed=_FIXED,
    harmless=_HARMLESS,
)
GEMMA3 = Fields(
    kind=("model_type", "gemma3_text"),
    read=_READ
    | {
        "max_position_embeddings": 131_072,
        "final_logit_softcapping": None,
        "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0,
        "sliding_window_pattern": 6,
    },
    fixed=_FIXED | {"attn_logit_softcapping": (None,)},  # the library knows the field here, but does not cap
    harmless=_HARMLESS | {"_sliding_window_pattern"},  # a trace of the above in newer files, which have layer_types
)


def config_from_published(fields: dict[str, Any], where: str) -> GemmaConfig:
    """A `GemmaConfig` from the fields of a published one, of `GEMMA2` or `GEMMA3`.

    Raises:
        ValueError: layers in another order, no window, or rotary frequencies that are rescaled in other ways.
    """
    second = fields["model_type"] == "gemma2"
    local_base, global_base, stretch = (_one_rope if second else _two_ropes)(fields, where)
    if fields["sliding_window"] is None:
        raise ValueError(f"{where}: got sliding_window = None, wanted how many tokens a local layer sees")
    return GemmaConfig(
        vocab_size=fields["vocab_size"],
        context=fields["max_position_embeddings"],
        width=fields["hidden_size"],
        layers=fields["num_hidden_layers"],
        heads=fields["num_attention_heads"],
        kv_heads=fields["num_key_value_heads"],
        head_width=fields["head_dim"],
        hidden=fields["intermediate_size"],
        window=fields["sliding_window"],
        global_every=_global_every(fields, 2 if second else fields["sliding_window_pattern"], where),
        query_scalar=fields["query_pre_attn_scalar"],
        qk_norm=not second,
        score_cap=fields.get("attn_logit_softcapping"),
        logit_cap=fields["final_logit_softcapping"],
        local_base=local_base,
        global_base=global_base,
        global_stretch=stretch,
        norm_eps=fields["rms_norm_eps"],
    )


def _global_every(fields: dict[str, Any], usual: int, where: str) -> int:
    """Which layers are global, from the list of their types if there is one."""
    given, layers = fields["layer_types"], fields["num_hidden_layers"]
    if given is None:
        return usual
    every = given.index("full_attention") + 1 if "full_attention" in given else layers + 1
    wanted = ["sliding_attention" if (i + 1) % every else "full_attention" for i in range(layers)]
    if given != wanted:
        raise ValueError(
            f"{where}: got layer_types = {given}, wanted 'sliding_attention' for {layers} layers but every n-th, "
            "which has 'full_attention'"
        )
    return every


def _one_rope(fields: dict[str, Any], where: str) -> tuple[float, float, float]:
    """Gemma 2's: local and global layers have one base."""
    base = fields["rope_theta"]
    for name in ("rope_scaling", "rope_parameters"):  # the old name and the new
        own, _ = rope_of(fields[name], name, where)
        base = base if own is None else own
    return base, base, 1.0


def _two_ropes(fields: dict[str, Any], where: str) -> tuple[float, float, float]:
    """Gemma 3's: in newer files a group for each type of layer; in older ones three fields."""
    groups = fields["rope_parameters"] or {}
    further = groups.keys() - {"sliding_attention", "full_attention"}
    if further:
        raise ValueError(f"{where}: got rope_parameters = {groups}, wanted a group for each type of layer alone")
    near, _ = rope_of(groups.get("sliding_attention"), "rope_parameters", where)
    far, stretch = rope_of(groups.get("full_attention"), "rope_parameters", where, stretched=True)
    if scaling := fields["rope_scaling"]:
        if "rope_type" not in scaling:  # under the name "type", which is older still, the library passes it over
            raise ValueError(f"{where}: got rope_scaling = {scaling}, wanted one with a rope_type")
        older, stretch = rope_of(scaling, "rope_scaling", where, stretched=True)
        far = far if older is None else older
    return (
        fields["rope_local_base_freq"] if near is None else near,
        fields["rope_theta"] if far is None else far,
        stretch,
    )
