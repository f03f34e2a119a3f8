"""The check of a call that is derived from its annotations: what it takes, what it says of the rest, what it costs."""

import inspect
import math
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import jaxtyping
import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.validate import Count, Finite, Positive, Range, Share, checked
from companion.validate.contract import _Contract
from tests.conftest import jaxtyping_off, rejects


class Layer:
    """What a module looks like to the decorator."""

    def __init__(self, width: int) -> None:
        self.width = width

    @checked
    def apply(
        self, x: Float[Tensor, "... {self.width}"], scale: Float[Tensor, "rows={len(x)}"] | None = None
    ) -> Tensor:
        return x if scale is None else x * scale[:, None]


@checked
def attend(
    q: Float[Tensor, "*batch n d"], k: Float[Tensor, "*batch m d"], mask: Bool[Tensor, "n m"] | None = None,
    *, heads: Count = 1, kind: Literal["full", "causal"] = "full", rate: Share | None = None,
) -> Tensor:  # fmt: skip
    return q


Z = torch.zeros
Q, K = Z(2, 3, 4), Z(2, 5, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attend(Q, Z(2, 5, 6)), "k: got shape (2, 5, 6), wanted (*batch m d) with d = 4, not 6 (d = 4 in q)"),
        (lambda: attend(Q, Z(3, 5, 4)), "k: got shape (3, 5, 4), wanted (*batch m d) with batch = (2,), not (3,) "
            "(batch = (2,) in q)"),
        (lambda: attend(k=K, q=Z(4)), "q: got shape (4,) with 1 axes, wanted at least 2: (*batch n d)"),
        (lambda: attend(Z(2, 0, 4), K), "q: got shape (2, 0, 4), wanted no empty axis in (*batch n d)"),
        (lambda: attend(Q.long(), K), "q: got torch.int64, wanted a floating-point tensor; convert it with .float()"),
        (lambda: attend([1.0], K), "q: got list, wanted a torch.Tensor of shape (*batch n d)"),
        (lambda: attend(Q, K, Z(3, 5)), "mask: got torch.float32, wanted a tensor of true and false (torch.bool); "
            "convert it with .bool()"),
        (lambda: attend(Q, K, Z(3, 4).bool()), "mask: got shape (3, 4), wanted (n m) with m = 5, not 4 (m = 5 in k)"),
        (lambda: attend(Q, K, Z(3).bool()), "mask: got shape (3,) with 1 axes, wanted 2: (n m)"),
        (lambda: attend(Q, K, 3), "mask: got 3, wanted a torch.Tensor of shape (n m) or None"),
        (lambda: attend(Q, K, heads=0), "heads: got 0, wanted a whole number of at least 1"),
        (lambda: attend(Q, K, heads=True), "heads: got True, wanted a whole number of at least 1"),
        (lambda: attend(Q, K, kind="half"), "kind: got 'half', wanted one of 'full', 'causal'"),
        (lambda: attend(Q, K, rate=1.5), "rate: got 1.5, wanted a number from 0 up to 1 or None"),
        (lambda: Layer(5).apply(Q), "x: got shape (2, 3, 4), wanted (... width=5) with width = 5, not 4"),
        (lambda: Layer(4).apply(Q, Z(3)), "scale: got shape (3,), wanted (rows=2) with rows = 2, not 3"),
        (lambda: pick(Z(3), ["a"], 1.5), "at: got 1.5, wanted a whole number"),
        (lambda: pick(Z(3), [1], 1), "names: got list, wanted list[str]"),
        (lambda: pick(Z(3), ["a"], 1, turn=7), "turn: got 7, wanted a callable"),
        (lambda: pick(Z(3), ["a"], 1, layer=None), "layer: got None, wanted Layer"),
        (lambda: pick(3, ["a"], 1), "x: got 3, wanted a torch.Tensor"),
        (lambda: pick(Z(3), ["a"], "1"), "at: got '1', wanted a whole number"),
        (lambda: values(Z(2, 3) / 0), "x: got 6 values that are NaN or infinite, wanted finite numbers"),
        (lambda: values(Z(2, 3), Z(2)), "sigma: got values from 0 to 0, wanted numbers above 0 up to 2"),
        (lambda: values(Z(2, 3), torch.tensor([1.0, math.nan])), "sigma: got 1 values that are NaN or infinite, wanted finite "
            "numbers"),
        (lambda: values(Z(2, 3), Z(3) + 1), "sigma: got shape (3,), wanted (n) with n = 2, not 3 (n = 2 in x)"),
        (lambda: values(Z(2, 3), Z(2) + 3), "sigma: got values from 3 to 3, wanted numbers above 0 up to 2"),
        (lambda: Layer(4).apply(3), "x: got 3, wanted a torch.Tensor of shape (... width=4)"),
        (lambda: fixed(Z(2, 4)), "x: got shape (2, 4), wanted (n width=3) with width = 3, not 4"),
        (lambda: Setting(steps=0), "steps: got 0, wanted a whole number of at least 1"),
        (lambda: Setting(1, scale=0.0), "scale: got 0.0, wanted a number above 0"),
        (lambda: Setting(1, scale=math.inf), "scale: got inf, wanted a number above 0"),
    ],
)  # fmt: skip
def test_the_annotation_says_what_was_wanted(call, message):
    for _ in range(2):  # a refusal is not remembered as a call that fits
        with rejects(f"^{re.escape(message)}$"):
            call()


