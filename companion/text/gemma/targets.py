"""What else could stand in the teacher's place: targets that tell apart why distillation helps.

A target gives each place a distribution over the next token, here as logits z for
`companion.text.gemma.distillation.soft_cross_entropy`. With p = softmax(z) the teacher's and x the token that came:

    smoothed:  (1 - ε) [v = x] + ε / V                    soft, and knows nothing but the text      (eq-gemma-smooth)
    shuffled:  p_x for x; the others' probabilities dealt out anew at random: as sure as the teacher, and knows no other token
    top-k:     p_v / Σ_top p for the k likeliest, else 0                                            (eq-gemma-top)
    drawn:     n_v / k, where n_v counts v among k draws from p; its mean is p                      (eq-gemma-drawn)

Sources: smoothing, Szegedy et al. 2015, arXiv:1512.00567; shuffling, Furlanello et al. 2018, arXiv:1805.04770 ("DKPP", which
keeps the teacher's likeliest token; here the text's is kept); draws, Gemma 3 (arXiv:2503.19786, section 2.2), which draws 256
tokens a place by the teacher's probabilities, gives 0 to the rest and renormalises the teacher's probabilities of these.
Departure: here a token counts as often as it was drawn, which has no bias; renormalised, what is likely gets too much.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.training.random import rand
from companion.validate import Count, Share, check_count, check_labels, checked


@checked
def smoothed(token: Int[Tensor, "*batch"], vocab_size: Count, share: Share) -> Float[Tensor, "*batch vocab"]:
    """The token that came, with a share of the probability spread over all tokens (eq-gemma-smooth).

    Raises:
        ValueError: a token that the vocabulary does not have.
    """
    check_labels("token", token, vocab_size)
    spread = torch.full((*token.shape, vocab_size), share / vocab_size, device=token.device)
    return spread.scatter_add(-1, token[..., None], torch.full_like(spread[..., :1], 1 - share)).log()


@checked
def shuffled(
    teacher: Float[Tensor, "*batch vocab"], token: Int[Tensor, "*batch"], generator: torch.Generator
) -> Float[Tensor, "*batch vocab"]:
    """The teacher's logits; that of the token that came stays, those of all others are dealt out anew at each place.

    Raises:
        ValueError: a token that the vocabulary does not have.
    """
    check_labels("token", token, teacher.shape[-1])
    own = token[..., None]
    dealt = rand(teacher.shape, generator, teacher).argsort(-1)  # whose number each token gets
    moved, back = teacher.gather(-1, dealt), (dealt == own).int().argmax(-1, keepdim=True)
    moved = moved.scatter(-1, back, moved.gather(-1, own))  # who got the token's own number takes what it got
    return moved.scatter(-1, own, teacher.gather(-1, own))


@checked
def only_top(teacher: Float[Tensor, "*batch vocab"], k: Count) -> Float[Tensor, "*batch vocab"]:
    """The k largest logits; the rest is ruled out (eq-gemma-top).

    Raises:
        ValueError: a k above the size of the vocabulary.
    """
    check_count("k", k, high=teacher.shape[-1])
    least = teacher.topk(k).values[..., -1:]
    return teacher.masked_fill(teacher < least, -torch.inf)


@checked
def drawn(
    teacher: Float[Tensor, "*batch vocab"], k: Count, generator: torch.Generator
) -> Float[Tensor, "*batch vocab"]:
    """The share of each token among k draws by the teacher's probabilities (eq-gemma-drawn)."""
    p = teacher.softmax(-1).reshape(-1, teacher.shape[-1]).cpu()
    ids = torch.multinomial(p, k, replacement=True, generator=generator).to(teacher.device)
    counts = torch.zeros(len(p), p.shape[-1], device=teacher.device).scatter_add(1, ids, torch.ones_like(ids).float())
    return (counts / k).log().view(teacher.shape)
