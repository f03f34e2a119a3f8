r"""How probable a model finds a continuation, and how much it repeats itself.

With :math:`G_n(y)` the n-grams of y, one for each place where n tokens stand in a row:

- likelihood (eq-decoding-nats): :math:`-\frac{1}{|y|} \sum_t \log p(y_t \mid x, y_{<t})`, in nats a token
- repetition (eq-decoding-distinct): :math:`1 - |\text{different } G_n(y)| / |G_n(y)|` within each continuation, then the mean
- diversity (eq-decoding-distinct): :math:`|\text{different } G_n| / |G_n|` over all continuations together

Sources: Li et al., arXiv:1510.03055, section 5.2 (distinct-n); Welleck et al., arXiv:1908.04319, section 6 (seq-rep-n).
"""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.language.scoring import token_log_probs
from companion.training import evaluating
from companion.validate import check_count, checked


@checked
def continuation_nats(model: nn.Module, ids: Int[Tensor, "batch n"], prompt: int) -> Float[Tensor, "batch"]:
    """The negative log-likelihood of each token after the prompt, in nats, the mean for each text (eq-decoding-nats).

    Args:
        model: a `companion.language.contract.LanguageModel`; its mode is restored.
        ids: prompts and continuations, no longer than the model's context + 1.
        prompt: how many tokens of each row are the prompt, at least 1.
    """
    check_count("prompt", prompt, high=ids.shape[1] - 1)
    with evaluating(model):
        return -token_log_probs(model, ids)[:, prompt - 1 :].mean(-1)


def repetition(texts: Sequence[Sequence[int] | Tensor], n: int = 4) -> float:
    """The share of n-grams that stood in the same text before, the mean over the texts (eq-decoding-distinct)."""
    shares = [len(set(grams)) / len(grams) for grams in _grams(texts, n)]
    return 1 - sum(shares) / len(shares)


def distinct(texts: Sequence[Sequence[int] | Tensor], n: int = 2) -> float:
    """The share of different n-grams among those of all texts (eq-decoding-distinct)."""
    grams = [gram for text in _grams(texts, n) for gram in text]
    return len(set(grams)) / len(grams)


def _grams(texts: Sequence[Sequence[int] | Tensor], n: int) -> list[list[tuple[int, ...]]]:
    check_count("n", n)
    shortest = min(map(len, texts), default=0)
    if shortest < n:
        raise ValueError(f"texts: got {len(texts)}, the shortest of {shortest} tokens, wanted at least n = {n} in each")
    rows = [text.tolist() if isinstance(text, Tensor) else list(text) for text in texts]
    return [[tuple(row[i : i + n]) for i in range(len(row) - n + 1)] for row in rows]
