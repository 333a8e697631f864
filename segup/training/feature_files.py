"""The files of features: where they are, what they hold, and the sum by which they are found.

A file belongs to one sum over all that decides what is in it: the encoder's weights and code, the maps that it returns,
the images and masks, and how training makes views of them. So no file is ever out of date: what changes has another.
"""

import os
import shutil
import sys
from dataclasses import asdict
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import torch

from segup.data import SegmentationData
from segup.data.identity import identity_of
from segup.data.records import Field, Layout
from segup.encoders import Encoder
from segup.encoders.features import feature_shapes
from segup.errors import ConfigError
from segup.models import SegmentationModel

_PACKAGES = ("torch", "numpy", "pillow", "albumentations")
_CODE = ("data/**/*.py", "encoders/**/*.py", "windows.py")
"""Of segup, what decides what is kept."""


def features_folder() -> Path:
    """Return where features are kept unless ``data.cache_dir`` says otherwise: below the person's folder of caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segup" / "features"


def layout_of(data: SegmentationData, encoder: Encoder, split: str) -> Layout:
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
    return Layout(records)


def sum_of(data: SegmentationData, model: SegmentationModel, split: str) -> str:
    """Return the sum of all that decides the file of a split."""
    encoder, samples = model.encoder, data.samples(split)
    code, versions = _code_of(encoder)
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


def _code_of(encoder: Encoder) -> tuple[list[Path], list[Any]]:
    """Return the files that decide what the encoder does and what a sample is, and the versions of their packages."""
    package = Path(__file__).parents[1]
    names = {name for name in {type(part).__module__ for part in encoder.modules()} if name in sys.modules}
    theirs = {file for name in names if (file := getattr(sys.modules[name], "__file__", None)) is not None}
    above = sorted({name.partition(".")[0] for name in names})
    ours = [file for pattern in _CODE for file in package.glob(pattern)]
    return sorted({*map(Path, theirs), *ours}), [getattr(sys.modules[name], "__version__", name) for name in above]


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