@checked
def pick(x: Tensor, names: list[str], at: int, *, turn: Callable[[int], int] = abs, layer: "Layer" = Layer(1)) -> str:  # noqa: B008
    return names[turn(at)]


@checked
def values(
    x: Finite[Tensor, "n d"], sigma: Annotated[Float[Tensor, "n"], Range(0, 2, open_low=True)] | None = None
) -> Tensor:
    return x if sigma is None else x / sigma[:, None]


@checked
def fixed(x: Float[Tensor, "n {width}"], width: int = 3) -> Tensor:
    return x


@checked
def halves(numbers: tuple[float, ...], last: float) -> list[float]:
    return [number / 2 for number in (*numbers, last)]


@checked
@dataclass(frozen=True)
class Setting:
    steps: Count
    scale: Positive = 1.0


def test_what_fits_is_taken_and_the_function_stays_what_it_was():
    assert attend(Q, K) is Q and attend(Q, K, None, heads=np.int64(2), rate=1) is Q
    assert attend(Z(3, 4), Z(5, 4), Z(3, 5).bool(), kind="causal").shape == (3, 4)
    assert Layer(4).apply(Q[0], torch.ones(3)).shape == (3, 4)
    assert pick(Z(0), ["a", "b"], np.int32(1), turn=lambda i: i) == "b"
    assert values(Z(2, 3).double(), torch.ones(2).bfloat16()).shape == (2, 3)
    assert halves((1, 2), 3) == [0.5, 1.0, 1.5]
    assert Setting(2, np.float32(0.5)) == Setting(steps=2, scale=0.5)
    assert (attend.__name__, attend.__doc__) == ("attend", None)
    assert list(inspect.signature(attend).parameters) == ["q", "k", "mask", "heads", "kind", "rate"]
    assert inspect.getsource(attend).startswith("@checked\ndef attend(")
    assert str(inspect.signature(Setting)).startswith("(steps:")


def test_a_size_of_self_is_read_in_every_call():
    layer = Layer(4)
    layer.apply(Q)
    layer.width = 3
    with rejects("width = 3, not 4"):
        layer.apply(Q)
    layer.apply(Q[..., :3])


def test_a_call_that_is_wrong_as_a_call_is_a_type_error():
    for call in (
        lambda: attend(Q),
        lambda: attend(Q, K, None, 2),
        lambda: attend(Q, K, head=2),
        lambda: Layer(4).apply(),
    ):
        with pytest.raises(TypeError, match="argument"):
            call()


def test_values_are_looked_at_in_every_call():
    x = Z(2, 3)
    values(x)
    x[1, 2] = math.nan
    with rejects("x: got 1 values"):
        values(x)


def test_tensors_are_not_remembered_by_their_shapes_alone():
    attend(Q, K)
    for bad in ((Q.long(), K), (Q, K.bool())):
        with rejects("got torch"):
            attend(*bad)


