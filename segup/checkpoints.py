"""Models as files: a model is saved as the names that build it and its weights. Opening a file runs no code."""

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segup.archive import Allowance, read_archive, size_of
from segup.atomic import atomic_write
from segup.calls import annotated
from segup.conform import short
from segup.encoders import create_encoder
from segup.encoders.create import family_of
from segup.errors import ConfigError, DataError, ShapeError
from segup.models import SegmentationModel, join_parts
from segup.names import check_storable, check_trust
from segup.registry import outside_module
from segup.stored import check_plain

CHECKPOINTS = ("last", "best")
"""Of a run folder."""
_OWN = ("format", "model")
FORMAT = 1
"""The version of what a checkpoint's ``"segup"`` entry holds."""
_OF_A_LIBRARY = 4 * 2**30
"""Bytes beyond the file's that an encoder's library may take: it builds a whole classifier, of which maps are kept."""


@dataclass(frozen=True)
class Checkpoint:
    """A model from a file, and the values that are stored beside it (``labels``, ``config``, ...)."""

    model: SegmentationModel
    info: dict[str, Any]


def checkpoint_entry(model: SegmentationModel, info: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what a checkpoint stores under ``"segup"``: names and options, no code.

    Raises:
        ConfigError: The model is not the one that its names build, it has an option that no checkpoint may hold, or
            ``info`` has what cannot be read again.

    >>> from segup import create_model
    >>> model = create_model("resnet18", num_classes=4, pretrained=False, widths=[8, 8, 8, 8, 8])
    >>> checkpoint_entry(model, {"scores": {"miou": float("nan")}})
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: info['scores'] cannot be stored: it holds nan, which is no number
      try: plain values: texts, numbers, True, False, None, and lists and dicts of them
    """
    model.check_as_built()
    check_storable(model.spec)
    return {"format": FORMAT, "model": model.spec, **{key: _storable(key, one) for key, one in (info or {}).items()}}


def _storable(key: str, value: Any) -> Any:
    """Return a value of ``info`` as it is read again."""
    try:
        check_plain(value, leaf=lambda one: isinstance(one, np.generic))
        plain = _of_python(value)
        check_plain(plain)
    except ConfigError as cause:
        raise ConfigError(
            f"info['{key}'] cannot be stored: {cause}\n"
            f"  try: plain values: texts, numbers, True, False, None, and lists and dicts of them"
        ) from cause
    if key in _OWN:
        raise ConfigError(
            f"info['{key}'] cannot be stored: a checkpoint's own '{key}' has this name\n  try: another name"
        )
    return plain


def _of_python(value: Any) -> Any:
    """Return a plain value in Python's own types: a pickle of any other, such as a number of NumPy, is code."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dict):
        return {_of_python(key): _of_python(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(map(_of_python, value))
    if isinstance(value, str):
        return str.__str__(value)
    own = next((kind for kind in (bool, int, float) if isinstance(value, kind)), None)
    return value if own is None else own(value)


@annotated
def save_model(model: SegmentationModel, path: str | Path, info: Mapping[str, Any] | None = None) -> None:
    """Write a model so that :func:`load_model` can open it; ``info``, plain values, is stored beside it.

    Raises:
        ConfigError: The model is not the one that its names build: it was rewritten, its operators were swapped, ...
        DataError: The file cannot be written. An existing file is not changed.
    """
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    buffer = io.BytesIO()
    torch.save({"segup": checkpoint_entry(model, info), "state_dict": state}, buffer)
    atomic_write(Path(path), buffer.getbuffer())


@annotated
def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return a checkpoint's content, see :func:`segup.archive.read_archive`; tensors are mapped from the file.

    Raises:
        DataError: The file is missing, damaged, or not a segup checkpoint.
    """
    if not Path(path).is_file():
        raise DataError(f"no checkpoint at {path}")
    content = read_archive(Path(path))
    entry = content.get("segup") if isinstance(content, dict) else None
    weights = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(entry, dict) or not isinstance(entry.get("model"), dict) or not isinstance(weights, dict):
        raise DataError(f"{path} is not a segup checkpoint: it has no 'segup' entry with the model's names")
    if entry.get("format") != FORMAT:
        raise DataError(
            f"{path} has checkpoint format {short(entry.get('format'))}; this version of segup reads {FORMAT}"
        )
    try:
        check_plain(entry)
    except ConfigError as cause:
        raise DataError(f"{path} is not a segup checkpoint: {cause}") from cause
    return content


def find_checkpoint(path: str | Path, which: str | None = None) -> Path:
    """Return the file of a checkpoint.

    Args:
        path: A checkpoint, or a run folder, which stands for the checkpoint in it.
        which: "last" or "best" of a run folder. None is "last", whose scores a run reports: "best" was chosen on the
            validation images that it would be scored on.

    Raises:
        DataError: Nothing is there.
        ConfigError: ``which`` is given for a file, or is neither.
    """
    path = Path(path)
    if which is not None and which not in CHECKPOINTS:
        raise ConfigError(f"checkpoint={which!r} must be {' or '.join(CHECKPOINTS)}")
    if path.is_file():
        if which is not None:
            raise ConfigError(f"{path} is a checkpoint itself: '{which}' chooses one in a run folder. Leave it out.")
        return path
    if not path.is_dir():
        raise DataError(f"no run folder or checkpoint at {path}")
    file = path / f"{which or 'last'}.ckpt"
    if not file.is_file():
        others = ", ".join(sorted(other.name for other in path.glob("*.ckpt")))
        raise DataError(
            f"{path} has no {file.name}; "
            + (f"it has {others}" if others else "it is no run folder, or its run ended before the first epoch did")
        )
    return file


def model_weights(path: str | Path) -> dict[str, Tensor]:
    """Return the weights of a checkpoint by their names in its model, which is not built.

    Raises:
        DataError: As :func:`read_checkpoint`.
    """
    return _weights(read_checkpoint(path)["state_dict"], path)


@annotated
def load_model(path: str | Path, trust: Iterable[str] = ()) -> SegmentationModel:
    """Open a checkpoint's model, in evaluation mode, on the CPU; see :func:`load_checkpoint`."""
    return load_checkpoint(path, trust).model


@annotated
def load_checkpoint(path: str | Path, trust: Iterable[str] = ()) -> Checkpoint:
    """Open a checkpoint that training or :func:`save_model` wrote.

    Args:
        path: The file.
        trust: Modules outside segup that may be imported to build the model. Importing them runs their code.

    Raises:
        DataError: The file is missing or no segup checkpoint, or its weights do not fit its model or are no numbers.
        ConfigError: The model has a part from a module that is not trusted.
    """
    content = read_checkpoint(path)
    entry = content["segup"]
    spec = entry["model"]
    check_trust(spec, trust, path)
    weights = _weights(content["state_dict"], path)
    model = _built(path, spec, weights)
    for name, own in model.state_dict().items():
        if name in weights and not torch.can_cast(weights[name].dtype, own.dtype):  # copying would drop a part of it
            raise DataError(f"{path}: the weights do not fit the model it names: {name} holds {weights[name].dtype}")
    try:
        model.load_state_dict(weights)
    except RuntimeError as cause:
        said = " ".join(str(cause).split())[:400]
        raise DataError(f"{path}: the weights do not fit the model it names: {said}") from cause
    trained = dict(model.named_parameters())  # a buffer may hold −inf: a mask of attention does
    broken = [n for n, t in model.state_dict().items() if not (t.isfinite() if n in trained else ~t.isnan()).all()]
    if broken:
        raise DataError(
            f"{path}: the weights hold NaN or infinite values, {broken[0]} among {len(broken)} such tensors"
        )
    info = {key: value for key, value in entry.items() if key not in _OWN}
    return Checkpoint(model.eval(), info)


def _weights(stored: Mapping[Any, Any], path: str | Path) -> dict[str, Tensor]:
    """Return the model's weights of a checkpoint by their names in the model."""
    if not all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in stored.items()):
        raise DataError(f"{path} is not a segup checkpoint: its state_dict must hold only tensors, by name")
    return {name.removeprefix("model."): t for name, t in stored.items() if name.startswith("model.")}


def _built(path: str | Path, spec: Mapping[str, Any], weights: Mapping[str, Tensor]) -> SegmentationModel:
    """Return the model that ``spec`` names, unless it would take more memory than its weights account for.

    What builds it makes each tensor once, and a few more to start from: four times the weights is ample.
    """
    try:
        check_storable(spec)
        family, model = family_of(spec["encoder"])
        held = size_of({name: tensor for name, tensor in weights.items() if name.startswith("encoder.")})
        with Allowance(4 * held + (_OF_A_LIBRARY if model or outside_module(family) else 2**26)):
            options = spec.get("encoder_options") or {}
            body = create_encoder(spec["encoder"], spec["in_channels"], pretrained=False, **options)
        with Allowance(4 * (size_of(weights) - held) + 2**24):
            return join_parts(body, spec)
    except (ConfigError, ShapeError) as cause:
        raise DataError(f"{path}: the model it names cannot be built: {cause}") from cause
    except (TypeError, KeyError) as cause:
        raise DataError(f"{path} is not a segup checkpoint: its model's names are incomplete ({cause})") from cause


def build_again(path: str | Path, spec: Mapping[str, Any]) -> SegmentationModel:
    """Return the model of a checkpoint whose run goes on, without its weights.

    Args:
        path: The file.
        spec: The names that the run's configuration gives, which have to be the file's.

    Raises:
        DataError: The file is not a segup checkpoint, or holds another model.
    """
    content = read_checkpoint(path)
    stored = {"neck": "none", **content["segup"]["model"]}
    ours = {**spec, "neck": stored["neck"]} if spec.get("neck", "auto") == "auto" else spec
    if json.dumps(ours, sort_keys=True) != json.dumps(stored, sort_keys=True):
        raise DataError(f"{path} contradicts itself: its configuration and its weights belong to different models")
    return _built(path, stored, _weights(content["state_dict"], path))
