r"""Classifier-free guidance: go further than the condition asks.

Ho & Salimans, arXiv:2207.12598. One network is trained with a condition and, some of the time, without (`drop_condition`). At
sampling time both outputs, :math:`\epsilon_y` and :math:`\epsilon_\varnothing`, are computed, and the difference that the
condition makes is enlarged:

.. math:: \hat\epsilon = \epsilon_\varnothing + w\, (\epsilon_y - \epsilon_\varnothing)

(eq-cfg). **Convention:** w = 0 ignores the condition, w = 1 is the plain conditional model, w > 1 exaggerates. The paper
writes :math:`(1 + w')\, \epsilon_y - w'\, \epsilon_\varnothing`: its w' is w - 1. For a given x_t, noise, data, v and
velocity determine each other by one affine map, so the same formula holds for each of them.

A *condition* is what the network takes after x_t and t: None, a tensor (labels, an image), a tuple of tensors (tokens and
their mask), or a dict of keyword arguments. The *null* condition says what stands for nothing, in the same form: a number
that fills a tensor, a tensor of one row or of all, or None for a part that stays as it is; keys that a dict leaves out stay
too.

Extensions: a *negative* condition takes the null one's place; an *interval* of times limits guidance (Kynkäänniemi et al.,
arXiv:2404.07724), outside of which the model is plainly conditional; *rescale* takes back the growth of the output's spread
(Lin et al., arXiv:2305.08891, section 3.4).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from companion.diffusion.prediction import Net
from companion.training.random import rand
from companion.validate import NonNegative, Share, check_number, checked

Condition = None | Tensor | tuple[Tensor, ...] | dict[str, Tensor]
Null = None | int | float | Tensor | tuple | dict[str, int | float | Tensor]


@checked
def guide(
    without: Float[Tensor, "n *axes"], with_condition: Float[Tensor, "n *axes"], scale: NonNegative
) -> Float[Tensor, "n *axes"]:
    """``without`` + scale · (``with_condition`` - ``without``) (eq-cfg)."""
    return without + scale * (with_condition - without)


def rescale_guidance(
    guided: Float[Tensor, "n ..."], with_condition: Float[Tensor, "n ..."], share: float
) -> Float[Tensor, "n ..."]:
    """A ``share`` of the way from the guided output to one of the conditional output's spread, each example for itself."""
    axes = tuple(range(1, guided.ndim))
    ratio = with_condition.std(axes, keepdim=True) / guided.std(axes, keepdim=True)
    return share * ratio * guided + (1 - share) * guided


@checked
def guided(
    net: Net,
    condition: Condition,
    scale: NonNegative,
    *,
    null: Null = None,
    negative: Null = None,
    interval: tuple[float, float] | None = None,
    rescale: Share = 0.0,
) -> Net:
    """A network with a condition as a function of x_t and t alone, guided; it predicts what the network does.

    One pass of a double batch computes both outputs; w = 0, w = 1 and times outside the interval need only one of them.

    Args:
        net: ``net(x_t, t, condition)``; a tuple or a dict is unpacked.
        scale: w.
        null: what stands for no condition.
        negative: what to move away from, in place of ``null``.
        interval: the first and the last time at which to guide, both included; None guides at all.
        rescale: from 0, not at all, to 1, to the conditional output's spread.

    Raises:
        ValueError: another form of ``null`` than of ``condition``; guidance without a condition or a null one.
    """
    away = null if negative is None else negative
    if scale != 1 and (condition is None or away is None):
        raise ValueError(
            f"null: got {away} for condition {condition} with scale {scale:g}, wanted something to guide by"
        )
    nothing = condition if away is None else _map(_replace, condition, away)
    both = None if scale in (0, 1) else _map(lambda a, b: torch.cat([a, b]), nothing, condition)
    if interval is not None:
        low, high = interval
        check_number("interval[1]", high, low=low)

    def output(x_t: Tensor, t: Tensor) -> Tensor:
        inside = torch.ones_like(t, dtype=torch.bool) if interval is None else (t >= low) & (t <= high)
        if scale == 1 or not bool(inside.any()):
            return _call(net, x_t, t, condition)
        if both is None and bool(inside.all()):
            return _call(net, x_t, t, nothing)
        pairs = both if both is not None else _map(lambda a, b: torch.cat([a, b]), nothing, condition)
        without, told = _call(net, torch.cat([x_t, x_t]), torch.cat([t, t]), pairs).chunk(2)
        further = guide(without, told, scale)
        if rescale:
            further = rescale_guidance(further, told, rescale)
        return torch.where(inside.view(-1, *[1] * (x_t.ndim - 1)), further, told)

    return output


@checked
def drop_condition(condition: Condition, null: Null, share: Share, generator: torch.Generator) -> Condition:
    """Replace each example's condition by the null one with probability ``share``, all of its parts together."""
    parts = condition.values() if isinstance(condition, dict) else condition
    first = condition if isinstance(condition, Tensor) else next(iter(parts))
    gone = rand((len(first),), generator, device=first.device) < share

    def drop(nothing: Tensor, part: Tensor) -> Tensor:
        return torch.where(gone.view(-1, *[1] * (part.ndim - 1)), nothing, part)

    return _map(drop, _map(_replace, condition, null), condition)


def _call(net: Net, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
    if isinstance(condition, dict):
        return net(x_t, t, **condition)
    if isinstance(condition, tuple):
        return net(x_t, t, *condition)
    return net(x_t, t) if condition is None else net(x_t, t, condition)


def _map(function: Callable, first: Condition, second: Null) -> Condition:
    """The function of each part of the first and the same part of the second; what a dict leaves out is None."""
    if isinstance(first, dict):
        if not isinstance(second, dict) or not second.keys() <= first.keys():
            raise ValueError(f"null: got {second}, wanted a dict of some of the condition's keys, {list(first)}")
        return {key: function(part, second.get(key)) for key, part in first.items()}
    if isinstance(first, tuple):
        if not isinstance(second, tuple) or len(first) != len(second):
            raise ValueError(f"null: got {second}, wanted a tuple of {len(first)} parts, as the condition's")
        return tuple(function(a, b) for a, b in zip(first, second, strict=True))
    return function(first, second)


def _replace(part: Tensor, nothing: Null) -> Tensor:
    """The null part in the shape of the condition's."""
    if nothing is None:
        return part
    if isinstance(nothing, Tensor):
        return nothing.to(part).expand_as(part)
    if isinstance(nothing, (tuple, dict)):
        raise ValueError(f"null: got {type(nothing).__name__}, wanted a number or a tensor, as the condition is one")
    return torch.full_like(part, nothing)
