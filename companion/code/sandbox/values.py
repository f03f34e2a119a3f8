"""Values that cross a wall: what a program is given and what it answers, as JSON, by value and not by what it prints.

Numbers (inf and nan too), texts, bytes, None, truth values, and lists, tuples, sets, frozensets and dictionaries of them. What
inherits from one of these crosses as the plain value that it holds, whatever its own methods say. Nothing is evaluated.

The standard library alone: the confined interpreter (`companion.code.sandbox.cell`) reads this file too.
"""

from typing import Any

_PLAIN = (
    2**53
)  # whole numbers below are JSON's own; larger ones are written in hexadecimal, which has no limit of digits


def pack(value: Any) -> Any:
    """A value as JSON can write it: itself, or ``{kind: content}``.

    Raises:
        ValueError: a value of another kind.
    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, int):
        plain = int.__pos__(value)
        return plain if -_PLAIN < plain < _PLAIN else {"int": hex(plain)}
    if isinstance(value, float):
        return {"float": float.hex(value)}
    if isinstance(value, complex):
        return {"complex": [pack(complex.real.__get__(value)), pack(complex.imag.__get__(value))]}
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return {"bytes": bytes.hex(value)}
    if isinstance(value, list):
        return [pack(one) for one in list.__iter__(value)]
    if isinstance(value, dict):
        return {"dict": [[pack(key), pack(one)] for key, one in dict.items(value)]}
    for kind in (tuple, set, frozenset):
        if isinstance(value, kind):
            return {kind.__name__: [pack(one) for one in kind.__iter__(value)]}
    raise ValueError(f"got {type(value).__name__}, wanted a number, a text or a container of them")


def unpack(packed: Any) -> Any:
    """The value that `pack` wrote.

    Raises:
        ValueError: something that `pack` does not write.
    """
    if packed is None or isinstance(packed, (bool, int, str)):
        return packed
    if isinstance(packed, list):
        return [unpack(one) for one in packed]
    if not isinstance(packed, dict) or len(packed) != 1:
        raise ValueError(f"packed: got {type(packed).__name__}, wanted one kind with its content")
    ((kind, content),) = packed.items()
    if kind not in _KINDS:
        raise ValueError(f"packed: got the kind {kind!r}, wanted one of {', '.join(_KINDS)}")
    try:
        return _KINDS[kind](content)
    except (TypeError, OverflowError) as error:  # also a set of lists: no program could have made it
        raise ValueError(f"packed: got {kind} of something else ({error}), wanted its content") from error


_KINDS = {
    "int": lambda text: int(text, 16),
    "float": float.fromhex,
    "complex": lambda parts: complex(*map(unpack, parts)),
    "bytes": bytes.fromhex,
    "tuple": lambda parts: tuple(map(unpack, parts)),
    "set": lambda parts: set(map(unpack, parts)),
    "frozenset": lambda parts: frozenset(map(unpack, parts)),
    "dict": lambda pairs: {unpack(key): unpack(one) for key, one in pairs},
}


def same_value(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one kind throughout: 1 is neither 1.0 nor True, and nan is nan.

    Of other objects than `pack` knows, none is the same as any: an object may call itself equal to everything.
    """
    try:
        return _form(pack(one)) == _form(pack(other))
    except (ValueError, TypeError):
        return False


def _form(packed: Any) -> Any:
    """A packed value in one form for all that are equal: sets and dictionaries in order, one zero, truth values as texts."""
    if isinstance(packed, bool):
        return {"bool": str(packed)}  # else True would equal 1
    if isinstance(packed, list):
        return [_form(one) for one in packed]
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    if kind == "float" and float.fromhex(content) == 0:
        return {"float": (0.0).hex()}  # as -0.0 == 0.0
    if kind in ("set", "frozenset", "dict"):
        return {kind: sorted(map(_form, content), key=repr)}
    return {kind: _form(content)}
