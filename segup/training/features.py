"""Features once: what a frozen encoder makes of every sample is computed, kept on disk, and used by run after run."""

import json
import math
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import lightning as L
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.text import Text

from segup.atomic import atomic_write
from segup.data import SegmentationData
from segup.data.mask_checks import MaskCheck
from segup.data.records import Field, RecordLayout, Records
from segup.data.samples import identity_of, stacked
from segup.encoders import Encoder
from segup.encoders.features import feature_shapes, features_of
from segup.errors import ConfigError
from segup.host import cache_folder
from segup.lock import HeldError, lock
from segup.models import SegmentationModel
from segup.registry import outside_module

_PACKAGES = ("torch", "numpy", "pillow", "albumentations")
_CODE = ("data/**/*.py", "encoders/**/*.py", "windows.py")
"""Of segup, what decides what is kept."""


def features_folder() -> Path:
    """Return where features are kept unless ``data.cache_dir`` says otherwise: below the person's folder of caches."""
    return cache_folder() / "features"


def layout_of(data: SegmentationData, encoder: Encoder, split: str) -> RecordLayout:
    """Return what the file of a split holds, known before anything is computed."""
    samples, ignored = data.samples(split), data.labels.ignore_index
    ids = "uint8" if data.labels.num_classes <= 256 and 0 <= ignored <= 255 else "int32"
    shapes: dict[tuple[int, int], list[Field]] = {}
    records = []
    for number in range(len(samples)):
        size = data.training_size() if split == "train" else samples.size(number)
        if size not in shapes:
            found = [(windows, *cells, channels) for windows, channels, *cells in feature_shapes(encoder, size)]
            maps = len(encoder.channels)
            shapes[size] = [("float16" if place < maps else "int32", shape) for place, shape in enumerate(found)]
        pixels = "uint8" if samples.has_bytes(number) else "float32"
        record = [(pixels, (*size, data.in_channels)), (ids, size), *shapes[size]]
        records += [record] * ((data.views or 1) if split == "train" else 1)
    return RecordLayout(records)


def sum_of(data: SegmentationData, model: SegmentationModel, split: str) -> str:
    """Return the sum of all that decides the file of a split."""
    encoder, samples = model.encoder, data.samples(split)
    code, versions = _code_of(encoder, outside_module(str(model.spec["encoder"])))
    known: list[Any] = [
        *(version(name) for name in _PACKAGES), cv2.__version__, *versions, model.spec["encoder"],
        sorted(model.spec["encoder_options"].items()), encoder.channels, encoder.strides, str(encoder.pyramid.accepted),
        encoder.rows_put_back, encoder.max_tokens, identity_of(samples),
    ]  # fmt: skip
    if split == "train":
        known += [data.training_size(), asdict(data.augment), data.views]
    total = blake2b(repr(known).encode(), digest_size=16)
    for file in code:
        total.update(file.read_bytes())
    for name, tensor in [*encoder.named_parameters(), *encoder.named_buffers()]:
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def _code_of(encoder: Encoder, builder: str | None) -> tuple[list[Path], list[Any]]:
    """Return the files that decide what the encoder does and what a sample is, and the versions of their packages.

    Args:
        encoder: Its layers' modules count; where one is in no installed package, all loaded ones that are in none.
        builder: The module from outside segup that makes it, or None.
    """
    package = Path(__file__).parents[1]
    parts = {type(part).__module__ for part in encoder.modules()} | ({builder} if builder else set())
    names = {name for name in parts if name in sys.modules}
    outside = _uninstalled()  # where one counts, what it uses does, too: which of the others, no module says
    theirs = {file for name in names if (file := getattr(sys.modules[name], "__file__", None)) is not None}
    theirs |= set(outside.values()) if names & outside.keys() else set()
    above = sorted({name.partition(".")[0] for name in names})
    ours = [file for pattern in _CODE for file in package.glob(pattern)]
    return sorted({*map(Path, theirs), *ours}), [getattr(sys.modules[name], "__version__", name) for name in above]


def _uninstalled() -> dict[str, str]:
    """Return the files of all loaded modules that belong to no installed package, and not to segup."""
    packages = {"site-packages", "dist-packages"}  # of this environment, the person's, and the system's
    library = tuple({sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")})
    found = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if file is None or name == "__main__" or name.partition(".")[0] == "segup" or not Path(file).is_file():
            continue
        if not file.startswith(library) and not packages & {*Path(file).parts}:
            found[name] = file
    return found


def check_room(folder: Path, size: int, most_gb: float) -> None:
    """Raise a ConfigError where ``size`` more bytes are too many for the folder or for its disk."""
    held = sum(file.stat().st_size for file in folder.glob("*.features"))
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ConfigError(
            f"the features take {read_size(size)}, and the disk of {folder} has {read_size(free)} left.\n"
            f"  try: data.cache_dir=DIR on another disk, data.views=1, or data.cache_features=false"
        )
    if held + size > most_gb * 1e9:
        before = f", which holds {read_size(held)} of earlier ones" if held else ""
        raise ConfigError(
            f"the features take {read_size(size)} in {folder}{before}, and data.max_cache_gb={most_gb:g} allows less.\n"
            f"  try: data.max_cache_gb={-(-(held + size) // 10**9)}"
            + (f", or remove files from {folder}" if held else ", data.views=1")
        )


def read_size(size: int) -> str:
    """Return bytes as a person reads them."""
    return f"{size / 1e9:.2f} GB" if size >= 5e8 else f"{size / 1e6:.1f} MB"


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


def _computed(data: SegmentationData, encoder: Encoder, split: str, layout: RecordLayout) -> Iterator[list[np.ndarray]]:
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
