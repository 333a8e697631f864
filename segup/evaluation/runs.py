"""From a run folder or a checkpoint to a model that is ready to predict."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch

from segup.calls import annotated
from segup.checkpoints import find_checkpoint, load_checkpoint
from segup.conform import Signed, conform
from segup.data.labels import Labels
from segup.data.ranges import Range, check_range
from segup.errors import ConfigError, DataError, SegupError
from segup.evaluation.segment import AXES, Predictor
from segup.export import export_model, open_exported
from segup.export.exported import SUFFIXES
from segup.export.program import Output
from segup.export.write import Written
from segup.models import SegmentationModel
from segup.names import check_trust
from segup.registry import THE_FILE
from segup.stored import visible
from segup.training.config import DataConfig, Seed, in_fold


class _Labels(TypedDict):
    names: list[str]
    colors: NotRequired[Any]
    ignore_index: NotRequired[Signed]


@dataclass(frozen=True)
class OpenedRun:
    """A trained model and what is known of its training.

    Args:
        path: The checkpoint's file, or the exported one.
        model: In evaluation mode, on its device: a segmentation model, or an exported file.
        labels: The classes it was trained for.
        config: The configuration of its run; empty where the checkpoint has none.
        image_range: The values that were 0 and 1 in its training images; "dtype" where the checkpoint does not say.
    """

    path: Path
    model: Predictor
    labels: Labels
    config: Mapping[str, Any] = field(default_factory=dict)
    image_range: Range = "dtype"


@annotated
def open_run(
    path: str | Path, which: str | None = None, trust: Iterable[str] = (), device: str | torch.device = "auto"
) -> OpenedRun:
    """Open a run folder's or a file's model; nothing in the file is run.

    Args:
        path, which: See :func:`find_checkpoint`. An exported file is a model, too.
        trust: Modules outside segup that may be imported to build the model; each runs its own code. ``"."`` among them
            trusts an exported file, see :func:`segup.export.open_exported`.
        device: "auto" (a GPU where there is one; an exported file runs on the CPU), "cpu", "cuda", or torch's own.

    Raises:
        DataError: The file is missing, is not a segup checkpoint, or contradicts itself.
        ConfigError: The model has a part from a module that is not trusted, or the device is not there.
    """
    file = find_checkpoint(path, which)
    chosen = choose_device(device)
    if file.suffix.lower() in SUFFIXES:
        return _open_exported(file, THE_FILE in trust, device)
    opened = load_checkpoint(file, trust)
    config = opened.info.get("config")
    config = config if isinstance(config, dict) else {}
    layout = torch.channels_last if config.get("channels_last", True) else torch.contiguous_format
    model = opened.model.to(chosen).to(memory_format=layout)
    labels = _labels(opened.info.get("labels"), model.num_classes, file)
    return OpenedRun(file, model, labels, config, _image_range(opened.info.get("image_range"), file))


def _open_exported(file: Path, trust: bool, device: str | torch.device) -> OpenedRun:
    model = open_exported(file, trust, "cpu" if str(device) == "auto" else str(device))
    about, labels = model.about, _labels(model.about.get("labels"), model.num_classes, file)
    return OpenedRun(file, model, labels, about.get("config", {}), _image_range(about.get("image_range"), file))


def export_run(
    path: str | Path,
    out: Path,
    output: Output = "logits",
    which: str | None = None,
    trust: Iterable[str] = (),
    check: bool = True,
    overwrite: bool = False,
) -> Written:
    """Write a run's model as one file, see :func:`segup.export.export_model`, with what is known of its training.

    Args:
        path, which, trust: See :func:`open_run`.
        out, output, check, overwrite: See :func:`segup.export.export_model`.

    Raises:
        DataError, ConfigError: Of both.
    """
    if find_checkpoint(path, which).suffix.lower() in SUFFIXES:
        raise ConfigError(
            f"{path} is an exported file already.\n"
            f"  try: segup export RUN --out {shlex.quote(str(out))}, a run or checkpoint"
        )
    opened = open_run(path, which, trust, "cpu")
    labels = {"names": list(opened.labels.names), "colors": [list(color) for color in opened.labels.colors]}
    trained = {
        "labels": {**labels, "ignore_index": opened.labels.ignore_index},
        "image_range": opened.image_range if opened.image_range == "dtype" else list(opened.image_range),
        "config": {key: opened.config[key] for key in ("seed", "data", "metric") if key in opened.config},
    }
    assert isinstance(opened.model, SegmentationModel)  # what a checkpoint holds
    return export_model(opened.model, out, output, trained=trained, check=check, overwrite=overwrite)


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """Return the device called ``name``; "auto" is a GPU where there is one.

    Raises:
        ConfigError: There is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device={name}: torch {torch.__version__} sees no GPU here.\n  try: device='cpu' (--device cpu)."
        )
    return device


