"""Where a model of code is surprised: the negative log-likelihood of each token, of each line, of a whole program.

    s_t = -log p(x_t | x_1 … x_{t-1})                                                         (eq-code-surprise)

in nats. A bug that nobody would write is surprising: of two versions of a program the right one tends to be more likely, and
the place where the surprise goes up is where to look. Nothing is run and nothing is compared with a specification, so this
finds what is *unusual*, not what is wrong.

Ray et al., "On the Naturalness of Buggy Code", 2015, arXiv:1506.01159, who counted n-grams. Departures: a transformer in
place of counts, and bugs made to order (`companion.code.mutations`) in place of those of a project's history.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.code.codex.fim import END
from companion.language.contract import device_of
from companion.language.scoring import token_log_probs
from companion.language.tokenizers import ByteLevelBPE
from companion.training import evaluating


def token_surprise(model: nn.Module, bpe: ByteLevelBPE, source: str) -> tuple[list[int], Float[Tensor, "tokens"]]:
    """The tokens of a program and the surprise of each (eq-code-surprise); before the first stands the end of another file.

    Raises:
        ValueError: an empty program, or one that is too long for the model's context.
    """
    ids = bpe.encode(source)
    if not 0 < len(ids) <= model.config.context:
        raise ValueError(f"source: got {len(ids)} tokens, wanted 1 to {model.config.context}")
    row = torch.tensor([[bpe.special[END], *ids]], device=device_of(model))
    with evaluating(model):
        return ids, -token_log_probs(model, row)[0].cpu()


def total_surprise(model: nn.Module, bpe: ByteLevelBPE, source: str) -> float:
    """The negative log-likelihood of a whole program, in nats: the sum, not the mean, which a longer program could lower."""
    return float(token_surprise(model, bpe, source)[1].double().sum())


def line_surprise(model: nn.Module, bpe: ByteLevelBPE, source: str) -> Float[Tensor, "lines"]:
    """The largest surprise in each line; a token belongs to the line in which its last character that is no blank stands."""
    ids, surprises = token_surprise(model, bpe, source)
    found, line = torch.zeros(source.count("\n") + 1), 0
    for token, surprise in zip(ids, surprises.tolist(), strict=True):
        text = bpe.decode([token])
        if text.strip():  # blanks and line ends say where a statement ends, not what it does
            place = line + text.rstrip().count("\n")
            found[place] = max(float(found[place]), surprise)
        line += text.count("\n")
    return found
