"""The checks of exercises 3.10.3 and 3.10.4: who is kept in speculative decoding, and what it saves.

Exercise 3.10.3 is judged by the identity that makes the method exact, exercise 3.10.4 by counting a run.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from companion.exercises.answers import Answer, Wrong, plain
from companion.exercises.checking import Exercise, Property, compare, compare_numbers, depends_on, sizes


def _case(g: Generator, ahead: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    (vocab,) = sizes(g, 1, low=5)
    laws = torch.rand(2 * ahead + 1, vocab, generator=g, dtype=torch.float64).pow(2) + 0.02
    laws = laws / laws.sum(1, keepdim=True)
    q = laws[:ahead]
    return laws[ahead:], q, torch.multinomial(q, 1, generator=g)[:, 0]


def _verdict(answer: Answer, p: Tensor, q: Tensor, proposed: Tensor, coins: Tensor) -> tuple[int, Tensor]:
    result = answer(p, q, proposed, coins)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise Wrong(f"got {type(result).__name__}, wanted two things: how many are kept, and the law of the next token")
    kept, law = result
    kept = int(kept) if isinstance(kept, Tensor) and kept.numel() == 1 else plain(kept)
    if not isinstance(kept, int) or not 0 <= kept <= len(q):
        raise Wrong(f"got {str(kept)[:40]} kept, wanted a whole number from 0 to {len(q)}")
    if not isinstance(law, Tensor) or tuple(law.shape) != (p.shape[1],):
        raise Wrong(f"got {type(law).__name__}, wanted a law over the {p.shape[1]} tokens")
    if not torch.isfinite(law).all():
        raise Wrong("the law has values that are not finite")
    return kept, law.double()


def _coins_for(p: Tensor, q: Tensor, proposed: Tensor, kept: int, g: Generator) -> Tensor:
    """Coins that keep exactly the first ``kept`` tokens; the later ones would all be kept if they were asked."""
    share = torch.stack([p[i, x] / q[i, x] for i, x in enumerate(proposed)]).clamp(max=1)
    coins = share * (0.2 + 0.6 * torch.rand(len(q), generator=g, dtype=torch.float64))
    if kept < len(q):
        coins[kept] = share[kept] + (1 - share[kept]) * 0.5
    return coins


def _refusable(g: Generator, kept: int) -> tuple[Tensor, Tensor, Tensor]:
    """A case in which the token at place ``kept`` can be refused at all: the draft overrates it."""
    while True:
        p, q, proposed = _case(g)
        x = proposed[kept]
        if p[kept, x] < 0.8 * q[kept, x]:
            return p, q, proposed


def _count(answer: Answer, g: Generator) -> str:
    for wanted in (0, 2, 1, 3):
        p, q, proposed = _refusable(g, wanted)
        coins = _coins_for(p, q, proposed, wanted, g)
        kept, _ = _verdict(answer, p, q, proposed, coins)
        if kept == wanted:
            continue
        index = torch.arange(len(q))
        ratio = p[index, proposed] / q[index, proposed]
        if kept == int((coins < ratio).sum()):
            raise Wrong(f"got {kept} kept, wanted {wanted}", "tokens after a refused one are kept")
        upside = (coins < 1 / ratio).long().cumprod(0).sum()
        plain = (coins < p[index, proposed]).long().cumprod(0).sum()
        name = "the ratio is upside down" if kept == int(upside) else ""
        name = "the model's probability alone decides, not its ratio to the draft's" if kept == int(plain) else name
        raise Wrong(f"got {kept} kept, wanted {wanted}", name)
    return "as many as before the first refusal"


def _after_refusal(answer: Answer, g: Generator) -> str:
    """Truth: min(p, q) + (1 - α) law = p, which leaves one law only."""
    said = ""
    for place in (0, 2, 3):
        p, q, proposed = _refusable(g, place)
        _, law = _verdict(answer, p, q, proposed, _coins_for(p, q, proposed, place, g))
        here, draft = p[place], q[place]
        shared = torch.minimum(here, draft)
        wanted = (here - shared) / (1 - shared.sum())
        positive = (here - draft).clamp(min=0)
        mistakes = {
            "the residual is not normalised": positive,
            "drawn from the model's law, as if nothing had been proposed": here,
            "drawn from the law at the wrong place": p[-1],
            "the residual at the wrong place": (p[-1] - draft).clamp(min=0) / (p[-1] - draft).clamp(min=0).sum(),
            "negative values are not cut off": (here - draft) / (here - draft).sum().clamp(min=1e-12),
            "the difference without a cut": here - draft,
            "absolute differences": (here - draft).abs() / (here - draft).abs().sum(),
            "the draft's surplus, not the model's": (draft - here).clamp(min=0) / (draft - here).clamp(min=0).sum(),
        }
        said = compare(law, wanted, mistakes, atol=1e-7)
    return said


def _all_kept(answer: Answer, g: Generator) -> str:
    p, q, proposed = _case(g)
    here = p[:-1]
    coins = 0.5 * (torch.minimum(here / q, q / here).clamp(max=1) * here).amin(1)  # so small that any rule keeps all
    kept, law = _verdict(answer, p, q, proposed, coins)
    if kept != len(q):
        raise Wrong(f"got {kept} kept, wanted all {len(q)}")
    return compare(law, p[-1], {"the law of the place before": p[-2], "the draft's last law": q[-1]}, atol=1e-7)


def _strange(answer: Answer, g: Generator) -> str:
    """A token that the draft alone believes in must be refused, whatever the coin; one they agree on must be kept."""
    p, q, proposed = _case(g)
    p[0, proposed[0]] = 0
    p[0] = p[0] / p[0].sum()
    kept, law = _verdict(answer, p, q, proposed, torch.zeros(len(q), dtype=torch.float64))
    if kept != 0:
        raise Wrong("a token that the model never writes was kept, with a coin of exactly 0", "less or equal, not less")
    if law[proposed[0]] != 0:
        raise Wrong("a token that the model never writes can be drawn", "the residual")
    same = torch.full((len(q),), 0.999, dtype=torch.float64)
    kept, _ = _verdict(answer, torch.cat([q, q[:1]]), q, proposed, same)
    if kept != len(q):
        raise Wrong(f"a draft that equals the model: got {kept} kept, wanted all", "the ratio")
    return "refused, and kept where both agree"


def _rounds(new: int, lookahead: int, right: bool) -> tuple[int, int]:
    """Run for show with a draft that is always right or never: passes of the model, tokens drafted."""
    written = passes = drafted = 0
    while written < new:
        ahead = min(lookahead, new - written - 1)
        drafted, passes = drafted + ahead, passes + 1
        written += ahead + 1 if right else 1
    return passes, drafted


def _runs(g: Generator) -> list[tuple[int, int]]:
    draw = torch.rand(3, 2, generator=g)
    return [(int(20 + 40 * a), int(2 + 6 * b)) for a, b in draw.tolist()]


def _predicted(which: int) -> Callable[[Answer, Generator], str]:
    def test(answer: Answer, g: Generator) -> str:
        for new, ahead in [*_runs(g), (5 * (1 + int(_runs(g)[0][1])), _runs(g)[0][1])]:
            best, worst = _rounds(new, ahead, True), _rounds(new, ahead, False)
            wanted = (*best, *worst)[which]
            mistakes = (
                {
                    "the token that the model adds itself is forgotten": -(-new // ahead),
                    "the last, shorter round is forgotten": new // (ahead + 1),
                    "a share of a round": new / (ahead + 1),
                },
                {
                    "every token is drafted": new,
                    "full rounds only": ahead * (new // (ahead + 1)),
                    "every round is full": ahead * best[0],
                },
                {
                    "a refused round writes nothing": 0,
                    "every drafted token costs a pass": new * ahead,
                    "the draft is right after all": best[0],
                },
                {
                    "the last rounds are not shorter": new * ahead,
                    "the draft is right after all": best[1],
                    "nothing is drafted": 0,
                },
            )[which]
            got = answer.numbers(new, ahead, count=4)[which]
            try:
                compare_numbers(got, wanted, mistakes, rel=1e-9)
            except Wrong as wrong:
                raise Wrong(f"not what is counted for {new} tokens, {ahead} ahead", wrong.mistake) from wrong
        return "exactly"

    return test


EXERCISES = (
    Exercise(
        "3.10.3",
        "judge(p, q, proposed, coins)",
        (
            Property("how many are kept", 9, _count),
            Property("the law after a refusal", 10, _after_refusal),
            Property("the law after none", 6, _all_kept),
            Property("what the model never writes", 5, _strange),
        ),
    ),
    Exercise(
        "3.10.4",
        "predict(new, lookahead)",
        (
            Property("four numbers that depend on the run", 3, depends_on(lambda g: [(30, 3), (47, 5), (64, 2)], 4)),
            Property("passes, if the draft is always right", 6, _predicted(0), after=True),
            Property("tokens drafted, if it is always right", 5, _predicted(1), after=True),
            Property("passes, if it is never right", 5, _predicted(2), after=True),
            Property("tokens drafted, if it is never right", 6, _predicted(3), after=True),
        ),
    ),
)
