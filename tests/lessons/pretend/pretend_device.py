"""A device named ``pretend`` that computes on the CPU and is as strict as a GPU: for tests of code on machines without one.

A tensor on it wraps a CPU tensor. Each operation is done on what is wrapped, and the result is wrapped again; what CUDA refuses
is refused here too: a tensor of the CPU in an operation with one of the device (numbers and tensors without axes are fine,
and so are CPU tensors as indices), a CPU generator that is to fill a tensor of the device, ``.numpy()``. The message names
the operation. A tensor has no float64 here, as on Apple's GPUs.

torch finds the backend by itself: the folder of this file on ``PYTHONPATH`` has an entry point ``torch.backends``
(https://docs.pytorch.org/tutorials/unstable/python_extension_autoload.html).
"""

import os
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import return_and_correct_aliasing

NAME = "pretend"
SMALL = 50_000  # weights of a network that a lesson may try out on the CPU
aten = torch.ops.aten

# Copying is what tensors of two devices are for.
_COPIES = {aten._to_copy.default, aten.copy_.default, aten._copy_from.default}
# Packed sequences: their lengths, the second argument or result, stay on the CPU.
_PACKED = {
    aten._pack_padded_sequence.default,
    aten._pack_padded_sequence_backward.default,
    aten._pad_packed_sequence.default,
}
# Of these, CUDA takes CPU tensors as indices, but not as values.
_INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
# These take no tensor of the CPU on CUDA, whatever its size; the last reads the count of steps beside the weights.
_JOINS = {aten.cat.default, aten.stack.default, aten._fused_adamw_.default}
_HARMLESS = {bool, int, float, type(None), str, torch.dtype, torch.device, torch.layout, torch.memory_format}
# Where torch has a kernel for all devices that calls others, ours must be named to come before it.
_FACTORIES = (
    "empty.memory_format", "empty_strided", "arange", "arange.start", "arange.start_step", "linspace", "logspace", "eye",
    "eye.m", "randperm", "randperm.generator", "tril_indices", "triu_indices", "full", "zeros", "ones", "rand", "randn",
    "rand.generator", "randn.generator", "randint", "randint.low", "randint.generator", "randint.low_generator",
    "scalar_tensor",
)  # fmt: skip


class PretendTensor(torch.Tensor):
    """A CPU tensor that says that it lives on the device ``pretend``."""

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "PretendTensor":
        if held.dtype in (torch.float64, torch.complex128):
            raise TypeError(f"{NAME}: got {held.dtype}, which is not supported on this device (nor on MPS)")
        outer = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, layout=held.layout,
            device=torch.device(NAME, 0),
        )  # fmt: skip
        outer.held = held
        return outer

    # As a traceable wrapper, `Module.to` swaps it into the parameter, which two layers may share.
    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict, context: None, size: object, stride: object) -> "PretendTensor":
        return PretendTensor(inner["held"])

    def numpy(self, *, force: bool = False) -> object:
        """As for CUDA: not without ``.cpu()``."""
        if not force:
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy it first."
            )
        return self.cpu().numpy(force=True)

    def __format__(self, spec: str) -> str:
        return self.cpu().__format__(spec)

    def tolist(self) -> object:
        """The values as Python's lists."""
        return self.cpu().tolist()

    def __array__(self, dtype: object = None) -> object:
        return self.numpy()

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"{self.held!r} on {self.device}"  # torch's own would print in float64

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if not torch.is_inference_mode_enabled():
            return compute(func, args, kwargs)
        # Here operations that are made of others arrive whole: once more, where torch takes them apart.
        with torch.inference_mode(False), torch.no_grad():
            return func(*args, **kwargs) if _about(func).composite else compute(func, args, kwargs)

    __torch_function__ = torch._C._disabled_torch_function_impl


class _About(NamedTuple):
    """Of an operation: is it made of others, and does a result share the memory of an argument?"""

    composite: bool
    aliases: bool


@cache
def _about(func: torch._ops.OpOverload) -> _About:
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")
    return _About(composite, any(one.alias_info for one in (*func._schema.arguments, *func._schema.returns)))


def compute(func, args: tuple, kwargs: dict):
    """Do one operation that has a tensor of the device among its arguments, or makes one."""
    target = kwargs.get("device")
    if target is not None:
        target = torch.device(target).type
    strangers: list[object] = []
    held = partial(_held, strangers=strangers)
    inner_args, inner_kwargs = _each(held, args), {name: _each(held, value) for name, value in kwargs.items()}
    if strangers and func not in _COPIES:
        _refuse_mixed(func, args, kwargs)
    if target == NAME:
        inner_kwargs["device"] = torch.device("cpu")
    if func is aten._to_copy.default and target == "cpu":
        return func(*inner_args, **inner_kwargs).clone()
    out = func(*inner_args, **inner_kwargs)
    if func is aten.copy_.default and not isinstance(args[0], PretendTensor):
        return args[0]
    if func in _PACKED and isinstance(out, tuple):
        return PretendTensor(out[0]), out[1]
    wrapped = _each(_wrapped, out)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if _about(func).aliases else wrapped


