"""The dense half of a transformer block: each position by itself, widened, bent, narrowed.

- Hendrycks & Gimpel, "Gaussian Error Linear Units", 2016, arXiv:1606.08415; GPT-2 takes the tanh approximation:
  MLP(x) = W₂ GELU(W₁ x + b₁) + b₂                                                            (eq-mlp)
- Shazeer, "GLU Variants Improve Transformer", 2020, arXiv:2002.05202, equation 6 (SwiGLU):
  GatedMLP(x) = W_down (SiLU(W_gate x) ⊙ W_up x)                                              (eq-gated-mlp)
- The same with GELU, also in its tanh approximation (GEGLU), in Gemma and T5 v1.1:
  GeGLU(x) = W_down (GELU(W_gate x) ⊙ W_up x)                                                 (eq-geglu)

- The sigmoid approximation of GELU, from the same paper as the tanh one, in OpenAI's CLIP:
  QuickGELU(x) = x σ(1.702 x)                                                                 (eq-quick-gelu)

A gated MLP has three matrices where the plain one has two: at 2/3 of the hidden width both have as many parameters.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion.validate import Count, checked


class MLP(nn.Module):
    """Two linear maps with a GELU between them (eq-mlp), as in GPT-2.

    Args:
        width: of the input and the output.
        hidden: of the layer between, four times the width in the original Transformer.

    Raises:
        ValueError: a size below 1.
    """

    @checked
    def __init__(self, width: Count, hidden: Count) -> None:
        super().__init__()
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Map vectors of shape (..., width) to vectors of that shape."""
        return self.narrow(F.gelu(self.widen(x), approximate="tanh"))


class GatedMLP(nn.Module):
    """A hidden layer whose every unit has a gate (eq-gated-mlp), as in Llama; no biases.

    Args:
        width: of the input and the output.
        hidden: of the layer between.

    Raises:
        ValueError: a size below 1.
    """

    @checked
    def __init__(self, width: Count, hidden: Count) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Map vectors of shape (..., width) to vectors of that shape."""
        return self.down(F.silu(self.gate(x)) * self.up(x))


class GeGLU(GatedMLP):
    """A gated MLP whose gates are GELUs (eq-geglu), as in Gemma; no biases.

    Args:
        width: of the input and the output.
        hidden: of the layer between.

    Raises:
        ValueError: a size below 1.
    """

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Map vectors of shape (..., width) to vectors of that shape."""
        return self.down(F.gelu(self.gate(x), approximate="tanh") * self.up(x))


class QuickGELU(nn.Module):
    """GELU with a sigmoid in place of the normal distribution function (eq-quick-gelu)."""

    def forward(self, x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """Bend each number; any shape."""
        return x * (1.702 * x).sigmoid()
