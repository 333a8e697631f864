"""The same validation crops through every operator: where they disagree most is where they can be told apart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segup.data.labels import Labels
from segup.data.module import SegmentationData
from segup.data.samples import Sample
from segup.evaluation.segment import Predictor, segment

Ids = NDArray[np.integer]
PIXELS = 2_000_000
"""Of validation images that are predicted to find the crops; at least one image is, however large."""
CROP = (112, 144)
"""Height and width of a crop: small enough that single pixels can be seen."""


@dataclass(frozen=True)
class Crop:
    """One place in one image.

    Args:
        name: Of the image.
        top, left: Of the place, in pixels.
        image: ``(C, h, w)`` in 0 … 1.
        truth: ``(h, w)`` class ids.
        predictions: For each row, ``(h, w)`` class ids.
    """

    name: str
    top: int
    left: int
    image: NDArray[np.float32]
    truth: Ids
    predictions: Mapping[str, Ids]


def looked_at(data: SegmentationData, pixels: int = PIXELS) -> list[Sample]:
    """Return validation samples spread evenly over the set, as many as ``pixels`` allow and one at least.

    How many that is follows from the first image's size.
    """
    samples = data.samples("val")
    first = samples[0]
    count = max(1, min(len(samples), pixels // first["mask"].numel()))
    places = np.linspace(0, len(samples) - 1, count).round().astype(int)
    return [first if place == 0 else samples[int(place)] for place in places]


def predictions(model: Predictor, samples: Iterable[Sample]) -> list[Ids]:
    """Return the class ids of each sample at its own size."""
    return [segment(model, sample["image"]).numpy() for sample in samples]


def disagreement(maps: Sequence[Ids], truth: Ids, labels: Labels) -> NDArray[np.float32]:
    """Return for each pixel the share of pairs of predictions that differ there; of one alone, where it is wrong.

    A pixel that does not count (``ignore_index``) is 0.

    >>> labels = Labels(("a", "b"))
    >>> truth = np.array([[0, 0, 255]])
    >>> disagreement([np.array([[0, 0, 0]]), np.array([[0, 1, 1]])], truth, labels).tolist()
    [[0.0, 1.0, 0.0]]
    """
    valid = truth != labels.ignore_index
    if len(maps) == 1:
        return ((maps[0] != truth) & valid).astype(np.float32)
    counts = np.stack([sum((ids == c).astype(np.int64) for ids in maps) for c in range(labels.num_classes)])
    pairs = len(maps) * (len(maps) - 1)
    same = (counts * (counts - 1)).sum(axis=0)
    return ((1 - same / pairs) * valid).astype(np.float32)


def choose_crops(
    samples: Sequence[Sample], found: Mapping[str, Sequence[Ids]], labels: Labels, count: int = 3
) -> list[Crop]:
    """Return the crops in which the rows disagree most, none overlapping another, of different images where there are.

    Args:
        samples: Those that were predicted.
        found: For each row, its class ids of each sample.
        labels: The classes.
        count: How many crops at most; one without any disagreement is left out, unless it is the first.
    """
    maps = [
        disagreement([ids[place] for ids in found.values()], sample["mask"].numpy(), labels)
        for place, sample in enumerate(samples)
    ]
    chosen: list[tuple[int, int, int]] = []
    for _ in range(count):
        fresh = [place for place in range(len(samples)) if place not in {one for one, _, _ in chosen}]
        best = max((_best_window(maps[place], place) for place in fresh or range(len(samples))), default=None)
        if best is None or (best[0] <= 0 and chosen):
            break
        _, place, top, left = best
        chosen.append((place, top, left))
        maps[place][top : top + CROP[0], left : left + CROP[1]] = -1e6  # nothing makes up for an overlap
    return [_crop(samples[place], place, top, left, found) for place, top, left in chosen]


def _best_window(values: NDArray[np.float32], place: int) -> tuple[float, int, int, int]:
    height, width = (min(side, whole) for side, whole in zip(CROP, values.shape, strict=True))
    totals = window_sums(values, height, width)
    top, left = np.unravel_index(int(totals.argmax()), totals.shape)
    return float(totals[top, left]) / (height * width), place, int(top), int(left)


def window_sums(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.floating]:
    """Return the sum over each window, by its top left corner."""
    sums = cv2.integral(values, sdepth=cv2.CV_64F)
    return sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]


def _crop(sample: Sample, place: int, top: int, left: int, found: Mapping[str, Sequence[Ids]]) -> Crop:
    window = (slice(top, top + CROP[0]), slice(left, left + CROP[1]))
    return Crop(
        sample["name"],
        top,
        left,
        sample["image"].numpy()[(slice(None), *window)],
        sample["mask"].numpy()[window],
        {name: ids[place][window] for name, ids in found.items()},
    )
