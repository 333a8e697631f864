"""What a run has found in its data, said before it trains."""

import math
from collections.abc import Iterable

import numpy as np

from segup.data.masks import decode_mask
from segup.data.module import SegmentationData
from segup.data.samples import Samples
from segup.errors import DataError
from segup.stored import visible
from segup.tables import counted, first_of

COUNTED = 64
"""Masks that are read to tell the classes' shares: enough to see what is rare, few enough not to wait for."""
_NAMED = 8


def found_text(data: SegmentationData, processes: int = 1, weights: Iterable[float] | None = None) -> list[str]:
    """Return what was found, in lines: images, classes, range, steps of an epoch.

    Args:
        data: After its ``setup``.
        processes: That train together.
        weights: Of the classes in the loss.

    >>> from segup.data import Labels, create_dataset
    >>> cells = create_dataset("cells", Labels(("background", "cytoplasm", "nucleus")))
    >>> for line in found_text(SegmentationData(cells, crop_size=(33, 47))):
    ...     print(line)
    images: 7 train, 3 val; these validate: frame_3, frame_6, frame_9
    pixels of the training masks: background 54.5 %, cytoplasm 39 %, nucleus 6.48 %
    image values: 0…255 (8-bit; data.image_range)
    an epoch: 25 steps of 8 crops, 200 crops of 7 images
    """
    train, val = data.samples("train"), data.samples("val")
    counts = f"{len(train)} train, {len(val)} val{_test(data)}"
    return [
        f"images: {counts}; these validate: {first_of((visible(pair.name) for pair in val.pairs), _NAMED)}",
        _classes(train, data, weights),
        data.image_range_text,
        _epoch(data, processes),
    ]


def _test(data: SegmentationData) -> str:
    """Return the number of test images; what is wrong with them stops no training."""
    if "test" not in data.source.splits():
        return ""
    try:
        return f", {len(data.source.pairs('test'))} test"
    except DataError as fault:
        return f" (no test: {visible(str(fault).splitlines()[0])})"


def _classes(train: Samples, data: SegmentationData, weights: Iterable[float] | None) -> str:
    labels = data.labels
    chosen = np.unique(np.linspace(0, len(train) - 1, min(COUNTED, len(train))).astype(int)).tolist()
    counts, ignored = np.zeros(labels.num_classes, dtype=np.int64), 0
    for number in chosen:
        mask = train.pairs[number].mask
        if mask is not None:
            ids = decode_mask(mask, data.code)
            counts += np.bincount(ids[ids != labels.ignore_index], minlength=labels.num_classes)
            ignored += int((ids == labels.ignore_index).sum())
    total = max(1, int(counts.sum()))
    given = [f" (weight {float(weight):.3g})" for weight in weights] if weights is not None else [""] * len(counts)
    shares = [
        f"{visible(name)} {100 * count / total:.3g} %{weight}"
        for name, count, weight in zip(labels.names, counts.tolist(), given, strict=False)
    ]
    of = f"{len(chosen)} of the training masks" if len(chosen) < len(train) else "the training masks"
    rest = f"; ignored {100 * ignored / (total + ignored):.3g} %" if ignored else ""
    return f"pixels of {of}: {', '.join(shares)}{rest}"


def _epoch(data: SegmentationData, processes: int) -> str:
    samples, together, images = data.epoch_samples, data.batch_size * processes, len(data.samples("train"))
    batches = max(1, samples // together)
    left = samples - batches * together
    several = f"{data.accumulate} batches of " if data.accumulate > 1 else ""
    steps = math.ceil(batches / data.accumulate)
    of = f"{several}{together} crops, {batches * together} crops of {counted(images, 'image')}"
    said = f"an epoch: {counted(steps, 'step')} of {of}"
    if rest := batches % data.accumulate:
        said += f"; the last step has {rest} of {data.accumulate} batches"
    if left > 0:
        said += f"; {left} of {samples} are left out, since batches are full"
    return said
