"""Samples with what an encoder made of them, in one file that is mapped into memory."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from segup.atomic import atomic_stream
from segup.data.images import to_tensor
from segup.data.samples import Sample
from segup.data.sampling import Draw
from segup.errors import DataError

_ALIGNED = 64
Field = tuple[str, tuple[int, ...]]
"""Type and shape of an array."""


@dataclass(frozen=True)
class RecordLayout:
    """What a file of records holds: for each record an image, a mask, and features.

    Args:
        records: The fields of each, in order: image ``(H, W, C)``, mask ``(H, W)``, features ``(windows, h, w, C)``.
    """

    records: Sequence[Sequence[Field]]

    @cached_property
    def starts(self) -> list[int]:
        """The first byte of each record, and the end of the file."""
        sizes = (sum(_aligned(_bytes(kind, shape)) for kind, shape in record) for record in self.records)
        return list(accumulate(sizes, initial=0))

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.starts[-1]

    def is_at(self, path: Path) -> bool:
        """Return whether there is a file of that size."""
        return path.is_file() and path.stat().st_size == self.size

    def arrays(self, number: int, content: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the arrays of a record, which lie in ``content``, the file's bytes."""
        start = self.starts[number]
        for kind, shape in self.records[number]:
            stop = start + _bytes(kind, shape)
            yield content[start:stop].view(kind).reshape(shape)
            start += _aligned(stop - start)

    def write(self, path: Path, records: Iterable[Sequence[np.ndarray]]) -> None:
        """Write the records, in order, to a file that is whole or not there.

        Raises:
            DataError: An array does not fit its field: it has another shape, or a number beyond half precision; or the
                file system refused.
        """
        with atomic_stream(path) as file:
            for fields, arrays in zip(self.records, records, strict=True):
                for (kind, shape), array in zip(fields, arrays, strict=True):
                    size = file.write(_as_stored(array, kind, shape))
                    file.write(bytes(_aligned(size) - size))


def _as_stored(array: np.ndarray, kind: str, shape: tuple[int, ...]) -> memoryview:
    if array.shape != shape:
        raise DataError(f"a map of the encoder has shape {array.shape}, and its sizes say {shape}")
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(array, dtype=kind)
    if stored.dtype == np.float16 and not np.isfinite(stored).all():
        raise DataError(
            f"a map of the encoder holds {np.abs(array).max():.4g}, and half precision, in which features are kept, "
            f"ends at 65504.\n  try: data.cache_features=false"
        )
    return stored.data


def _bytes(kind: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * np.dtype(kind).itemsize


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


@dataclass
class Records(Dataset[Sample]):
    """The samples of one split, with their features; nothing is decoded, transformed or encoded.

    Args:
        path: The file.
        layout: What it holds: for each image one record, or ``views`` of them, one after the other.
        names: Of the images.
        views: Of each image, among which a draw chooses.
    """

    path: Path
    layout: RecordLayout
    names: Sequence[str]
    views: int = 1

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, key: int | Draw) -> Sample:
        image, record = (
            (key.image, key.image * self.views + key.view(self.views)) if isinstance(key, Draw) else (key, key)
        )
        pixels, mask, *features = self.layout.arrays(record, self._content)
        return Sample(
            image=to_tensor(pixels),
            mask=torch.from_numpy(mask.astype(np.int64)),
            name=self.names[image],
            features=[torch.from_numpy(one).movedim(-1, -3) for one in features],
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker process gets: it maps the file itself."""
        return {key: value for key, value in self.__dict__.items() if key != "_content"}

    @cached_property
    def _content(self) -> np.ndarray:
        return np.memmap(self.path, np.uint8, "c")  # torch warns of memory that cannot be written