def test_numbers_are_not_remembered_by_their_type():
    attend(Q, K, heads=2, rate=0.5)
    attend(Q, K, heads=np.int64(2))
    for bad in (
        {"heads": 0, "rate": 0.5},
        {"heads": 2, "rate": -0.5},
        {"heads": np.int64(0)},
        {"rate": 1.5},
        {"rate": np.float64(1.5)},
        {"heads": 2.0},
    ):
        with rejects("got"):
            attend(Q, K, **bad)
    assert pick(Z(1), ["a"], 0) == "a"
    with rejects(r"names: got list, wanted list\[str\]"):
        pick(Z(1), [0], 0)


def test_gradients_batches_and_inference_pass():
    x = torch.randn(6, 2, 3)
    with jaxtyping_off():
        assert torch.func.grad(lambda x: values(x).square().sum())(x[0]).equal(2 * x[0])
        assert torch.func.vmap(values)(x).equal(x)
        with rejects("x: got shape"):
            torch.func.vmap(values)(torch.zeros(2, 3))
        with torch.inference_mode():
            assert values(x[0] + 1).is_inference()


def test_the_error_comes_from_the_call_and_hides_its_ways():
    with pytest.raises(ValueError) as caught:
        attend(Q, K, heads=0)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    ways = [entry.name for entry in caught.traceback if "jaxtyping" not in str(entry.path)]  # its hook wraps `call`
    assert ways == ["test_the_error_comes_from_the_call_and_hides_its_ways", "call"]


def test_pytests_own_check_of_types_is_not_the_first_to_refuse(tmp_path, monkeypatch):
    """A package under jaxtyping's import hook, as all of `companion` is here: the promised error, for classes as well."""
    (tmp_path / "hooked.py").write_text(
        textwrap.dedent("""
        from dataclasses import dataclass
        from jaxtyping import Float
        from torch import Tensor
        from companion.validate import Count, checked

        @checked
        def double(x: Float[Tensor, "n d"], many: int = 1) -> Float[Tensor, "n d"]:
            return 2 * x if many else x.flatten()

        def inner(x: Float[Tensor, "n d"]):
            return x

        @checked
        @dataclass(frozen=True)
        class Both:
            x: Float[Tensor, "n d"]
            steps: Count = 2

            @checked
            def plus(self, y: Float[Tensor, "n d={self.x.shape[1]}"]) -> Float[Tensor, "..."]:
                return y
    """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    with jaxtyping.install_import_hook("hooked", "beartype.beartype"):
        import hooked
    for call in (
        lambda: hooked.double(Z(3)),
        lambda: hooked.double(Z(3, 2), 0.5),
        lambda: hooked.Both(Z(3)),
        lambda: hooked.Both(Z(3, 2), 0.5),
        lambda: hooked.Both(Z(3, 2)).plus(Z(3, 4)),
    ):
        with pytest.raises(ValueError, match="got .* wanted"):
            call()
    assert hooked.double(Z(3, 2)).shape == (3, 2) and hooked.Both(Z(3, 2)).plus(Z(1, 2)).shape == (1, 2)
    for call in (lambda: hooked.inner(Z(3)), lambda: hooked.double(Z(3, 2), 0)):  # the hook is there, and sees results
        with pytest.raises(jaxtyping.TypeCheckError):
            call()


COST = """
import timeit, torch
from jaxtyping import Float
from torch import Tensor
from companion.validate import check_shapes, checked

@checked
def derived(q: Float[Tensor, "b n d"], k: Float[Tensor, "b m d"]): pass

def written(q, k): check_shapes(q=(q, "b n d"), k=(k, "b m d"))

q, k = torch.zeros(2, 3, 4), torch.zeros(2, 5, 4)
pairs = [[timeit.timeit(lambda: f(q, k), number=300) for f in (derived, written)] for _ in range(60)]
print(sorted(a / b for a, b in pairs)[30])
"""


def test_a_call_costs_no_more_than_the_check_that_it_replaces():
    """Outside of pytest's hook, in turns, the median of the ratios: about a half on any machine."""
    ran = subprocess.run([sys.executable, "-c", COST], capture_output=True, text=True, check=True)
    assert float(ran.stdout) < 1, ran.stdout


def test_calls_that_differ_forever_are_not_kept_forever():
    contract = _Contract(inspect.unwrap(attend))
    for i in range(1200):
        contract.check((Q, K), {"rate": i / 1200})
    assert 0 < len(contract.met) <= 501
    contract = _Contract(inspect.unwrap(pick))
    contract.check((Z(1), ["a"], 0), {})
    assert not contract.met, "a list that fits says nothing of the next list"
