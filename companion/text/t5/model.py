"""T5: an encoder that reads in both directions, and a decoder that writes and looks at what was read.

Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", 2019, arXiv:1910.10683:

    x = W_token[source],  x ← block(x) once a layer,  memory = RMSNorm(x)                     (eq-t5-encoder)
    y = W_token[0, target],  y ← block(y, memory) once a layer,  logits = W_out RMSNorm(y)    (eq-t5-decoder)
    MLP(x) = W_down ReLU(W_up x)                                                              (eq-t5-mlp)
    MLP(x) = W_down (GELU(W_gate x) ⊙ W_up x)                                                 (eq-t5-gated-mlp)

The blocks are those of `companion.nn.transformer_block` (eq-block, eq-cross-block) with RMS norms and without a bias anywhere.
Positions enter the scores alone (`companion.text.t5.relative_positions`); between target and source there are none.

Two versions are published. The first has plain MLPs, and W_out is the table W_token divided by √width. Version 1.1 has gated
ones (Shazeer 2020, arXiv:2002.05202), and W_out is a matrix of its own, not divided.

Scores are *not* divided by √(head width): W_q starts that much smaller. Each matrix starts from N(0, 1/inputs), the table from
N(0, 1), so that the first loss is about ln(vocabulary). transformers start the output of version 1.1 from N(0, 1) too, and its
first loss is many times higher (huggingface/transformers#26441).

`T5.from_pretrained` reads the published format (`companion.text.t5.config`). With its source given, a T5 is a language model of
the target (`companion.language.conditioning`): `T5.given`.
"""

from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from companion.foundations.attention.seq2seq import Memory
from companion.language.conditioning import Conditioned, ConditionedConfig
from companion.nn.attention import MultiHeadAttention
from companion.nn.kv_cache import CrossKVState, KVState
from companion.nn.norms import RMSNorm
from companion.nn.published import fill, read_config, read_tensors
from companion.nn.transformer_block import CrossBlock, TransformerBlock
from companion.text.t5.config import FIELDS, NAMES, UNUSED, T5Config, config_from_published
from companion.text.t5.relative_positions import RelativePositions
from companion.validate import check_labels, checked