def stored_data(run: OpenedRun, trust: Iterable[str] = ()) -> dict[str, Any]:
    """Return the data configuration that a run was trained with.

    Raises:
        ConfigError: The checkpoint has none, or its data set comes from a module that is not trusted.
    """
    stored = run.config.get("data")
    if not isinstance(stored, dict) or not stored:
        raise ConfigError(f"{run.path} holds a model without its run's data: give data=... and data.root=...")
    check_trust(stored.get("name"), trust, run.path)
    conform(DataConfig, stored, "data")
    return {**stored, "download": False} if "download" in stored else dict(stored)  # fetching is for who asks


def in_own_fold(run: OpenedRun, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a data configuration that says on which of its folds a run is scored: not on one that it was trained on.

    In as many folds as the run's it is the run's own, and else the one that the run's seed chooses.

    Raises:
        ConfigError: A fold that is not there.
    """
    folds = data.get("folds")
    if folds is None:
        return dict(data)
    stored = run.config.get("data")
    if data.get("fold") is None and isinstance(stored, dict) and stored.get("folds") == folds:
        data = {**data, "fold": stored.get("fold")}
    conform(DataConfig, {"folds": folds, "fold": data.get("fold")}, "data")
    return in_fold(data, conform(Seed, run.config.get("seed", 0), "seed"))


def stored_metrics(run: OpenedRun, trust: Iterable[str] = ()) -> dict[str, Any]:
    """Return the configuration of the metrics that a run was scored with beside segup's own.

    Raises:
        ConfigError: One of them comes from a module that is not trusted.
    """
    stored = run.config.get("metric")
    check_trust(stored, trust, run.path)
    return dict(stored) if isinstance(stored, dict) else {}


def trained_reflections(run: OpenedRun) -> tuple[str, ...]:
    """Return the reflections that a run's training drew, which the model knows: the ``tta`` of its ``Inference``.

    Raises:
        ConfigError: It drew none, or the checkpoint does not say.
    """
    data = run.config.get("data")
    augment = data.get("augment") if isinstance(data, dict) else None
    chances = {name: augment.get(f"{name}_flip") for name in AXES} if isinstance(augment, dict) else {}
    drawn = tuple(name for name, chance in chances.items() if isinstance(chance, int | float) and chance > 0)
    if not drawn:
        told = ", ".join(f"data.augment.{name}_flip={visible(str(chance))}" for name, chance in chances.items())
        raise ConfigError(
            f"{run.path}: --tta averages over the reflections that the training drew, and it knows of none"
            f"{f' ({told})' if told else ''}.\n"
            f"  try: leave --tta out, or in Python Inference(tta=('horizontal',))."
        )
    return drawn


def _image_range(stored: Any, path: Path) -> Range:
    try:
        return check_range(stored) or "dtype"
    except ConfigError as cause:
        raise DataError(f"{path}: its image_range cannot be read: {stored!r}") from cause


def _labels(stored: Any, num_classes: int, path: Path) -> Labels:
    """Return the classes of a checkpoint; where it has none, they are called by their ids."""
    classes = max(2, num_classes)
    if stored is None:
        return Labels(tuple(f"class {index}" for index in range(classes)), ignore_index=-1)
    try:
        held: _Labels = conform(_Labels, stored, "labels")
        names = held["names"]
        if len(names) == classes:
            return Labels(tuple(names), held.get("colors") or (), held.get("ignore_index", -1))
    except SegupError as cause:
        raise DataError(f"{path}: its labels cannot be read: {cause}") from cause
    told = ", ".join(names[:12])
    raise DataError(f"{path}: its labels name {len(names)} classes ({told}), its model has num_classes={num_classes}")