def _each(function: Callable, thing: Any) -> Any:
    """A function of everything in lists and tuples, which is where operations have tensors; torch's pytree takes long."""
    if isinstance(thing, (list, tuple)):
        return type(thing)([_each(function, part) for part in thing])
    return function(thing)


def _leaves(parts: Iterable) -> list:
    return [leaf for part in parts for leaf in (_leaves(part) if isinstance(part, (list, tuple)) else (part,))]


def _held(leaf: Any, strangers: list[object]) -> Any:
    """What is inside a tensor of the device; what may be a tensor or a generator of another is noted."""
    kind = type(leaf)
    if kind is PretendTensor:
        return leaf.held
    if kind not in _HARMLESS:
        strangers.append(leaf)
    return leaf


def _wrapped(leaf: Any) -> Any:
    return PretendTensor(leaf) if type(leaf) not in _HARMLESS and isinstance(leaf, torch.Tensor) else leaf


def _refuse_mixed(func, args: tuple, kwargs: dict) -> None:
    leaves = [*_leaves(args), *kwargs.values()]
    if any(isinstance(leaf, torch.Generator) and leaf.device.type != NAME for leaf in leaves):
        raise RuntimeError(
            f"{func}: Expected a '{NAME}' device type for generator but found 'cpu'; draw where the generator is, then move"
        )
    checked = leaves
    if func in _INDEXED and isinstance(args[0], PretendTensor):
        checked = [args[0], *_leaves(args[2:])]
    if func in _PACKED:
        checked = [args[0]]
    foreign = [x for x in checked if isinstance(x, torch.Tensor) and not isinstance(x, PretendTensor)]
    foreign = [x for x in foreign if x.ndim or func in _JOINS]
    if foreign and any(isinstance(leaf, PretendTensor) for leaf in leaves):
        shapes = ", ".join(str(tuple(x.shape)) for x in foreign)
        raise RuntimeError(
            f"{func}: Expected all tensors to be on the same device, but found {NAME}:0 and cpu (of shape {shapes})"
        )


@torch.inference_mode(False)  # a wrapper that is an inference tensor has no views outside
def _make(func, *args, **kwargs) -> PretendTensor:
    return compute(func, args, kwargs)


def _copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    """What ``torch.tensor(values, device="pretend")`` ends with."""
    inner = (x.held if isinstance(x, PretendTensor) else x for x in (target, source))
    next(inner).copy_(next(inner))
    return target


def _lstm_cell(x, state, w_x, w_h, b_x=None, b_h=None):
    """torch's own asks for a kernel that only GPUs have; sequences of cells are `lstm_impl`'s."""
    gates = torch.nn.functional.linear(x, w_x, b_x) + torch.nn.functional.linear(state[0], w_h, b_h)
    i, f, g, o = gates.chunk(4, 1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def insist() -> None:
    """From now on nothing is trained on the CPU in float32, and no network of some size computes there."""
    from torch.nn.modules.module import register_module_forward_pre_hook
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    def training(optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
        if isinstance(optimizer, torch.optim.LBFGS):
            return  # a fit of a few numbers, not a training
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            if parameter.device.type == "cpu" and parameter.dtype != torch.float64:
                raise RuntimeError(
                    f"{type(optimizer).__name__}.step: got weights on cpu, wanted {NAME}: train run.to(model)"
                )

    def calling(module: torch.nn.Module, args: tuple) -> None:
        first = next(module.parameters(), None)
        if first is None or first.device.type != "cpu" or first.dtype == torch.float64:
            return
        if (weights := sum(p.numel() for p in module.parameters())) > SMALL:
            raise RuntimeError(
                f"{type(module).__name__}: got a network of {weights:,} weights on cpu, wanted {NAME}: run.to(model)"
            )

    register_optimizer_step_pre_hook(training)
    register_module_forward_pre_hook(calling)


def register() -> None:
    """Make the device known to torch; where the lessons are told to use it, make them."""
    from torch._decomp.decompositions import gru_impl, gru_impl_data, lstm_impl
    from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

    class Backend(_DummyBackendModule):
        def get_amp_supported_dtype(self) -> list[torch.dtype]:
            return [torch.bfloat16, torch.float16]

        def is_autocast_enabled(self) -> bool:
            return False

    _setup_privateuseone_for_python_backend(NAME, Backend())
    if os.environ.get("COMPANION_DEVICE") == NAME:
        insist()
    library = torch.library.Library("aten", "IMPL")
    for name in _FACTORIES:
        packet, _, overload = name.partition(".")
        func = getattr(getattr(aten, packet), overload or "default")
        library.impl(name, partial(_make, func), "PrivateUse1")
    library.impl("_copy_from", _copy_from, "PrivateUse1")
    for name, decomposition in {
        "lstm.input": lstm_impl,
        "gru.input": gru_impl,
        "gru.data": gru_impl_data,
        "lstm_cell": _lstm_cell,
    }.items():
        for key in ("PrivateUse1", "AutogradPrivateUse1"):
            library.impl(name, decomposition, key)
    autocast = torch.library.Library("_", "IMPL")
    autocast.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")  # autocast changes nothing here
    register.libraries = library, autocast  # what they register lasts as long as they do
