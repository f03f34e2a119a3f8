"""Who reads what: which experts a trained model sends its tokens to, and what that says about the token and its source.

With n_ae the number of tokens of kind a (a character, a source) that expert e reads, and n their sum, what the expert tells of
the kind is their mutual information in nats (Cover & Thomas, "Elements of Information Theory", 1991, chapter 2):

    I(kind; expert) = Σ_ae n_ae/n log (n_ae n / (n_a n_e))                                   (eq-moe-information)

0 if all kinds are sent alike. What is left of the source when the character is known is the difference
I(character and source; expert) - I(character; expert).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.nn.moe import routings
from companion.training import evaluating
from companion.validate import Count, checked


@checked
def choices(model: nn.Module, ids: Int[Tensor, "batch n"]) -> Int[Tensor, "layers batch n active"]:
    """The experts that each layer runs for each token, the best first, while the model reads; on the CPU.

    Args:
        model: a `companion.text.grok.Grok` with experts.
        ids: token numbers.
    """
    with evaluating(model), routings(model) as seen:
        model(ids)
    return torch.stack([one.chosen.unflatten(0, ids.shape) for one in seen]).cpu()


@checked
def counts(
    chosen: Int[Tensor, "*tokens active"], kind: Int[Tensor, "*tokens"], experts: Count
) -> Float[Tensor, "kinds experts"]:
    """How many tokens of each kind each expert reads; a token counts once for each of its experts.

    Args:
        chosen: of `choices`.
        kind: a number from 0 for each token.
        experts: how many there are.
    """
    pairs = kind[..., None] * experts + chosen
    return pairs.flatten().bincount(minlength=(int(kind.max()) + 1) * experts).view(-1, experts).float()


def information(table: Float[Tensor, "kinds experts"]) -> float:
    """Of a table of `counts`: what the expert tells of the kind, and the kind of the expert, in nats (eq-moe-information)."""
    joint = table.double() / table.sum()
    alone = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return float(torch.special.entr(alone).sum() - torch.special.entr(joint).sum())
