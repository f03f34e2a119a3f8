"""The sizes of a T5, and how its published files write them: both versions, field by field and tensor by tensor.

Raffel et al. 2019, arXiv:1910.10683, and version 1.1 of their code. The two differ in the MLPs, which ``feed_forward_proj``
says, and in the output: version 1 ties it to the token table and divides by √width, version 1.1 does neither. Old files say
this with ``tie_word_embeddings``, those of transformers 5 with ``scale_decoder_outputs``. Departure: what the format can switch
on and neither version has, such as other activations, is refused, not guessed.
"""

from dataclasses import dataclass
from typing import Any

from companion.nn.published import HARMLESS, Fields
from companion.validate import Count, NonNegative, Share, checked


@checked
@dataclass(frozen=True)
class T5Config:
    """The sizes of a T5; the defaults are the published small one's, 60 M parameters.

    Attributes:
        vocab_size: how many tokens there are, sentinels included.
        width: of both streams.
        layers: of the encoder.
        decoder_layers: of the decoder; as many if not given.
        heads: of each attention.
        head_width: of a head; it need not divide the width.
        hidden: of the MLPs.
        gated: whether the MLPs are gated (eq-t5-gated-mlp), as in version 1.1.
        tied: whether W_out is the table divided by √width; in version 1.1 it is not.
        buckets: of the distances between tokens.
        max_distance: from which on all distances are in the last bucket.
        norm_eps: of the norms.
        dropout: on the inputs, the attention weights, the MLPs' hidden units, what each part adds and the output, in training
            mode; 0.1 in the paper.
        pad_token: fills up short rows, and is what the decoder reads before the first token.
    """

    vocab_size: Count = 32_128
    width: Count = 512
    layers: Count = 6
    decoder_layers: Count | None = None
    heads: Count = 8
    head_width: Count = 64
    hidden: Count = 2048
    gated: bool = False
    tied: bool = True
    buckets: Count = 32
    max_distance: Count = 128
    norm_eps: NonNegative = 1e-6
    dropout: Share = 0.0
    pad_token: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.pad_token < self.vocab_size:
            raise ValueError(f"pad_token: got {self.pad_token}, wanted one of the {self.vocab_size} tokens")


FIELDS = Fields(
    kind=("model_type", "t5"),
    read={
        "vocab_size": 32_128,
        "d_model": 512,
        "d_kv": 64,
        "d_ff": 2048,
        "num_layers": 6,
        "num_decoder_layers": None,
        "num_heads": 8,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "layer_norm_epsilon": 1e-6,
        "feed_forward_proj": "relu",
        "dense_act_fn": None,
        "is_gated_act": None,
        "tie_word_embeddings": True,
        "scale_decoder_outputs": None,
        "pad_token_id": 0,
        "decoder_start_token_id": None,
    },
    fixed={"is_encoder_decoder": (True,), "per_layer_config": (None,), "pruned_heads": (None, {})},
    # Of training, of a classifier that is not here, and of the first files.
    harmless=HARMLESS | {"dropout_rate", "classifier_dropout", "initializer_factor", "n_positions", "output_past"},
)
NAMES = {
    "shared": "tokens",
    "encoder.embed_tokens": "tokens",
    "decoder.embed_tokens": "tokens",
    "lm_head": "out",
    **{
        f"{stack}.{theirs}": f"{stack}{ours}"
        for stack in ("encoder", "decoder")
        for theirs, ours in {
            "block.0.layer.0.SelfAttention.relative_attention_bias": "_positions.table",
            "final_layer_norm": "_norm",
            "block.*.layer.0.layer_norm": ".*.attention_norm",
            "block.*.layer.0.SelfAttention.q": ".*.attention.q",
            "block.*.layer.0.SelfAttention.k": ".*.attention.k",
            "block.*.layer.0.SelfAttention.v": ".*.attention.v",
            "block.*.layer.0.SelfAttention.o": ".*.attention.out",
        }.items()
    },
    "decoder.block.*.layer.1.layer_norm": "decoder.*.cross_norm",
    "decoder.block.*.layer.1.EncDecAttention.q": "decoder.*.cross.q",
    "decoder.block.*.layer.1.EncDecAttention.k": "decoder.*.cross.k",
    "decoder.block.*.layer.1.EncDecAttention.v": "decoder.*.cross.v",
    "decoder.block.*.layer.1.EncDecAttention.o": "decoder.*.cross.out",
    **{
        f"{stack}.block.*.layer.{last}.{theirs}": f"{stack}.*.{ours}"
        for stack, last in (("encoder", 1), ("decoder", 2))
        for theirs, ours in {
            "layer_norm": "mlp_norm",
            "DenseReluDense.wi": "mlp.up",  # version 1
            "DenseReluDense.wi_0": "mlp.gate",  # version 1.1
            "DenseReluDense.wi_1": "mlp.up",
            "DenseReluDense.wo": "mlp.down",
        }.items()
    },
}
UNUSED = (
    "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
)  # in the first files; nothing reads it
_ACTIVATIONS = {"relu": ("relu", False), "gated-gelu": ("gelu_new", True), "gated-gelu_new": ("gelu_new", True)}


def config_from_published(fields: dict[str, Any], where: str) -> T5Config:
    """A `T5Config` from the fields of a published one.

    Raises:
        ValueError: other MLPs than those of the two versions, or a decoder that does not start with the pad token.
    """
    mlp = fields["feed_forward_proj"]
    if mlp not in _ACTIVATIONS:
        raise ValueError(f"{where}: got feed_forward_proj = {mlp!r}, wanted {' or '.join(map(repr, _ACTIVATIONS))}")
    # Newer files also write out what follows from it, and the library obeys that.
    for field, follows in zip(("dense_act_fn", "is_gated_act"), _ACTIVATIONS[mlp], strict=True):
        if fields[field] not in (None, follows):
            raise ValueError(f"{where}: got {field} = {fields[field]!r}, wanted {follows!r} with {mlp!r}")
    pad, start = fields["pad_token_id"], fields["decoder_start_token_id"]
    if start not in (None, pad):
        raise ValueError(f"{where}: got decoder_start_token_id = {start}, wanted {pad}, the pad token, as T5 has it")
    divided = fields["scale_decoder_outputs"]
    return T5Config(
        vocab_size=fields["vocab_size"],
        width=fields["d_model"],
        layers=fields["num_layers"],
        decoder_layers=fields["num_decoder_layers"],
        heads=fields["num_heads"],
        head_width=fields["d_kv"],
        hidden=fields["d_ff"],
        gated=_ACTIVATIONS[mlp][1],
        tied=fields["tie_word_embeddings"] is not False if divided is None else divided,
        buckets=fields["relative_attention_num_buckets"],
        max_distance=fields["relative_attention_max_distance"],
        norm_eps=fields["layer_norm_epsilon"],
        pad_token=pad,
    )
