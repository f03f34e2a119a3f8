"""`checked`: the check of a call's arguments, derived from the annotations of its parameters."""

import functools
import inspect
import math
import re
import types
from collections.abc import Callable, Collection
from numbers import Integral, Real
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from beartype import BeartypeConf
from beartype.door import is_bearable
from jaxtyping import AbstractArray, AbstractDtype, Float, jaxtyped
from torch import Tensor

from companion.validate.shapes import shape_problem
from companion.validate.values import Range, check_count, check_number, check_values

F = TypeVar("F", bound=Callable | type)


class Finite(AbstractDtype):
    """``Finite[Tensor, "n d"]``: a floating-point tensor in which `checked` refuses NaN and infinite values."""

    dtypes = Float.dtypes


def checked(item: F) -> F:
    """Check the arguments of each call of a function or method, or of a class's constructor, against their annotations.

    - Tensors: ``Float[Tensor, "*batch n {self.width}"] | None``. Type, dtype, number of axes, sizes; an empty axis is
      refused. Braces hold an expression of the arguments; ``"n dims={len(self.mean)}"`` gives the size a name. `Finite`
      and `Range` look at the values too.
    - Numbers: ``int`` and ``float`` take those of numpy as well; `Range` bounds them: `Count`, `Positive`, `Share`, ….
    - Everything else as beartype reads it; ``Literal["a", "b"]`` lists the choices. Of a list it looks at one element.

    What is not annotated, has its default value or is caught by ``*args`` is not checked, nor is what is returned. A call
    whose shapes, dtypes, types and numbers have been seen before is not checked again, apart from the values of tensors.
    For entry points: what a layer calls inside is checked under pytest only. Above ``@dataclass`` on a class.

    Raises:
        ValueError: from the decorated function, before it starts.
    """
    if isinstance(item, type):
        item.__init__ = checked(item.__init__)
        return item
    contract = _Contract(item)

    @functools.wraps(item)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            contract.check(args, kwargs)
        except ValueError as error:
            raise ValueError(*error.args) from None  # the traceback begins at the call, not in here
        return item(*args, **kwargs)

    return call


class _Contract:
    """What the annotations of one function want, and the calls that have met it."""

    def __init__(self, function: Callable) -> None:
        self.function = function
        parameters = inspect.signature(function).parameters.values()
        self.names = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        self.required = set(self.names) - set(self.defaults)
        self.met: set[tuple] = set()

    @functools.cached_property
    def options(self) -> dict[str, tuple]:
        """The hints that each parameter may fit; read at the first call, when the names in quoted annotations exist."""
        hints = get_type_hints(self.function, include_extras=True)
        return {
            name: get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
            for name, hint in hints.items()
            if name in self.names
        }

    @functools.cached_property
    def inside(self) -> dict[str, Any]:
        """The parameters whose values are looked at in every call, because their shapes do not tell."""
        found = [(name, option) for name, options in self.options.items() for option in options if _array(option)]
        return {name: option for name, option in found if _array(option).dtype is Finite or _range(option)}

    @functools.cached_property
    def expressions(self) -> list[types.CodeType]:
        """The expressions in braces: their values may differ from call to call."""
        arrays = [_array(option) for options in self.options.values() for option in options if _array(option)]
        axes = {axis for array in arrays for axis in array.dim_str.split() if "{" in axis}
        return [compile(f"f'{axis}'", "annotation", "eval") for axis in sorted(axes)]

    def check(self, args: tuple, kwargs: dict[str, Any]) -> None:
        given = dict(zip(self.names, args, strict=False)) | kwargs
        if not given.keys() >= self.required:
            return  # the call itself will say what is missing
        key = (*given, *map(_kind, given.values()))
        if self.expressions:
            scope = self.defaults | given
            try:
                key += tuple([eval(code, scope) for code in self.expressions])
            except (AttributeError, IndexError, TypeError):  # an argument of a wrong type: `_check_types` will say so
                key += (_ANY,)
        if key not in self.met:
            self._check_types(given)
            if _ANY not in key:
                if len(self.met) > 500:  # a number that differs in every call
                    self.met.clear()
                self.met.add(key)
        for name, option in self.inside.items():
            if isinstance(value := given.get(name), Tensor):
                check_values(name, value, _range(option))

    def _check_types(self, given: dict[str, Any]) -> None:
        scope, sizes = self.defaults | given, {}
        with jaxtyped("context"):
            for name in filter(given.__contains__, self.options):
                problems = []
                for option in self.options[name]:
                    if array := _array(option):
                        problem = _tensor_problem(name, given[name], _resolved(array, scope), sizes)
                    else:
                        problem = _plain_problem(name, given[name], option)
                    if problem is None:
                        break
                    problems.append(problem)
                else:
                    raise ValueError(_joined(problems, given[name]))


