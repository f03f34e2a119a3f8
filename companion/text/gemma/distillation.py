"""Distillation: a small model learns from the probabilities that a larger one gives to every next token.

Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531; in place of next-token
prediction in pre-training, Gemma 2 (2024, arXiv:2408.00118, section 3). With z the teacher's logits and y the student's at the
same place,

    p = softmax(z / τ),  q = softmax(y / τ),  L = -Σ_v p_v log q_v                            (eq-gemma-distil)
    L = H(p) + KL(p ‖ q)                                                                      (eq-gemma-entropy)

The text says of each place only which token came; the teacher says of all tokens how likely each was. The loss is never below
the teacher's entropy H(p), and reaches it where the student has the teacher's probabilities: KL is taken *forward*, from the
teacher, so the student pays for every token that the teacher thinks possible and it does not.

Departure: with τ ≠ 1 Hinton multiplies by τ², so that the gradient keeps its size beside that of the text's own tokens. Here
nothing is mixed in, and the steps of Adam do not depend on the size: without the factor the minimum stays the entropy.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.language.contract import precise
from companion.training import evaluating
from companion.validate import Positive, checked


@checked
def soft_cross_entropy(
    student: Float[Tensor, "*batch vocab"], teacher: Float[Tensor, "*batch vocab"], temperature: Positive = 1.0
) -> Float[Tensor, "*batch"]:
    """The loss of each place in nats (eq-gemma-distil); of the teacher with itself, its entropy.

    Args:
        student: logits.
        teacher: logits of the same places; no gradient goes through them.
        temperature: above 1 what is unlikely counts for more.

    Raises:
        ValueError: logits of different shapes, or a temperature that is not positive.
    """
    p = (precise(teacher.detach()) / temperature).softmax(-1)
    log_q = (precise(student) / temperature).log_softmax(-1)
    return -torch.where(p > 0, p * log_q, 0.0).sum(-1)  # what the teacher rules out, the student may rule out, too


def forward_kl(
    student: Float[Tensor, "*batch vocab"], teacher: Float[Tensor, "*batch vocab"], temperature: Positive = 1.0
) -> Float[Tensor, "*batch"]:
    """How far the student is from the teacher at each place, in nats (eq-gemma-entropy): 0 where both say the same."""
    entropy = soft_cross_entropy(teacher.detach(), teacher, temperature)
    return soft_cross_entropy(student, teacher, temperature) - entropy


@checked
@dataclass(frozen=True, eq=False)
class DistillationLoss:
    """The objective, in the place of `companion.language.scoring.next_token_loss`: the same texts, the same places.

    Attributes:
        teacher: a `companion.language.contract.LanguageModel` with the student's tokens; it stays as it is.
        temperature: of both models' probabilities.
    """

    teacher: nn.Module
    temperature: Positive = 1.0

    def __call__(
        self, model: nn.Module, batch: tuple[Int[Tensor, "batch length"]], generator: torch.Generator | None = None
    ) -> Float[Tensor, ""]:
        """The mean over all places but a passage's last, as `companion.training.train` calls it.

        Args:
            model: the student.
            batch: one tensor of token numbers, shape (batch, context + 1).
            generator: not needed: the objective draws nothing.

        Raises:
            ValueError: models with different tokens.
        """
        (ids,) = batch
        seen = ids[:, :-1]
        with evaluating(self.teacher):
            wanted = self.teacher(seen)
        return soft_cross_entropy(model(seen), wanted, self.temperature).mean()
