"""Where labels meet: the bands of Boundary IoU and of the trimap, and the BF score of one image.

All classes of a label map (class id + 1, and 0 where a pixel does not count) are treated at once: a pixel is near a
boundary when the largest or the smallest label around it differs from its own, so one dilation and one erosion serve
any number of classes. A pixel that does not count (an ignored one) is in no band and makes no boundary: along it,
nothing is known.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

LabelMap: TypeAlias = NDArray[np.integer]
Mask: TypeAlias = NDArray[np.bool_]


def label_map(labels: NDArray[np.integer], valid: Mask, num_classes: int) -> LabelMap:
    """Return class ids + 1, and 0 where a pixel does not count, in the smallest unsigned dtype.

    >>> label_map(np.array([[0, 2, 255]]), np.array([[True, True, False]]), num_classes=3)
    array([[1, 3, 0]], dtype=uint8)
    """
    small: LabelMap = labels.astype(np.min_scalar_type(num_classes))
    return (small + 1) * valid


Counts: TypeAlias = NDArray[np.int64]


def band_width(shape: tuple[float, ...], ratio: float) -> int:
    """Return the width of Boundary IoU's band in pixels: ``ratio`` of the diagonal, rounded, at least 1.

    >>> band_width((210, 576), 0.02), band_width((5, 5), 0.02)
    (12, 1)
    """
    return max(1, round(ratio * math.hypot(*shape)))


def squared_tolerance(shape: tuple[float, ...], ratio: float) -> int:
    """Return the largest squared pixel distance that is within ``ratio`` of the diagonal.

    In squares all distances are integers, so that a distance exactly at the tolerance is within it.

    >>> squared_tolerance((240, 320), 0.0075)  # 0.75 % of a diagonal of 400 is 3 pixels
    9
    """
    return math.floor(ratio**2 * sum(side**2 for side in shape) + 1e-9)


def near_boundary(pixels: LabelMap, distance: int, *, frame: bool) -> Mask:
    """Return the counted pixels with a counted pixel of another label at most ``distance`` rows and columns away.

    Args:
        pixels: Label map ``(H, W)``.
        distance: In pixels, at least 1; diagonal steps count as one.
        frame: Whether what lies outside the image counts as another label.

    Returns:
        ``(H, W)``; with ``frame`` and all counted, each class's part is its mask minus the mask's erosion by a 3×3
        kernel ``distance`` times, after a 1-pixel zero pad.

    >>> near_boundary(np.array([[1, 1, 1, 2, 2]], np.uint8), 1, frame=False).astype(int)
    array([[0, 0, 1, 1, 0]])
    """
    square = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    lowered = pixels - 1  # wraps: 0, the smallest value, becomes the largest
    near = (cv2.dilate(pixels, square) != pixels) | (cv2.erode(lowered, square) != lowered)
    if frame:
        near[:distance] = near[-distance:] = True
        near[:, :distance] = near[:, -distance:] = True
    return near & (pixels > 0)


def boundary_counts(prediction: LabelMap, target: LabelMap, num_classes: int, ratio: float) -> tuple[Counts, Counts]:
    """Return the pixels in which the boundary bands of prediction and target intersect, and their union, per class.

    Args:
        prediction: Label map ``(H, W)``.
        target: Label map ``(H, W)``, 0 at the same pixels.
        num_classes: K.
        ratio: Width of the band as a share of the image's diagonal.

    Returns:
        Intersections ``(K,)`` and unions ``(K,)``.

    Source: Cheng et al., "Boundary IoU", arXiv 2103.16562, section 4.

    >>> stripes = np.array([[1, 1, 2, 2]] * 3, np.uint8)
    >>> boundary_counts(stripes[:, ::-1], stripes, 2, 0.02)
    (array([0, 0]), array([12, 12]))
    """
    width = band_width(target.shape, ratio)
    predicted = prediction * near_boundary(prediction, width, frame=True)
    true = target * near_boundary(target, width, frame=True)
    intersection, *sizes = (
        np.bincount(band.ravel(), minlength=num_classes + 1)[1:]
        for band in (true * (predicted == true), predicted, true)
    )
    return intersection, sum(sizes) - intersection


def trimap_counts(
    prediction: LabelMap, target: LabelMap, num_classes: int, widths: Sequence[int]
) -> tuple[Counts, Counts]:
    """Return intersection and union per class, counted only near the true boundary, for each width of that band.

    The band of width w holds the pixels with a pixel of another true class at most w rows and columns away, on both
    sides of the boundary; the image's edge is no boundary. Bands lie within each other, so every pixel is counted once,
    at the narrowest band that holds it.

    Args:
        prediction: Label map ``(H, W)``.
        target: Label map ``(H, W)``, 0 at the same pixels.
        num_classes: K.
        widths: In pixels, rising.

    Returns:
        Intersections and unions, both ``(len(widths), K)``.

    Source: Kohli, Ladický & Torr, "Robust higher order potentials for enforcing label consistency", IJCV 2009: the
    trimap; Chen et al., "DeepLab", arXiv 1606.00915, section 4: IoU in it as it grows.

    >>> stripes = np.array([[1, 1, 1, 2, 2]], np.uint8)
    >>> inside, union = trimap_counts(np.array([[1, 1, 2, 2, 1]], np.uint8), stripes, 2, [1, 3])
    >>> inside.tolist(), union.tolist()
    ([[0, 1], [2, 1]], [[1, 2], [4, 3]])
    """
    level = np.full(target.shape, len(widths), np.int64)
    for place in reversed(range(len(widths))):
        level[near_boundary(target, widths[place], frame=False)] = place
    side = num_classes + 1
    within = level < len(widths)
    bins, predicted, true = level[within] * side, prediction[within], target[within]
    intersection, *sizes = (
        np.bincount(bins + classes, minlength=len(widths) * side).reshape(-1, side)[:, 1:].cumsum(axis=0)
        for classes in (true * (predicted == true), predicted, true)
    )
    return intersection, sum(sizes) - intersection


def bf_score(prediction: LabelMap, target: LabelMap, num_classes: int, present: list[int], ratio: float) -> float:
    """Return the BF score of one image: the mean boundary F1 of the classes in its target or prediction.

    A boundary pixel of a class is one with a pixel of another class among its eight neighbours; the image's edge is
    no boundary. Precision is the share of the predicted boundary pixels within the tolerance of a true one, recall
    the reverse. A class with a boundary on one side only scores 0; one that fills all that counts on both sides has
    no boundary to miss and scores 1.

    Args:
        prediction: Label map ``(H, W)``.
        target: Label map ``(H, W)``, 0 at the same pixels.
        num_classes: K.
        present: The ids of the classes in target or prediction; at least one.
        ratio: The tolerance as a share of the image's diagonal (Euclidean distance).

    Source: Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013.

    >>> stripes = np.array([[1, 1, 2, 2]] * 3, np.uint8)
    >>> bf_score(stripes, stripes, 2, [0, 1], 0.0075), bf_score(stripes[:, ::-1], stripes, 2, [0, 1], 0.0075)
    (1.0, 0.0)
    """
    limit = squared_tolerance(target.shape, ratio)
    predicted = prediction * near_boundary(prediction, 1, frame=False)
    true = target * near_boundary(target, 1, frame=False)
    found, size_predicted, size_true, recalled = (
        np.bincount(pixels.ravel(), minlength=num_classes + 1)[1:].tolist()
        for pixels in (
            predicted * matched(predicted, true, limit, num_classes),
            predicted,
            true,
            true * matched(true, predicted, limit, num_classes),
        )
    )
    scores = [boundary_f1(found[c], size_predicted[c], recalled[c], size_true[c]) for c in present]
    return math.fsum(scores) / len(scores)


def boundary_f1(found: int, size_predicted: int, recalled: int, size_true: int) -> float:
    """Return the F1 of ``found`` of the predicted and ``recalled`` of the true boundary pixels.

    >>> boundary_f1(1, 2, 3, 3), boundary_f1(0, 0, 0, 3), boundary_f1(0, 0, 0, 0)  # precision 1/2 and recall 1 first
    (0.6666666666666666, 0.0, 1.0)
    """
    if size_predicted == 0 and size_true == 0:
        return 1.0
    if found == 0 or recalled == 0:
        return 0.0
    precision, recall = found / size_predicted, recalled / size_true
    return 2 * precision * recall / (precision + recall)


def matched(pixels: LabelMap, others: LabelMap, limit: int, num_classes: int) -> Mask:
    """Return the pixels with one of the same class among the others, at a squared distance of at most ``limit``.

    >>> matched(np.array([[1, 0, 0, 2]], np.uint8), np.array([[2, 1, 0, 0]], np.uint8), 1, num_classes=2)
    array([[ True, False, False, False]])
    """
    match = np.zeros(pixels.shape, np.bool_)
    for first in range(1, num_classes + 1, 64):
        count = min(64, num_classes + 1 - first)
        # One bit per class: all classes of the image are dilated together.
        bit = np.zeros(num_classes + 1, np.min_scalar_type(2**count - 1))
        bit[first : first + count] = 2 ** np.arange(count, dtype=np.uint64)
        match |= (bit[pixels] & dilate(bit[others], limit)) != 0
    return match


def dilate(bits: NDArray[np.unsignedinteger], limit: int) -> NDArray[np.unsignedinteger]:
    """Return the bits set at a squared Euclidean distance of at most ``limit``, for every pixel ``(H, W)``.

    The disc is built from rows: a run that grows to the left and right is laid down at each height of its width.

    >>> dilate(np.array([[0, 0, 1, 0, 2]], np.uint8), 1)
    array([[0, 1, 1, 3, 2]], dtype=uint8)
    """
    height, width = bits.shape
    radius = math.isqrt(limit)
    rise_of_run = [math.isqrt(limit - x**2) for x in range(radius + 1)]
    run, out = bits.copy(), np.zeros_like(bits)
    for x in range(radius + 1):
        if 0 < x < width:
            run[:, x:] |= bits[:, :-x]
            run[:, :-x] |= bits[:, x:]
        next_rise = rise_of_run[x + 1] if x < radius else -1
        for y in range(next_rise + 1, min(rise_of_run[x], height - 1) + 1):
            out[y:] |= run[: height - y]
            out[: height - y] |= run[y:]
    return out
