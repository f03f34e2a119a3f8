"""The state of a training run in one safetensors file, complete or not there at all.

The file holds every tensor that a run carries from one step to the next (weights, buffers, AdamW's moments, averaged
weights) under the parameters' names, and in its header the step, the configuration and the history as JSON, and a
checksum of both. A parameter that two layers share stands there once. Nothing is pickled.
"""

import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from companion.training.optimization import Updater

_FORMAT = 2
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class CorruptCheckpoint(OSError):
    """A checkpoint cannot be read, or is another run's."""


def save_checkpoint(path: Path | str, updater: Updater, *, data: str, history: dict[str, list]) -> None:
    """Write a run's state; whatever stops the program meanwhile, the file is the old one or the new one.

    Args:
        path: the file; its folder is made if need be.
        updater: the model with its optimiser and average.
        data: what the run is trained on, in words, so that it is not resumed on something else.
        history: lists of numbers.
    """
    path = Path(path)
    header = {
        "run": _run(updater, data),
        "step": updater.steps_done,
        "ema_updates": updater.ema.updates if updater.ema else 0,
        "history": history,
    }
    # Copies, because safetensors refuses tensors that share memory, as views in buffers may.
    tensors = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in _state(updater).items()}
    header["checksum"] = _checksum(json.dumps(header), tensors)
    # One entry: safetensors writes several in any order, and equal runs shall give equal files.
    content = safetensors.torch.save(tensors, {"training": json.dumps(header)})
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    with open(unfinished, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(unfinished, path)


def load_checkpoint(
    path: Path | str, updater: Updater, *, data: str, lists: Collection[str] | None = None
) -> dict[str, list]:
    """Put a run's state back and return its history; on an error the updater is left as it was.

    Args:
        path: the file.
        updater: of the same model and configuration as the one that was saved.
        data: as it was saved.
        lists: the names that the history must have; any if not given.

    Raises:
        CorruptCheckpoint: the file is unreadable, damaged, or was made with another configuration, model or data.
    """
    try:
        with safetensors.safe_open(path, "pt") as stream:
            header = json.loads((stream.metadata() or {})["training"])
            checksum = header.pop("checksum", None)
            run, step, ema_updates, history = (header[key] for key in ("run", "step", "ema_updates", "history"))
            if [type(run), type(step), type(ema_updates), type(history)] != [dict, int, int, dict]:
                raise TypeError("its header is another program's")
            if len(header) > 4 or not 0 <= ema_updates <= step <= updater.config.steps:
                raise ValueError("its header holds what no run writes")
            if not all(isinstance(values, list) for values in history.values()):
                raise TypeError("its history is no lists")
            if lists is not None and set(history) != set(lists):
                raise ValueError(f"its history holds {sorted(history)}")
            saved = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118  not a dict
        if checksum != _checksum(json.dumps(header), saved):
            raise ValueError("its checksum is another: the file was damaged after it was written")
    except (
        safetensors.SafetensorError,
        KeyError,
        TypeError,
        ValueError,
        OSError,
        RecursionError,
        AttributeError,
    ) as error:
        raise CorruptCheckpoint(
            f"{path}: got no readable checkpoint of a training run ({error}); delete it to start anew"
        ) from error
    ours = json.loads(json.dumps(_run(updater, data)))  # as a file gives it back: tuples become lists
    differ = [f"{key}: {run.get(key)} → {ours.get(key)}" for key in ours | run if run.get(key) != ours.get(key)]
    if differ:
        raise CorruptCheckpoint(
            f"{path} was made by a run with another configuration (saved → wanted: {'; '.join(differ)}); "
            "delete it to start anew"
        )
    fused = bool(updater.optimizer.defaults["fused"])  # its kernel wants the count of steps beside the weights
    moments = {
        parameter: {
            moment: torch.zeros((), device=parameter.device if fused else "cpu")
            if moment == "step"
            else torch.zeros_like(parameter)
            for moment in _MOMENTS
            if f"adamw.{name}.{moment}" in saved  # Muon has no second moment
        }
        for name, parameter in updater.model.named_parameters()
        if f"adamw.{name}.step" in saved  # AdamW has no state for a parameter that never had a gradient
    }
    wanted = _state(updater, moments)
    if _forms(wanted) != _forms(saved):
        odd = sorted({name for name, _ in _forms(wanted).items() ^ _forms(saved).items()})
        raise CorruptCheckpoint(f"{path} was made with another model ({', '.join(odd[:4])}); delete it to start anew")
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(saved[name])
    updater.optimizer.state.update(moments)
    updater.steps_done = step
    if updater.ema:
        updater.ema.updates = ema_updates
        updater.ema.write()
    return history


def _checksum(about: str, tensors: dict[str, Tensor]) -> str:
    """Of the header and of each tensor's name, form and bytes."""
    found = hashlib.blake2b(about.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def _run(updater: Updater, data: str) -> dict:
    """What must agree between the run that saved and the one that resumes."""
    return {"format": _FORMAT, "data": data} | asdict(updater.config)


def _state(updater: Updater, moments: dict | None = None) -> dict[str, Tensor]:
    """Everything that a run carries from one step to the next, by name."""
    moments = updater.optimizer.state if moments is None else moments
    state = _weights("model", updater.model)
    if updater.ema:
        state |= _weights("ema", updater.ema.model)
        state |= {f"ema.{name}": average for name, average in updater.ema.averages.items()}
    for name, parameter in updater.model.named_parameters():
        if parameter in moments:
            state |= {f"adamw.{name}.{key}": moment for key, moment in moments[parameter].items()}
    return state


def _weights(prefix: str, model: nn.Module) -> dict[str, Tensor]:
    """A model's parameters and persistent buffers; the names of a shared one count once, unlike in ``state_dict()``."""
    persistent = model.state_dict(keep_vars=True).keys()
    named = [*model.named_parameters(), *model.named_buffers()]
    return {f"{prefix}.{name}": tensor for name, tensor in named if name in persistent}


def _forms(tensors: dict[str, Tensor]) -> dict[str, tuple]:
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
