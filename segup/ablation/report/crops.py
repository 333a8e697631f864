"""Parts of validation images: crops in which the operators disagree most, and those that a row does worst on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from segup.ablation.report.style import new_figure
from segup.data.labels import Labels
from segup.data.module import SegmentationData
from segup.data.samples import Sample
from segup.evaluation.segment import Predictor, segment
from segup.metrics.boundary import label_map, near_boundary
from segup.stored import visible
from segup.training.pictures import colored, error_map, to_rgb

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


COUNT = 2
ZOOM = (56, 72)
"""Height and width of the part of an image that is shown enlarged."""
NEAR = 5
"""Pixels from the true boundary at which a wrong pixel counts for choosing that part."""


@dataclass(frozen=True)
class Worst:
    """One image that a row does badly on.

    Args:
        image: ``(C, H, W)`` in 0 … 1, the whole of it.
        miou: Of this image.
        zoom: The part in which most pixels near the true boundary are wrong.
    """

    image: NDArray[np.float32]
    miou: float
    zoom: Crop


def worst_images(samples: Sequence[Sample], found: Sequence[Ids], labels: Labels, count: int = COUNT) -> list[Worst]:
    """Return the images with the lowest mIoU, the lowest first.

    Args:
        samples: Those that were predicted.
        found: The class ids of each.
        labels: The classes.
        count: How many at most; an image without a pixel that counts is left out.
    """
    scores = {
        place: score
        for place, (sample, ids) in enumerate(zip(samples, found, strict=True))
        if (score := _miou(ids, sample["mask"].numpy(), labels)) is not None
    }
    chosen = sorted(scores, key=lambda place: (scores[place], samples[place]["name"]))[:count]
    return [_worst(samples[place], found[place], scores[place], labels) for place in chosen]


def worst_figure(found: Sequence[Worst], labels: Labels) -> Figure:
    """Return a line for each image: the whole with the part marked; the part, the prediction and what is wrong in it.

    A white line with a black edge is the true boundary.
    """
    figure = new_figure(7.6, 1.55 * len(found))
    grid = figure.subplots(len(found), 4, squeeze=False, width_ratios=(1.6, 1, 1, 1))
    for axes, one in zip(grid, found, strict=True):
        crop, ids = one.zoom, next(iter(one.zoom.predictions.values()))
        valid = crop.truth != labels.ignore_index
        wrong = (ids != crop.truth) & valid
        shown = (
            (f"{visible(crop.name)}, mIoU {one.miou:.3f}", to_rgb(one.image)),
            (f"at {crop.top}, {crop.left}", to_rgb(crop.image)),
            ("prediction", colored(ids, labels)),
            (f"{wrong.sum() / max(1, valid.sum()):.1%} wrong", error_map(crop.image, wrong, valid)),
        )
        for place, (ax, (title, picture)) in enumerate(zip(axes, shown, strict=True)):
            ax.imshow(picture, interpolation="nearest")
            ax.set_title(title, fontsize=7.5)
            ax.set_axis_off()
            if place == 0:
                height, width = crop.truth.shape
                for color, line in (("black", 2.4), ("white", 1.2)):
                    corner = (crop.left - 0.5, crop.top - 0.5)
                    ax.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=color, linewidth=line))
            else:
                for color, line in (("black", 1.8), ("white", 0.8)):
                    _outline(ax, crop.truth, labels, color, line)
    return figure


def _outline(axes: object, truth: Ids, labels: Labels, color: str, line: float) -> None:
    """Draw the boundary of each class between its pixels and the others'."""
    for number in np.unique(truth[(truth >= 0) & (truth < labels.num_classes)])[1:].tolist():
        mask = (truth == number).astype(float)
        if 0 < mask.mean() < 1:
            axes.contour(mask, [0.5], colors=color, linewidths=line)  # type: ignore[attr-defined]


def _miou(ids: Ids, truth: Ids, labels: Labels) -> float | None:
    valid = truth != labels.ignore_index
    shares = []
    for number in range(labels.num_classes):
        one, other = (ids == number) & valid, (truth == number) & valid
        if (either := int((one | other).sum())) > 0 and number != labels.ignore_index:
            shares.append(int((one & other).sum()) / either)
    return sum(shares) / len(shares) if shares else None


def _worst(sample: Sample, ids: Ids, miou: float, labels: Labels) -> Worst:
    truth, image = sample["mask"].numpy(), sample["image"].numpy()
    valid = truth != labels.ignore_index
    near = near_boundary(label_map(truth, valid, labels.num_classes), NEAR, frame=False)
    wrong = (ids != truth) & valid
    top, left = _densest((wrong & near if (wrong & near).any() else wrong).astype(np.float32))
    window = (slice(top, top + ZOOM[0]), slice(left, left + ZOOM[1]))
    zoom = Crop(sample["name"], top, left, image[(slice(None), *window)], truth[window], {"": ids[window]})
    return Worst(image, miou, zoom)


def _densest(values: NDArray[np.float32]) -> tuple[int, int]:
    height, width = (min(side, whole) for side, whole in zip(ZOOM, values.shape, strict=True))
    totals = window_sums(values, height, width)
    top, left = (int(place) for place in np.unravel_index(int(totals.argmax()), totals.shape))
    inside = np.argwhere(values[top : top + height, left : left + width])
    if len(inside):  # of windows that hold the same, the one with it in the middle
        middle = inside.mean(0) + np.array([top - height / 2, left - width / 2])
        centred = tuple(int(place) for place in np.clip(middle.round(), 0, np.array(totals.shape) - 1))
        top, left = centred if totals[centred] >= totals[top, left] else (top, left)
    return top, left
