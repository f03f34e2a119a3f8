r"""A recurrent translator that can also point: with some probability the next symbol is copied from a place of the source.

    P(w) = softmax(ℓ)_w + softmax(ℓ)_copy · Σ_{i: x_i = w} a_i                                 (eq-agents-copy)

with ℓ the logits over the vocabulary and one entry more, which is the probability of copying, and a_i how much the
writer looks at place i of the source. See et al., "Get To The Point: Summarization with Pointer-Generator Networks",
2017, arXiv:1704.04368, equations 8 and 9. Departure: they compute the gate from the decoder's state by a layer of its
own; here it is an entry of the softmax, as in Merity et al., "Pointer Sentinel Mixture Models", 2016,
arXiv:1609.07843.
"""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.foundations.attention.recurrent_attention import RecurrentAttentionConfig, RecurrentAttentionTranslator
from companion.foundations.attention.seq2seq import Memory
from companion.language.contract import precise
from companion.language.states import RecurrentState


@dataclass(frozen=True)
class SourceMemory(Memory):
    """What the reader has made of sources, and the sources.

    Attributes:
        ids: the symbols of the sources.
    """

    ids: Int[Tensor, "batch n"]

    def __getitem__(self, rows: Int[Tensor, "rows"]) -> "SourceMemory":
        return SourceMemory(self.states[rows], self.real[rows], self.ids[rows])


def mixed(
    logits: Float[Tensor, "batch t entries"], looks: Float[Tensor, "batch t n"], source: Int[Tensor, "batch n"]
) -> Float[Tensor, "batch t vocab"]:
    """The probability of each symbol (eq-agents-copy).

    Args:
        logits: over the vocabulary and, last, of copying.
        looks: how much each place of the target looks at each of the source; the rows sum to 1.
        source: its symbols.
    """
    p = precise(logits).softmax(-1)
    where = source[:, None, :].expand(-1, logits.shape[1], -1)
    return p[..., :-1].scatter_add(2, where, p[..., -1:] * looks.to(p.dtype))


class PointerTranslator(RecurrentAttentionTranslator):
    """A translator whose next symbol may be copied (eq-agents-copy); its logits are logarithms of probabilities.

    Args:
        config: the sizes; sources and targets share their symbols.

    Raises:
        ValueError: other symbols in sources than in targets.
    """

    def __init__(self, config: RecurrentAttentionConfig) -> None:
        super().__init__(config)
        if config.sources != config.targets:
            raise ValueError(
                f"config: got {config.sources} symbols of sources and {config.targets} of targets, wanted the same "
                "ones: a symbol that is copied must be one that can be written"
            )
        self.head = nn.Linear(2 * config.hidden, config.targets + 1)

    def encode(self, source: Int[Tensor, "batch n"]) -> SourceMemory:
        """Read sources, and keep their symbols."""
        memory = super().encode(source)
        return SourceMemory(memory.states, memory.real, source)

    def decode(
        self, memory: SourceMemory, target: Int[Tensor, "batch t"], state: RecurrentState | None = None
    ) -> Float[Tensor, "batch t targets"]:
        """The logarithm of the probability of the symbol after each of the given ones."""
        logits, maps = self.decode_with_maps(memory, target, state)
        return mixed(logits, maps[:, 0, 0], memory.ids).clamp(min=1e-9).log()
