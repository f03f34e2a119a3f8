"""Arguments checked against their annotations, and the checks of values that no annotation can say.

`checked` derives the check of a call from the function's annotations: jaxtyping's for tensors, anything that beartype
understands for the rest. A shape such as ``"batch 1 28 28"`` names an axis once and fixes others; a name that stands in two
tensors of one call must have one size in both, so nothing is broadcast by accident. Every error is a ``ValueError`` that
says the parameter's name, what was got and what was wanted.
"""

from companion.validate.contract import Finite, checked
from companion.validate.shapes import check_shapes
from companion.validate.values import (
    Count,
    NonNegative,
    Positive,
    Range,
    Share,
    check_choice,
    check_count,
    check_float,
    check_labels,
    check_number,
)

__all__ = [
    "Count",
    "Finite",
    "NonNegative",
    "Positive",
    "Range",
    "Share",
    "check_choice",
    "check_count",
    "check_float",
    "check_labels",
    "check_number",
    "check_shapes",
    "checked",
]
