"""A verifier: a language model that reads a question with an answer and says whether it believes it.

    belief = σ(ℓ_1 - ℓ_0) at the answer's end sign,
    L = -log belief if it is right, else -log(1 - belief)                                  (eq-reasoning-verifier)

with ℓ_1 and ℓ_0 its logits of the digits 1 and 0. It learns from the answers of another model and whether they were
right, and never sees how a right one is found. Of several answers the one that it believes most is chosen. Cobbe et
al., "Training Verifiers to Solve Math Word Problems", 2021, arXiv:2110.14168. Departure: theirs judges after each
token.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from companion.language.contract import precise


def belief(
    verifier: nn.Module, ids: Int[Tensor, "rows tokens"], mask: Bool[Tensor, "rows tokens"]
) -> Float[Tensor, "rows"]:
    """The logit of a verifier's belief in each answer.

    Args:
        verifier: a `companion.language.contract.LanguageModel`.
        ids: questions with answers.
        mask: True at the answers' tokens, as `companion.text.reasoning.tasks.Answers` has it.
    """
    places = torch.arange(ids.shape[1], device=ids.device)
    end = (places * mask).amax(1)
    logits = precise(verifier(ids))[torch.arange(len(ids), device=ids.device), end]
    return logits[:, 1] - logits[:, 0]


def verifier_loss(
    verifier: nn.Module, batch: tuple[Tensor, Tensor, Tensor], generator: Generator | None = None
) -> Float[Tensor, ""]:
    """Cross-entropy of the belief (eq-reasoning-verifier), as `companion.training.train` calls it.

    Args:
        verifier: a `companion.language.contract.LanguageModel`.
        batch: texts, True at the answers' tokens, whether they are right.
        generator: not needed: the objective draws nothing.
    """
    ids, mask, right = batch
    return F.binary_cross_entropy_with_logits(belief(verifier, ids, mask), right.float())
