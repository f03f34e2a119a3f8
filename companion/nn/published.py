"""The reader of published weights: a folder's ``config.json`` and safetensors, in one file or in shards.

A model is what its weights *and* its configuration say. So each class that reads published models declares, field by field,
what a configuration may hold (`Fields`): what it implements; what it has in one way only, with the values that mean this way;
and what has no bearing on the numbers at inference. All else is an error that names the field, for a field that is passed over
changes the numbers in silence. Likewise every tensor of the file must have its place in the model, and every parameter of the
model its tensor (`fill`).

Nothing here unpickles: weights come as safetensors (github.com/huggingface/safetensors) alone.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)

WANTED = object()
"""In `Fields.read`, in place of a default: the file must have the field."""

# What any configuration of transformers may hold that has no bearing on a forward pass in evaluation mode: where it comes from,
# what outputs it returns, labels of classifiers, tokens for generation and its settings, which older files keep here.
_HARMLESS = """
    _attn_implementation_autoset _commit_hash _name_or_path architectures auto_map dtype torch_dtype transformers_version
    chunk_size_feed_forward output_attentions output_hidden_states return_dict tie_last_hidden_states torchscript use_bfloat16
    use_cache finetuning_task id2label label2id num_labels problem_type initializer_range is_decoder task_specific_params
    tokenizer_class prefix bos_token_id eos_token_id pad_token_id sep_token_id decoder_start_token_id bad_words_ids
    begin_suppress_tokens suppress_tokens do_sample early_stopping diversity_penalty encoder_no_repeat_ngram_size
    exponential_decay_length_penalty forced_bos_token_id forced_eos_token_id length_penalty max_length max_new_tokens min_length
    no_repeat_ngram_size num_beam_groups num_beams num_return_sequences output_scores remove_invalid_values repetition_penalty
    return_dict_in_generate temperature top_k top_p typical_p