_ANY = object()  # stands for values whose type does not tell whether they fit
_CONF = BeartypeConf(is_pep484_tower=True)
_NUMBERS = {int: Integral, float: Real}  # numpy's are numbers too
_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a string",
    bool: "True or False",
    Tensor: "a torch.Tensor",
    types.NoneType: "None",
}
_DTYPES = {
    "Float": "a floating-point tensor; convert it with .float()",
    "Finite": "a floating-point tensor; convert it with .float()",
    "Int": "a tensor of integers; convert it with .long()",
    "Bool": "a tensor of true and false (torch.bool); convert it with .bool()",
}


def _kind(value: Any) -> Any:
    """What two arguments have in common if the one fits wherever the other does."""
    if isinstance(value, Tensor):
        return value.shape, value.dtype
    kind = type(value)
    if kind in (int, float, str, bool):
        return kind, value
    return _kind_of_type(kind)


@functools.cache
def _kind_of_type(kind: type) -> Any:
    return _ANY if issubclass(kind, (Collection, Real, np.ndarray)) else kind


def _array(option: Any) -> Any:
    """The jaxtyping annotation in a hint, or None."""
    if get_origin(option) is Annotated:
        option = option.__origin__
    return option if isinstance(option, type) and issubclass(option, AbstractArray) else None


def _range(option: Any) -> Range | None:
    return next((extra for extra in getattr(option, "__metadata__", ()) if isinstance(extra, Range)), None)


def _resolved(array: Any, scope: dict[str, Any]) -> Any:
    """The annotation with the values of its braces: ``"n {self.width}"`` is ``"n width=5"``."""
    if "{" not in array.dim_str:
        return array
    named = re.sub(r"(?<!\S)(\{(?:\w+\.)*(\w+)\})(?!\S)", r"\2=\1", array.dim_str)
    return array.dtype[array.array_type, eval(f"f'{named}'", dict(scope))]


def _tensor_problem(name: str, value: Any, array: Any, sizes: dict[str, tuple[Any, str]]) -> str | None:
    """None if jaxtyping takes the value for the annotation and no axis is empty; else what is wrong, in words."""
    kind = "torch.Tensor" if array.array_type is Tensor else array.array_type.__name__
    if not isinstance(value, array.array_type):
        return f"{name}: got {_got(value)}, wanted a {kind} of shape ({array.dim_str})"
    if not isinstance(value, array.dtype[array.array_type, "..."]):
        return f"{name}: got {value.dtype}, wanted {_DTYPES.get(array.dtype.__name__, array.dtype.__name__)}"
    fits = isinstance(value, array)
    problem = shape_problem(name, tuple(value.shape), array.dim_str, sizes)
    return problem if fits or problem else f"{name}: got shape {tuple(value.shape)}, wanted ({array.dim_str})"


def _plain_problem(name: str, value: Any, option: Any) -> str | None:
    if bounds := _range(option):
        try:
            if option.__origin__ is int:
                check_count(name, value, low=bounds.low, high=None if bounds.high == math.inf else bounds.high)
            else:
                check_number(name, value, low=bounds.low, high=bounds.high, open_low=bounds.open_low)
        except ValueError as error:
            return str(error)
        return None
    if is_bearable(value, _NUMBERS.get(option, option), conf=_CONF):
        return None
    if get_origin(option) is Literal:
        wanted = f"one of {', '.join(map(repr, get_args(option)))}"
    elif get_origin(option) is Callable:
        wanted = "a callable"
    else:
        wanted = _WORDS.get(option) or (option.__name__ if isinstance(option, type) else str(option))
    return f"{name}: got {_got(value)}, wanted {wanted}"


def _got(value: Any) -> str:
    return repr(value) if value is None or isinstance(value, (Real, str)) else type(value).__name__


def _joined(problems: list[str], value: Any) -> str:
    """What a union wants: of a tensor only what is wrong with it as a tensor."""
    if isinstance(value, Tensor) or len(problems) == 1:
        return problems[0]
    got, wanted = problems[0].split(", wanted ", 1)[0], [problem.split(", wanted ", 1)[1] for problem in problems]
    return f"{got}, wanted {' or '.join(wanted)}"