class FeedForward(nn.Module):
    """The MLP of T5 (eq-t5-mlp), or with gates that of version 1.1 (eq-t5-gated-mlp); its hidden units may drop out."""

    def __init__(self, width: int, hidden: int, *, gated: bool, dropout: float) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False) if gated else None
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.dropout = dropout

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Map vectors of shape (..., width) to vectors of that shape."""
        hidden = self.up(x)
        hidden = hidden.relu() if self.gate is None else F.gelu(self.gate(x), approximate="tanh") * hidden
        return self.down(F.dropout(hidden, self.dropout, self.training))


class T5(nn.Module):
    """T5: a source and the target so far in, logits of the target's next token out (eq-t5-encoder, eq-t5-decoder).

    Args:
        config: the sizes.

    Raises:
        ValueError: sizes out of range.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        positions = partial(RelativePositions, config.heads, buckets=config.buckets, max_distance=config.max_distance)
        attention = partial(
            MultiHeadAttention, config.width, config.heads,
            head_width=config.head_width, bias=False, scale=1.0, dropout=config.dropout,
        )  # fmt: skip
        mlp = partial(FeedForward, config.width, config.hidden, gated=config.gated, dropout=config.dropout)
        norm = partial(RMSNorm, config.width, eps=config.norm_eps)
        decoders = config.layers if config.decoder_layers is None else config.decoder_layers
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        self.encoder_positions, self.decoder_positions = positions(both_ways=True), positions(both_ways=False)
        # One table for all layers of a stack; its method, because a module would be registered in each of them.
        both, back = self.encoder_positions.forward, self.decoder_positions.forward
        self.encoder = nn.ModuleList(
            TransformerBlock(attention(score_mod=both), mlp(), norm, causal=False, dropout=config.dropout)
            for _ in range(config.layers)
        )
        self.decoder = nn.ModuleList(
            CrossBlock(attention(score_mod=back), attention(), mlp(), norm, dropout=config.dropout)
            for _ in range(decoders)
        )
        self.encoder_norm, self.decoder_norm = norm(), norm()
        self.out = nn.Linear(config.width, config.vocab_size, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=initial_std(name, parameter.shape[1], config))
        if config.tied:
            self.out.weight = self.tokens.weight

    @checked
    def encode(
        self, input_ids: Int[Tensor, "batch n"], attention_mask: Bool[Tensor, "batch n"] | None = None
    ) -> Memory:
        """Read sources (eq-t5-encoder).

        Args:
            input_ids: token numbers, shape (batch, n).
            attention_mask: False at padding, on either side; without one every token is read.
        """
        check_labels("input_ids", input_ids, self.config.vocab_size)
        x = self._drop(self.tokens(input_ids))
        for block in self.encoder:
            x = block(x, key_mask=attention_mask)
        real = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask
        return Memory(self._drop(self.encoder_norm(x)), real)

    @checked
    def decode(
        self,
        memory: Memory,
        target: Int[Tensor, "batch t"],
        state: CrossKVState | None = None,
        target_mask: Bool[Tensor, "batch read"] | None = None,
    ) -> Float[Tensor, "batch t vocab_size"]:
        """The logits of the token after each of the given ones (eq-t5-decoder); place t sees the tokens up to t.

        Args:
            memory: of `encode`.
            target: the pad token and the tokens so far, as `shift_right` makes them; with a state, only the new ones.
            state: of `new_state`; it grows by the given tokens.
            target_mask: False at padding, the state's tokens included.
        """
        return self._decode(memory, target, state, target_mask)[0]

    @checked
    def decode_with_maps(
        self,
        memory: Memory,
        target: Int[Tensor, "batch t"],
        state: CrossKVState | None = None,
        target_mask: Bool[Tensor, "batch read"] | None = None,
    ) -> tuple[Float[Tensor, "batch t vocab_size"], Float[Tensor, "batch layers heads t n"]]:
        """As `decode`, and the cross-attention's weights: how much each place of the target looks at each of the source."""
        logits, maps = self._decode(memory, target, state, target_mask, return_weights=True)
        return logits, torch.stack(maps, 1)

    def _decode(
        self,
        memory: Memory,
        target: Tensor,
        state: CrossKVState | None,
        target_mask: Tensor | None,
        return_weights: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        check_labels("target", target, self.config.vocab_size)
        y, maps = self._drop(self.tokens(target)), []
        for i, block in enumerate(self.decoder):
            own, other = (None, None) if state is None else (state.own[i], state.cross[i])
            y = block(
                y, memory.states, own, target_mask,
                context_cache=other, context_mask=memory.real, return_weights=return_weights,
            )  # fmt: skip
            if return_weights:
                y, weights = y
                maps.append(weights)
        y = self._drop(self.decoder_norm(y))
        return self.out(y * self.config.width**-0.5 if self.config.tied else y), maps

    def forward(
        self,
        input_ids: Int[Tensor, "batch n"] | None = None,
        attention_mask: Bool[Tensor, "batch n"] | None = None,
        decoder_input_ids: Int[Tensor, "batch t"] | None = None,
        decoder_attention_mask: Bool[Tensor, "batch read"] | None = None,
        encoder_outputs: Memory | None = None,
        past_key_values: CrossKVState | None = None,
    ) -> Float[Tensor, "batch t vocab_size"]:
        """Logits of the target's next token at each position.

        Args:
            input_ids: the sources.
            attention_mask: False at their padding.
            decoder_input_ids: the targets, shifted to the right; with a state, only the new tokens.
            decoder_attention_mask: False at their padding, the state's tokens included.
            encoder_outputs: of `encode`; then the sources and their mask are not needed.
            past_key_values: of `new_state`.

        Raises:
            ValueError: neither sources nor what was read of them, or no targets.
        """
        if decoder_input_ids is None or (input_ids is None) == (encoder_outputs is None):
            raise ValueError(
                "decoder_input_ids, input_ids, encoder_outputs: got none of them or too many, wanted shifted targets and "
                "either sources or what the encoder made of them"
            )
        memory = self.encode(input_ids, attention_mask) if encoder_outputs is None else encoder_outputs
        return self.decode(memory, decoder_input_ids, past_key_values, decoder_attention_mask)

    def shift_right(self, target: Int[Tensor, "batch t"]) -> Int[Tensor, "batch t"]:
        """What the decoder reads when it predicts the target: the pad token, then the target without its last token."""
        return F.pad(target[:, :-1], (1, 0), value=self.config.pad_token)

    def new_state(self, batch: int) -> CrossKVState:
        """For each block of the decoder an empty cache of the tokens so far and one of the source."""
        return CrossKVState(KVState(len(self.decoder)), KVState(len(self.decoder)))

    def given(
        self,
        input_ids: Int[Tensor, "batch n"],
        attention_mask: Bool[Tensor, "batch n"] | None = None,
        *,
        context: int = 512,
    ) -> Conditioned:
        """A language model of the target, for `companion.language`: it reads the sources once and begins with the pad token.

        Args:
            input_ids: the sources, one for each row that is to be written, or one for all.
            attention_mask: False at their padding.
            context: the most tokens of the target that are read; no table of positions bounds them.
        """
        config = ConditionedConfig(self.config.vocab_size, context)
        return Conditioned(self, input_ids, config, source_mask=attention_mask)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, dtype: torch.dtype = torch.float32) -> "T5":
        """Read a T5, of either version, in the published format from a folder with ``config.json`` and safetensors.

        Args:
            folder: with both.
            dtype: of the parameters, whatever the file's is.

        Raises:
            FileNotFoundError: one of the files is not there.
            ValueError: another kind of model, a field that would change the numbers and is not implemented, or weights that
                do not fit; the message names them.
        """
        config = config_from_published(read_config(folder, FIELDS), str(folder))
        tensors = read_tensors(folder)
        if not config.tied and "shared.weight" in tensors:  # what transformers 5 make anew ties without dividing
            tensors.setdefault("lm_head.weight", tensors["shared.weight"])
        return fill(cls(config), tensors, NAMES, where=str(folder), dtype=dtype, ignored=UNUSED)

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.config.dropout, self.training)


def initial_std(name: str, inputs: int, config: T5Config) -> float:
    """From which normal distribution a matrix starts: 1/√inputs, but W_q stands in for the scores' division, too."""
    if name == "tokens.weight":
        return 1.0
    if name.endswith("positions.table.weight"):
        return config.width**-0.5
    return (inputs * config.head_width) ** -0.5 if name.endswith(".q.weight") else inputs**-0.5
