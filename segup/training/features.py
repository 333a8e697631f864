"""Features once: what a frozen encoder makes of every sample is computed, kept on disk, and used by run after run."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.text import Text

from segup.atomic import atomic_write
from segup.data import SegmentationData
from segup.data.mask_checks import MaskCheck
from segup.data.records import Layout, Records
from segup.data.samples import stacked
from segup.encoders import Encoder
from segup.encoders.features import features_of
from segup.errors import ConfigError
from segup.lock import HeldError, lock
from segup.models import SegmentationModel
from segup.training.feature_files import check_room, features_folder, layout_of, read_size, sum_of

_SPLITS = ("train", "val")


class KeptFeatures(L.Callback):
    """Before training, find or compute what the encoder makes of every sample; the loaders then give that.

    Args:
        model: Its encoder is frozen.
        data: Its training and validation samples.
        masks: The check of all masks, which is done before features are computed, and is not needed where they are.
        console: Where it is told.

    Raises:
        ConfigError: The encoder is trained.
    """

    def __init__(self, model: SegmentationModel, data: SegmentationData, masks: MaskCheck, console: Console) -> None:
        check_frozen(model.encoder)
        self._model, self._data, self._masks, self._console = model, data, masks, console

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin once the weights are there, on the device that they are on."""
        keep_features(self._data, self._model, self._masks, self._console if trainer.is_global_zero else None)


def check_frozen(encoder: Encoder) -> None:
    """Raise a ConfigError unless nothing of the encoder changes in training."""
    if any(one.requires_grad for one in encoder.parameters()) or any(part.training for part in encoder.modules()):
        raise ConfigError(
            f"data.cache_features=true keeps what the encoder makes of each image, and encoder '{encoder.name}' is "
            f"trained, so that this changes.\n"
            f"  try: encoder.freeze=true, or data.cache_features=false"
        )


def keep_features(
    data: SegmentationData, model: SegmentationModel, masks: MaskCheck | None = None, console: Console | None = None
) -> list[Path]:
    """Let the loaders of ``data`` give what the encoder makes of each sample, from files that are made where missing.

    Args:
        data: After its ``setup``. A training sample is one of ``data.views`` views of its image.
        model: Its encoder is frozen. It runs on the device that it is on, in its own precision.
        masks: The check of all masks; it is passed before the features are computed.
        console: Where size and place are told.

    Returns:
        The files, of training and validation samples.

    Raises:
        ConfigError: The encoder is trained, or the files would take more than ``data.max_cache_gb`` or the disk has.
        DataError: An image or a mask cannot be read, a feature is beyond half precision, or the file system refused.
    """
    check_frozen(model.encoder)
    console, masks = console or Console(quiet=True), masks or data.mask_check()
    folder = data.cache_dir.expanduser() if data.cache_dir is not None else features_folder()
    layouts = {split: layout_of(data, model.encoder, split) for split in _SPLITS}
    files = {split: folder / f"{sum_of(data, model, split)}.features" for split in _SPLITS}
    count = f"{len(data.samples('train'))} training images × {data.views} views, {len(data.samples('val'))} to validate"

    def missing() -> list[str]:
        return [split for split in _SPLITS if not layouts[split].is_at(files[split])]

    if missing():
        with _alone_in(folder, console):
            needed = missing()  # another process may have made them meanwhile
            size = sum(layouts[split].size for split in needed)
            if needed:
                check_room(folder, size, data.max_cache_gb)
                masks.start()
                masks.wait()
                _tell(console, f"features: {count}: {read_size(size)} are computed once and kept in {folder}")
            begun = time.perf_counter()
            for split in needed:
                made = _computed(data, model.encoder, split, layouts[split])
                shown = track(made, split, len(layouts[split].records), console=console, transient=True,
                              disable=not console.is_terminal)  # fmt: skip
                layouts[split].write(files[split], shown)
                about = {"split": split, "encoder": model.spec["encoder"], "images": len(data.samples(split))}
                atomic_write(files[split].with_suffix(".json"), json.dumps(about).encode())
            _tell(console, f"features: ready after {time.perf_counter() - begun:.1f} s")
    else:
        masks.passed()
        whole = sum(layout.size for layout in layouts.values())
        _tell(console, f"features: {count}: {read_size(whole)}, as kept in {folder}")
    for split in _SPLITS:
        names, views = [pair.name for pair in data.samples(split).pairs], data.views or 1
        data.keep(split, Records(files[split], layouts[split], names, views if split == "train" else 1))
    return list(files.values())


def _computed(data: SegmentationData, encoder: Encoder, split: str, layout: Layout) -> Iterator[list[np.ndarray]]:
    weights, records = encoder.mean, iter(layout.records)
    for found in data.every_view(split):
        batch: Any = found if split == "train" else stacked(found)
        with torch.no_grad():
            features = features_of(encoder, batch["image"].to(weights.device, weights.dtype))
        kept = [one.movedim(-3, -1).cpu() for one in features]
        for image, *rest in zip(batch["image"].movedim(1, -1), batch["mask"], *kept, strict=True):
            bytes_again = (image * 255).round() if next(records)[0][0] == "uint8" else image
            yield [(one.float() if one.dtype == torch.bfloat16 else one).numpy() for one in (bytes_again, *rest)]


@contextmanager
def _alone_in(folder: Path, console: Console) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise ConfigError(
            f"the folder of features, {folder}, cannot be made: {cause.strerror}.\n"
            f"  try: data.cache_dir=DIR, or data.cache_features=false"
        ) from cause
    with ExitStack() as held:
        try:
            held.enter_context(lock(folder, patience=0.1))
        except HeldError:
            _tell(console, f"features: another process computes some in {folder}; waiting")
            held.enter_context(lock(folder, patience=math.inf))
        yield


def _tell(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)