"""
HARMLESS = frozenset(_HARMLESS.split())


@dataclass(frozen=True)
class Fields:
    """What a published configuration may hold, field by field.

    Attributes:
        kind: the name of the format and its value: ``("model_type", "llama")``.
        read: what the class implements, with the library's default where the file leaves it out, or `WANTED`.
        fixed: what the class has in one way only, with the values that mean this way, the library's default first.
        harmless: what has no bearing on the numbers at inference.
    """

    kind: tuple[str, str]
    read: Mapping[str, object]
    fixed: Mapping[str, tuple[object, ...]]
    harmless: frozenset[str]

    def match(self, published: Mapping[str, object]) -> bool:
        """Whether a configuration is of this format."""
        name, kind = self.kind
        return published.get(name) == kind

    def of(self, published: Mapping[str, object], where: str) -> dict[str, object]:
        """The fields that the class implements.

        Raises:
            ValueError: another kind of model, a field that is missing or unknown, or a value that would change the numbers.
        """
        name, kind = self.kind
        if not self.match(published):
            raise ValueError(f"{where}: got {name} = {published.get(name)!r}, wanted {kind!r}")
        for field, allowed in self.fixed.items():
            value = published.get(field, allowed[0])
            if value not in allowed:
                wanted = " or ".join(map(repr, allowed))
                raise ValueError(f"{where}: got {field} = {value!r}, wanted {wanted}: nothing else is implemented")
        unknown = sorted(published.keys() - self.read.keys() - self.fixed.keys() - self.harmless - {name})
        if unknown:
            raise ValueError(
                f"{where}: got the fields {', '.join(unknown)}, wanted only known ones: what they do to the numbers is not"
            )
        missing = sorted(field for field, default in self.read.items() if default is WANTED and field not in published)
        if missing:
            raise ValueError(f"{where}: got a configuration without {', '.join(missing)}, wanted these fields")
        return {field: published.get(field, default) for field, default in self.read.items()}


def read_config(folder: Path | str, *kinds: Fields) -> dict[str, object]:
    """The implemented fields of a folder's ``config.json``.

    Args:
        folder: with the file.
        kinds: the formats that the class reads; the file has to be of one of them.

    Raises:
        FileNotFoundError: there is none.
        ValueError: as `Fields.of`.
    """
    folder = Path(folder)
    published = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for fields in kinds:
        if fields.match(published):
            return fields.of(published, str(folder))
    got = ", ".join(f"{name} = {published.get(name)!r}" for name in dict.fromkeys(one.kind[0] for one in kinds))
    raise ValueError(f"{folder}: got {got}, wanted {' or '.join(repr(one.kind[1]) for one in kinds)}")


def rope_of(
    given: Mapping[str, Any] | None, name: str, where: str, *, stretched: bool = False
) -> tuple[float | None, float]:
    """Base and stretch of rotary frequencies (`companion.nn.positions.Rotary`) from one group of published settings.

    Args:
        given: the group: a ``rope_type``, in older files ``type``, and what belongs to it.
        name: of the field that holds the group, for errors.
        where: the folder, for errors.
        stretched: whether the class implements the type ``linear``, which divides all frequencies by a ``factor``.

    Returns:
        The base, None if the group does not say it; and the stretch, 1 for none.

    Raises:
        ValueError: another type, or settings that do not belong to it.
    """
    given = given or {}
    kind, settings = given.get("rope_type", given.get("type", "default")), given.keys() - {"rope_type", "type"}
    allowed = {"default": {"rope_theta"}} | ({"linear": {"rope_theta", "factor"}} if stretched else {})
    if kind not in allowed or settings - allowed[kind] or (kind == "linear" and "factor" not in settings):
        also = " or 'linear', which has a factor, too" if stretched else ""
        raise ValueError(
            f"{where}: got {name} = {dict(given)}, wanted the type 'default', which has only a rope_theta{also}"
        )
    return given.get("rope_theta"), float(given.get("factor", 1.0))


def read_tensors(folder: Path | str, stem: str = "model") -> dict[str, Tensor]:
    """All tensors of a folder: of ``STEM.safetensors``, or of the shards that ``STEM.safetensors.index.json`` lists.

    Raises:
        FileNotFoundError: neither file is there, or a shard is not.
        ValueError: the shards do not hold what the index says.
    """
    folder = Path(folder)
    index = folder / f"{stem}.safetensors.index.json"
    if (folder / f"{stem}.safetensors").is_file() or not index.is_file():
        return load_file(folder / f"{stem}.safetensors")
    shards: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    tensors: dict[str, Tensor] = {}
    for shard in sorted(set(shards.values())):
        if Path(shard).name != shard:
            raise ValueError(f"{index}: got the shard {shard!r}, wanted a file beside the index")
        tensors |= load_file(folder / shard)
    if tensors.keys() != shards.keys():
        raise ValueError(
            f"{index}: got shards that differ from the index in {_few(tensors.keys() ^ shards.keys())}, wanted the same tensors"
        )
    return tensors


def fill(
    model: Model,
    tensors: Mapping[str, Tensor],
    names: Mapping[str, str | tuple[str, ...]],
    *,
    where: str,
    dtype: torch.dtype = torch.float32,
    transposed: Collection[str] = (),
    ignored: Collection[str] = (),
) -> Model:
    """Put published tensors into a model, which comes back in evaluation mode and in ``dtype``, whatever the file's is.

    Args:
        model: of the sizes that the configuration says. Of parameters that it ties, the file may have one or both.
        tensors: by their published names.
        names: published modules and ours, ``"h.*.ln_1": "blocks.*.attention_norm"``: a * stands for a number, and weight and
            bias follow; "" is the model itself. Several of ours, ``"attn": ("q", "k", "v")``, share the published rows evenly.
        where: the folder, for errors.
        dtype: of the parameters.
        transposed: published modules whose matrices are stored as (inputs, outputs).
        ignored: published tensors that hold no parameter, such as masks; a * as above.

    Raises:
        ValueError: tensors that are missing, surplus, given twice or of another shape; the message names them.
    """
    if not dtype.is_floating_point:
        raise ValueError(f"dtype: got {dtype}, wanted a floating-point type")
    patterns = [
        (re.compile(_pattern(theirs)), theirs, (ours,) if isinstance(ours, str) else ours)
        for theirs, ours in names.items()
    ]
    given: dict[str, Tensor] = {}
    surplus: list[str] = []
    for name, tensor in tensors.items():
        module, _, suffix = name.rpartition(".")
        found = next(((m, key, ours) for p, key, ours in patterns if (m := p.fullmatch(module))), None)
        if found is None:
            if not any(re.fullmatch(_pattern(one), name) for one in ignored):
                surplus.append(name)
            continue
        match, key, ours = found
        tensor = tensor.T if key in transposed and tensor.ndim == 2 else tensor
        parts = tensor.chunk(len(ours)) if len(ours) > 1 else (tensor,)
        for own, part in zip(ours, parts, strict=True):
            own = f"{_numbered(own, match.groups())}.{suffix}".removeprefix(".")
            if own in given and not torch.equal(given[own], part):
                raise ValueError(f"{where}: got {name} and a different tensor for {own}, wanted one")
            given[own] = part
    parameters = model.to(dtype).state_dict(keep_vars=True)
    surplus += sorted(given.keys() - parameters.keys())
    filled = {id(parameters[own]) for own in given.keys() & parameters.keys()}
    missing = sorted({_published(own, names) for own, value in parameters.items() if id(value) not in filled})
    if surplus or missing:
        said = f"surplus: {_few(surplus) or 'none'}; missing: {_few(missing) or 'none'}"
        raise ValueError(f"{where}: got tensors that are not those of a {type(model).__name__}, wanted its own; {said}")
    put: dict[int, str] = {}
    with torch.no_grad():
        for own, tensor in given.items():
            parameter = parameters[own]
            if tensor.shape != parameter.shape:
                got, wanted = tuple(tensor.shape), tuple(parameter.shape)
                raise ValueError(f"{where}: got {_published(own, names)} of shape {got}, wanted {wanted}")
            twin = put.setdefault(id(parameter), own)
            if twin != own and not torch.equal(given[twin], tensor):
                raise ValueError(
                    f"{where}: got different tensors for {twin} and {own}, wanted one: the model ties them"
                )
            parameter.copy_(tensor)
    return model.eval()


def _pattern(name: str) -> str:
    return re.escape(name).replace(r"\*", r"(\d+)")


def _numbered(name: str, numbers: tuple[str, ...]) -> str:
    """``blocks.*.mlp`` with its numbers."""
    for number in numbers:
        name = name.replace("*", number, 1)
    return name


def _published(own: str, names: Mapping[str, str | tuple[str, ...]]) -> str:
    """What our parameter is called in the file."""
    module, _, suffix = own.rpartition(".")
    for theirs, ours in names.items():
        for one in (ours,) if isinstance(ours, str) else ours:
            if match := re.fullmatch(_pattern(one), module):
                return f"{_numbered(theirs, match.groups())}.{suffix}".removeprefix(".")
    return own


def _few(names: Collection[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")
