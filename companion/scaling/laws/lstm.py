r"""The LSTM language model, which the transformer replaced: a recurrent network with gates, read one token after the other.

Each layer keeps a state h and a memory c; with σ the logistic function and ⊙ the product of each element,

    i, f, o = σ(W_i [x; h] + b_i), σ(W_f [x; h] + b_f), σ(W_o [x; h] + b_o)                   (eq-lstm-gates)
    c ← f ⊙ c + i ⊙ tanh(W_c [x; h] + b_c),   h ← o ⊙ tanh(c)                                (eq-lstm-memory)

Eight w × w matrices a layer, each used once for a token: 16 w² operations going forward. Token t waits for token t - 1, so that
a text of n tokens needs n steps, however many multipliers a chip has; a transformer needs one.

Sources: Hochreiter & Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997; the forgetting gate: Gers,
Schmidhuber & Cummins, 2000; as a language model: Sundermeyer, Schlüter & Ney, 2012; tied tables: Press & Wolf, 2016,
arXiv:1608.05859.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.language.contract import check_tokens
from companion.language.states import RecurrentState
from companion.validate import Count, checked

__all__ = ["LSTM", "LSTMConfig", "lstm_flops"]


@checked
@dataclass(frozen=True)
class LSTMConfig:
    """The sizes: how many tokens there are, how many are read at once, the width of every state, how many layers."""

    vocab_size: Count
    context: Count
    width: Count
    layers: Count = 1


class LSTM(nn.Module):
    """Tokens in, logits of the next token out (eq-lstm-gates, eq-lstm-memory); the state starts at zero."""

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        self.recurrent = nn.LSTM(config.width, config.width, config.layers, batch_first=True)
        self.scale = nn.Linear(config.width, config.width)
        for name, parameter in self.recurrent.named_parameters():
            if name.startswith("bias_ih"):  # torch's order of the gates is i, f, c, o: forget nothing at first
                nn.init.ones_(parameter.data[config.width : 2 * config.width])

    def forward(
        self,
        input_ids: Int[Tensor, "batch n"],
        past_key_values: RecurrentState | None = None,
        attention_mask: Bool[Tensor, "batch read"] | None = None,
    ) -> Float[Tensor, "batch n vocab_size"]:
        """Logits of the next token at each position.

        Args:
            input_ids: token numbers.
            past_key_values: of `new_state`; then ``input_ids`` holds only the new tokens.
            attention_mask: True at real tokens and False at padding, which leaves the memory as it is.

        Raises:
            ValueError: token numbers out of range.
        """
        check_tokens(input_ids, past_key_values, self.config.vocab_size)
        state = self.new_state(len(input_ids)) if past_key_values is None else past_key_values
        x, n = self.tokens(input_ids), input_ids.shape[1]
        if attention_mask is None or bool(attention_mask[:, -n:].all()):
            states, state.memory = self.recurrent(x, state.memory)
        else:
            states, state.memory = self._read_real(x, state.memory, attention_mask[:, -n:])
        state.length += n
        return self.scale(states) @ self.tokens.weight.T

    def new_state(self, batch: int) -> RecurrentState:
        """h and c of every layer, zero before the first token."""
        weight = self.tokens.weight
        memory = tuple(weight.new_zeros(self.config.layers, batch, self.config.width) for _ in range(2))
        return RecurrentState(memory)

    def _read_real(
        self, x: Float[Tensor, "batch n width"], memory: tuple[Tensor, Tensor], real: Bool[Tensor, "batch n"]
    ) -> tuple[Float[Tensor, "batch n width"], tuple[Tensor, Tensor]]:
        """One token after the other, so that the rows with padding there can keep their memory."""
        states = []
        for token, here in zip(x.split(1, dim=1), real.unbind(1), strict=True):
            state, new = self.recurrent(token, memory)
            memory = tuple(torch.where(here[:, None], a, b) for a, b in zip(new, memory, strict=True))
            states.append(state)
        return torch.cat(states, 1), memory


def lstm_flops(config: LSTMConfig) -> int:
    """Operations of one forward pass for one token: matrix products alone, as for `companion.scaling.flops`."""
    w = config.width
    return 2 * (config.layers * 8 * w * w + w * w + w * config.vocab_size)
