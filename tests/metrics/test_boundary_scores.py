"""Boundary IoU and BF score against the papers' recipes, written the slow way."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segup.metrics import SegmentationMetrics
from segup.metrics.boundary import band_width, dilate, label_map, near_boundary, squared_tolerance

IGNORE = 255
K = 3
few = settings(max_examples=20, deadline=None)


def blobs(seed: int, n: int, ignored: float, low: int = 1, high: int = 40) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of prediction and target: smooth blobs, the prediction those of the target with another noise added."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(n):
        h, w = (int(side) for side in rng.integers(low, high, 2))
        smooth = [cv2.GaussianBlur(rng.normal(size=(K, h, w)).transpose(1, 2, 0), (0, 0), 2) for _ in range(3)]
        target = smooth[0].argmax(2)
        prediction = (smooth[0] + 0.6 * smooth[1]).argmax(2)
        if ignored:
            target = np.where(smooth[2][..., 0] > np.quantile(smooth[2][..., 0], 1 - ignored), IGNORE, target)
        pairs.append((prediction, target))
    return pairs


def scores(pairs, **options) -> dict:
    metrics = SegmentationMetrics(K, **options)
    for prediction, target in pairs:
        metrics.update(torch.from_numpy(prediction), torch.from_numpy(target))
    return metrics.compute()


def paper_band(mask: np.ndarray, ratio: float) -> np.ndarray:
    """The band of one binary mask as the Boundary IoU paper makes it."""
    h, w = mask.shape
    steps = max(1, round(ratio * math.sqrt(h**2 + w**2)))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=steps)
    return mask & (eroded[1:-1, 1:-1] == 0)


def trimap(target: np.ndarray, width: int) -> np.ndarray:
    """The pixels with another counted class at most ``width`` rows and columns away, one window after the other."""
    band = np.zeros(target.shape, bool)
    for r, c in np.ndindex(target.shape):
        window = target[max(0, r - width) : r + width + 1, max(0, c - width) : c + width + 1]
        band[r, c] = target[r, c] != IGNORE and bool(((window != target[r, c]) & (window != IGNORE)).any())
    return band


@few
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.3]))
def test_band_iou_is_the_iou_of_the_pixels_near_the_true_boundary(seed, ignored):
    pairs, widths = blobs(seed, 3, ignored), [1, 3, 6]
    found = scores(pairs, band_widths=widths)
    assert found["band_widths"] == widths
    for width, iou in zip(widths, found["band_iou"], strict=True):
        bands = [trimap(target, width) for _, target in pairs]
        ious = []
        for c in range(K):
            predicted, true = ([(labels == c) & band for labels, band in zip(maps, bands, strict=True)]
                               for maps in zip(*pairs, strict=True))  # fmt: skip
            both, either = (
                sum(int(op(p, t).sum()) for p, t in zip(predicted, true, strict=True))
                for op in (np.logical_and, np.logical_or)
            )
            if either:
                ious.append(both / either)
        assert iou == pytest.approx(np.mean(ious) if ious else math.nan, nan_ok=True)


def test_a_band_that_covers_everything_has_the_sets_miou():
    pairs = blobs(3, 4, ignored=0.2, low=8)
    found = scores(pairs, band_widths=[1, 100])
    assert found["band_iou"][1] == pytest.approx(found["miou"])
    assert found["band_iou"][0] < found["miou"]


@few
@given(st.integers(0, 2**31), st.sampled_from([0.02, 0.005, 0.1]))
def test_boundary_iou_is_the_papers_summed_over_the_set(seed, ratio):
    pairs = blobs(seed, 3, ignored=0.0)
    intersection, union = np.zeros(K), np.zeros(K)
    for prediction, target in pairs:
        for c in range(K):
            predicted, true = paper_band(prediction == c, ratio), paper_band(target == c, ratio)
            intersection[c] += (predicted & true).sum()
            union[c] += (predicted | true).sum()
    expected = [i / u if u else math.nan for i, u in zip(intersection, union, strict=True)]
    result = scores(pairs, boundary_ratio=ratio)
    assert result["boundary_iou_per_class"] == pytest.approx(expected, nan_ok=True)
    assert result["boundary_iou"] == pytest.approx(np.nanmean(expected))


def slow_near_boundary(labels: np.ndarray, valid: np.ndarray, distance: int, frame: bool) -> np.ndarray:
    """Look at every neighbour of every pixel."""
    h, w = labels.shape
    near = np.zeros((h, w), bool)
    reach = range(-distance, distance + 1)
    for y, x in np.argwhere(valid):
        for v, u in ((y + dy, x + dx) for dy in reach for dx in reach):
            inside = 0 <= v < h and 0 <= u < w
            near[y, x] |= bool(valid[v, u] and labels[v, u] != labels[y, x]) if inside else frame
    return near


@few
@given(st.integers(0, 2**31), st.integers(1, 3), st.booleans(), st.sampled_from([0.0, 0.3]))
def test_a_pixel_is_near_a_boundary_when_a_counted_neighbour_differs(seed, distance, frame, ignored):
    [(prediction, target)] = blobs(seed, 1, ignored, high=16)
    valid = target != IGNORE
    for labels in (prediction, target):
        expected = slow_near_boundary(labels, valid, distance, frame)
        assert np.array_equal(near_boundary(label_map(labels, valid, K), distance, frame=frame), expected)


def slow_bf(prediction: np.ndarray, target: np.ndarray, tolerance: float, ignore_index: int) -> float | None:
    """Boundary F1 from the distances between all pairs of boundary pixels."""
    valid = target != ignore_index
    limit = tolerance * math.hypot(*target.shape)
    boundaries = [slow_near_boundary(labels, valid, 1, False) for labels in (prediction, target)]
    f1 = []
    for c in range(K):
        if c == ignore_index or not (valid & ((prediction == c) | (target == c))).any():
            continue
        predicted, true = (
            np.argwhere(near & (labels == c)) for near, labels in zip(boundaries, (prediction, target), strict=True)
        )
        if len(predicted) == 0 or len(true) == 0:
            f1.append(float(len(predicted) == len(true)))
            continue
        close = np.linalg.norm(predicted[:, None] - true[None], axis=2) <= limit + 1e-9
        precision, recall = close.any(1).mean(), close.any(0).mean()
        f1.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return sum(f1) / len(f1) if f1 else None


@few
@given(
    st.integers(0, 2**31),
    st.sampled_from([0.0075, 0.05, 0.1]),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([IGNORE, 1]),
)
def test_bf_score_is_the_mean_over_images_of_the_mean_over_classes(seed, tolerance, ignored, ignore_index):
    pairs = [(p, np.where(t == IGNORE, ignore_index, t)) for p, t in blobs(seed, 2, ignored, high=28)]
    slow = [slow_bf(*pair, tolerance, ignore_index) for pair in pairs]
    expected = np.mean([score for score in slow if score is not None] or math.nan)
    result = scores(pairs, bf_tolerance=tolerance, ignore_index=ignore_index)
    assert result["bf_score"] == pytest.approx(expected, abs=1e-9, nan_ok=True)


def stripe(column: int) -> np.ndarray:
    """240×320, whose diagonal is 400 pixels: class 1 from a column on."""
    return np.broadcast_to(np.arange(320) >= column, (240, 320)).astype(np.int64)


def test_a_boundary_exactly_at_the_tolerance_matches_and_one_beyond_does_not():
    assert scores([(stripe(103), stripe(100))])["bf_score"] == 1.0  # 0.75 % of 400 pixels is 3
    assert scores([(stripe(104), stripe(100))])["bf_score"] == 0.0


def test_the_bands_of_two_stripes_counted_by_hand():
    # The band is 8 pixels wide. Left of column 100 the two masks are 240×100 and 240×104; a band is the mask
    # without its core, which is 224 rows high and 16 columns narrower than the mask.
    result = scores([(stripe(104), stripe(100))])
    true, predicted = 240 * 100 - 224 * 84, 240 * 104 - 224 * 88
    both = 240 * 100 - 224 * 88  # the smaller mask without the union of both cores
    assert result["boundary_iou_per_class"][0] == both / (true + predicted - both)


def test_a_class_with_a_boundary_on_one_side_only_scores_zero():
    split, whole = stripe(100), np.zeros((240, 320), np.int64)
    assert scores([(whole, split)])["bf_score"] == 0.0
    assert scores([(split, whole)])["bf_score"] == 0.0
    assert scores([(whole, whole)])["bf_score"] == 1.0


def test_the_edge_of_an_ignored_region_is_no_boundary():
    target = np.zeros((9, 9), np.int64)
    target[3:6, 3:6] = IGNORE
    valid = target != IGNORE
    assert not near_boundary(label_map(target, valid, K), 1, frame=False).any()
    assert near_boundary(label_map(target, valid, K), 1, frame=True).sum() == 32  # the image's own edge


@pytest.mark.parametrize(("shape", "width"), [((210, 576), 12), ((360, 480), 12), ((1024, 2048), 46), ((10, 10), 1)])
def test_the_band_is_two_percent_of_the_images_own_diagonal(shape, width):
    assert band_width(shape, 0.02) == width


@few
@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from([0.0075, 0.0025, 0.02, 0.3]))
def test_the_squared_tolerance_is_the_last_integer_within(height, width, ratio):
    limit = squared_tolerance((height, width), ratio)
    reach = ratio * math.hypot(height, width)
    assert math.sqrt(limit) <= reach + 1e-6
    assert math.sqrt(limit + 1) > reach


@few
@given(st.integers(0, 2**31), st.integers(0, 150))
def test_dilation_reaches_every_pixel_within_the_distance_and_no_other(seed, limit):
    rng = np.random.default_rng(seed)
    bits = rng.integers(256, size=rng.integers(1, 16, 2), dtype=np.uint8)
    bits[rng.random(bits.shape) < 0.9] = 0
    expected = np.zeros_like(bits)
    for y, x in np.ndindex(bits.shape):
        rows, columns = np.ogrid[: bits.shape[0], : bits.shape[1]]
        near = (rows - y) ** 2 + (columns - x) ** 2 <= limit
        expected[y, x] = np.bitwise_or.reduce(bits[near])
    assert np.array_equal(dilate(bits, limit), expected)
