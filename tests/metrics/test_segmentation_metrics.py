"""The metric of a set: equal to torchmetrics, and the same however the set is cut up."""

import json
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassJaccardIndex

from segup.errors import ConfigError, ShapeError
from segup.metrics import SegmentationMetrics
from segup.metrics.boundary import band_width, squared_tolerance
from segup.metrics.image_miou import ImageMiou

IGNORE = 255
SCORES = ["miou", "pixel_accuracy", "class_accuracy", "dice", "boundary_iou", "bf_score"]
PER_CLASS = ["iou", "class_accuracy_per_class", "boundary_iou_per_class"]
PER_WIDTH = ["band_widths", "band_iou"]
few = settings(max_examples=20, deadline=None)


def blocks(rng: np.random.Generator, shape: tuple[int, int], classes: int) -> np.ndarray:
    coarse = rng.integers(classes, size=(shape[0] // 4 + 1, shape[1] // 5 + 1))
    return coarse.repeat(4, 0).repeat(5, 1)[: shape[0], : shape[1]]


def images(seed: int, n: int = 5, classes: int = 4, ignored: float = 0.2, shape=None) -> list[tuple[Tensor, Tensor]]:
    """Pairs of prediction and target of mixed sizes, the prediction right in most blocks."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(n):
        size = shape or tuple(rng.integers(1, 24, 2))
        target = blocks(rng, size, rng.integers(1, classes + 1))
        prediction = np.where(blocks(rng, size, 4) < 3, np.roll(target, rng.integers(3), 1), blocks(rng, size, classes))
        target = np.where(blocks(rng, size, 1000) < 1000 * ignored, IGNORE, target)
        pairs.append((torch.from_numpy(prediction), torch.from_numpy(target)))
    return pairs


def scores(pairs: list[tuple[Tensor, Tensor]], classes: int = 4, **options) -> dict:
    metrics = SegmentationMetrics(classes, **options)
    for prediction, target in pairs:
        metrics.update(prediction, target)
    return metrics.compute()


def same(a: dict, b: dict) -> bool:
    """Equal to the last bit, NaN equal to NaN."""
    return all(np.array_equal(a[key], b[key], equal_nan=True) for key in SCORES + PER_CLASS + PER_WIDTH)


# Against torchmetrics


@few
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.3]), st.sampled_from([IGNORE, 1]))
def test_scores_of_the_matrix_are_torchmetrics(seed, ignored, ignore_index):
    pairs = images(seed, ignored=ignored)
    pairs = [(p, t.masked_fill(t == IGNORE, ignore_index)) for p, t in pairs]
    predictions = torch.cat([p.flatten() for p, _ in pairs])
    targets = torch.cat([t.flatten() for _, t in pairs])
    options = {"num_classes": 4, "ignore_index": ignore_index}
    result = scores(pairs, ignore_index=ignore_index)
    counted = targets != ignore_index
    in_target = torch.bincount(targets[counted], minlength=4) > 0
    present = in_target | (torch.bincount(predictions[counted], minlength=4) > 0)
    if ignore_index < 4:
        present[ignore_index] = False

    def check(key: str, metric, among: Tensor) -> None:
        per_class = metric(average="none", **options)(predictions, targets)
        assert np.isnan(result[key]).tolist() == (~among).tolist()
        assert np.array(result[key])[among.numpy()] == pytest.approx(per_class[among].numpy())

    check("iou", MulticlassJaccardIndex, present)
    check("class_accuracy_per_class", MulticlassAccuracy, in_target)
    f1 = MulticlassF1Score(average="none", **options)(predictions, targets)
    assert result["dice"] == pytest.approx(f1[present].mean().item(), nan_ok=True)
    if counted.any():
        macro = MulticlassJaccardIndex(average="macro", **options)(predictions, targets)
        assert result["miou"] == pytest.approx(macro.item())
        micro = MulticlassAccuracy(average="micro", **options)(predictions, targets)
        assert result["pixel_accuracy"] == pytest.approx(micro.item())
        assert result["class_accuracy"] == pytest.approx(np.nanmean(result["class_accuracy_per_class"]))


def test_a_case_counted_by_hand():
    target = torch.tensor([[0, 0, 0, 0], [1, 1, 1, IGNORE]])
    prediction = torch.tensor([[0, 0, 0, 1], [1, 1, 2, 2]])
    result = scores([(prediction, target)])
    assert result["iou"][:3] == [3 / 4, 2 / 4, 0.0]
    assert math.isnan(result["iou"][3])
    assert result["miou"] == pytest.approx((3 / 4 + 2 / 4) / 3)
    assert result["pixel_accuracy"] == pytest.approx(5 / 7)
    assert result["class_accuracy_per_class"][:2] == [3 / 4, 2 / 3]
    assert result["class_accuracy"] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert result["dice"] == pytest.approx((6 / 7 + 4 / 6 + 0) / 3)
    # Two rows lie within one pixel of the image's edge: every pixel is in its band, so the bands are the masks.
    assert result["boundary_iou_per_class"][:3] == [3 / 4, 2 / 4, 0.0]
    # Boundary pixels match where they are (the tolerance is 0.03 pixels); class 0 finds its 3 predicted among the 4
    # true ones. Class 1 is predicted at 3 (2 of them right) and true at 3 (2 found). Class 2 is nowhere true.
    assert result["bf_score"] == pytest.approx((6 / 7 + 2 / 3 + 0) / 3)


# However the set is cut up


@few
@given(st.integers(0, 2**31), st.permutations(range(6)), st.integers(1, 6))
def test_batches_and_their_order_do_not_matter(seed, order, size):
    pairs = images(seed, n=6, shape=(11, 14))
    shuffled = [pairs[i] for i in order]
    batches = [tuple(map(torch.stack, zip(*shuffled[i : i + size], strict=True))) for i in range(0, 6, size)]
    assert same(scores(batches), scores(pairs))


@few
@given(st.integers(0, 2**31), st.integers(1, 5))
def test_two_metrics_merged_are_one(seed, cut):
    pairs = images(seed)
    first, second = SegmentationMetrics(4), SegmentationMetrics(4)
    for metric, part in ((first, pairs[:cut]), (second, pairs[cut:])):
        for pair in part:
            metric.update(*pair)
    first.merge_state(second)
    assert same(first.compute(), scores(pairs))
    called = SegmentationMetrics(4)
    for pair in pairs:
        assert same(called(*pair), scores([pair]))
    assert same(called.compute(), scores(pairs))
    assert called.counted == first.counted
    assert len(first.counted) == len(pairs)


def test_processes_that_gather_their_states_get_the_scores_of_the_set():
    pairs = images(3, n=7)
    other = SegmentationMetrics(4)
    for pair in pairs[4:]:
        other.update(*pair)
    theirs = iter([getattr(other, state) for state in other._defaults])
    metrics = SegmentationMetrics(
        4, dist_sync_fn=lambda ours, **_: [ours, next(theirs)], distributed_available_fn=lambda: True
    )
    for pair in pairs[:4]:
        metrics.update(*pair)
    assert same(metrics.compute(), scores(pairs))


def test_every_state_is_an_integer_and_a_sum_or_an_end():
    metrics = SegmentationMetrics(3)
    assert {getattr(metrics, state).dtype for state in metrics._defaults} == {torch.int64}
    ends = {"smallest": "dim_zero_min", "largest": "dim_zero_max"}
    for state, reduce in metrics._reductions.items():
        assert reduce.__name__ == ends.get(state, "dim_zero_sum")


def test_images_are_counted_and_the_distances_told_in_pixels():
    small, large = torch.zeros(30, 40, dtype=torch.int64), torch.zeros(1, 300, 400, dtype=torch.int64)
    for sizes in ([small], [large, small], [small, large, small]):
        found = scores([(one, one) for one in sizes])
        assert found["images"] == len(sizes)
        shapes = sorted({tuple(one.shape[-2:]) for one in sizes})
        ends = (shapes[0], shapes[-1])
        assert found["boundary_pixels"] == [band_width(shape, 0.02) for shape in ends]
        assert found["bf_pixels"] == [squared_tolerance(shape, 0.0075) ** 0.5 for shape in ends]
    assert found["boundary_pixels"] == [1, 10]
    none = SegmentationMetrics(2).compute()
    assert (none["images"], none["boundary_pixels"], none["bf_pixels"]) == (0, [], [])


def test_reset_starts_anew():
    pairs = images(4)
    metrics = SegmentationMetrics(4)
    metrics.update(*pairs[0])
    metrics.reset()
    metrics.update(*pairs[1])
    assert same(metrics.compute(), scores(pairs[1:2]))


# What the scores mean


@few
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.3]))
def test_a_perfect_prediction_scores_one(seed, ignored):
    pairs = [(t.masked_fill(t == IGNORE, 0), t) for _, t in images(seed, ignored=ignored, shape=(9, 13))]
    pairs.append((torch.zeros(3, 3, dtype=torch.int64), torch.zeros(3, 3, dtype=torch.int64)))
    result = scores(pairs)
    assert [result[key] for key in SCORES] == [1.0] * len(SCORES)
    assert {value for key in PER_CLASS for value in result[key] if not math.isnan(value)} == {1.0}


@few
@given(st.integers(0, 2**31), st.permutations(range(4)))
def test_renaming_the_classes_renames_the_scores(seed, names):
    pairs = images(seed)
    renamed = torch.full((256,), IGNORE)
    renamed[:4] = torch.tensor(names)
    before, after = scores(pairs), scores([(renamed[p], renamed[t]) for p, t in pairs])
    for key in PER_CLASS:
        assert np.array_equal(np.array(after[key])[names], before[key], equal_nan=True)
    assert [after[key] for key in SCORES] == pytest.approx([before[key] for key in SCORES], nan_ok=True)


@few
@given(st.integers(0, 2**31))
def test_what_is_predicted_at_ignored_pixels_does_not_matter(seed):
    pairs = images(seed, ignored=0.4)
    changed = [(torch.where(t == IGNORE, (p + 1) % 4, p), t) for p, t in pairs]
    assert same(scores(changed), scores(pairs))


def test_an_image_ignored_as_a_whole_adds_nothing():
    pairs = images(5)
    nothing = (torch.ones(6, 6, dtype=torch.int64), torch.full((6, 6), IGNORE))
    assert same(scores([*pairs, nothing]), scores(pairs))


def test_nothing_counted_is_nan():
    result = scores([(torch.zeros(3, 3, dtype=torch.int64), torch.full((3, 3), IGNORE))])
    assert all(math.isnan(result[key]) for key in SCORES)


def test_the_result_is_plain_numbers():
    result = scores(images(6))
    assert list(result) == [
        "miou",
        "iou",
        "pixel_accuracy",
        "class_accuracy",
        "class_accuracy_per_class",
        "dice",
        "boundary_iou",
        "boundary_iou_per_class",
        "bf_score",
        "band_widths",
        "band_iou",
        "images",
        "boundary_pixels",
        "bf_pixels",
    ]
    assert all(type(result[key]) is float for key in SCORES)
    assert all(type(value) is float for key in [*PER_CLASS, "band_iou"] for value in result[key])
    assert json.loads(json.dumps(result)).keys() == result.keys()


@few
@given(st.integers(0, 2**31), st.sampled_from([IGNORE, -1, 0, 3]))
def test_the_miou_by_image_is_the_mean_of_the_miou_of_each_set_of_one_image(seed, ignore_index):
    pairs = [(p, t.masked_fill(t == IGNORE, ignore_index)) for p, t in images(seed)]
    own = [scores([pair], ignore_index=ignore_index)["miou"] for pair in pairs]
    metric = ImageMiou(4, ignore_index)
    for pair in pairs:
        metric.update(*pair)
    counted = [one for one in own if not math.isnan(one)]
    expected = sum(counted) / len(counted) if counted else math.nan
    assert metric.compute()["image_miou"] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("metric", [SegmentationMetrics, ImageMiou])
@pytest.mark.parametrize(("dtype", "stray", "ignore_index"), [(torch.uint8, 255, -1), (torch.int8, -1, 255)])
def test_an_id_that_a_narrow_dtype_could_take_for_the_ignore_index_is_refused(metric, dtype, stray, ignore_index):
    target = torch.tensor([[stray, 0]], dtype=dtype)
    with pytest.raises(ConfigError, match=f"target holds class id {stray}: .* 0 to 2 and ignore_index={ignore_index}"):
        metric(3, ignore_index).update(torch.zeros(1, 2, dtype=dtype), target)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int16, torch.int32])
def test_every_integer_dtype_is_taken(dtype):
    pairs = images(7)
    assert same(scores([(p.to(dtype), t.to(dtype)) for p, t in pairs]), scores(pairs))


@pytest.mark.parametrize("ignore_index", [-1, -100, 70_000])
def test_any_ignore_index_is_taken(ignore_index):
    pairs = images(8)
    moved = [(p, t.masked_fill(t == IGNORE, ignore_index)) for p, t in pairs]
    assert same(scores(moved, ignore_index=ignore_index), scores(pairs))


@pytest.mark.parametrize("classes", [70, 255, 256, 300])
def test_hundreds_of_classes_are_the_scores_of_the_few_that_occur(classes):
    pairs = images(9)
    names = torch.full((256,), -1)
    names[:4] = torch.tensor([0, 1, 64, classes - 1])
    few_classes = scores(pairs)
    many = scores([(names[p], names[t]) for p, t in pairs], classes=classes, ignore_index=-1)
    assert [many[key] for key in SCORES] == pytest.approx([few_classes[key] for key in SCORES])
    assert np.array(many["boundary_iou_per_class"])[names[:4]] == pytest.approx(few_classes["boundary_iou_per_class"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_scores_are_the_same():
    pairs = images(10)
    metrics = SegmentationMetrics(4).to("cuda")
    for prediction, target in pairs:
        metrics.update(prediction.cuda(), target.cuda())
    assert metrics.confusion.device.type == "cuda"
    assert same(metrics.compute(), scores(pairs))


# What is refused


SIGMOID = "a model with one sigmoid channel has 2\n  try: num_classes=2"
SHARE = "a number above 0 and below 1: a share of the image's diagonal"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 1}, "num_classes=1 must be an int of 2 or more: of the labels; " + SIGMOID),
        ({"num_classes": 2.0}, "num_classes=2.0 must be an int of 2 or more: of the labels; " + SIGMOID),
        ({"ignore_index": None}, "ignore_index=None must be an int\n  try: ignore_index=255"),
        ({"boundary_ratio": 0}, f"boundary_ratio=0 must be {SHARE}\n  try: boundary_ratio=0.02"),
        (
            {"band_widths": [2, 1]},
            "band_widths=[2, 1] must rise\n  try: band_widths=[1, 2]",
        ),
        ({"band_widths": []}, "band_widths=[] must rise"),
        ({"band_widths": [0.5]}, "band_widths=[0.5] must be a list, each an int of 1 or more"),
        ({"bf_tolerance": 3}, f"bf_tolerance=3 must be {SHARE}\n  try: bf_tolerance=0.0075"),
    ],
)
def test_settings_that_cannot_be_meant(options, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        SegmentationMetrics(**{"num_classes": 3, **options})


def ids(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.int64)


@pytest.mark.parametrize(
    ("prediction", "target", "error", "message"),
    [
        (
            ids(4, 5),
            ids(4, 6),
            ShapeError,
            "prediction has shape (4, 5) and target (4, 6): both must be (H, W) or both",
        ),
        (ids(1, 3, 4, 5), ids(1, 3, 4, 5), ShapeError, "prediction has shape (1, 3, 4, 5) and target (1, 3, 4, 5)"),
        (ids(2, 2).float(), ids(2, 2), ConfigError, "prediction has dtype torch.float32, must be integer class ids"),
        (
            ids(2, 2),
            ids(2, 2) > 0,
            ConfigError,
            "target has dtype torch.bool, must be integer class ids: target.long()",
        ),
        (ids(2, 2) + 255, ids(2, 2), ConfigError, "prediction holds class id 255: num_classes=3 allows 0 to 2: "),
        (ids(2, 2), ids(2, 2) - 1, ConfigError, "target holds class id -1: num_classes=3 allows 0 to 2 and ignore_ind"),
    ],
)
def test_label_maps_that_do_not_fit(prediction, target, error, message):
    with pytest.raises(error, match=re.escape(message)):
        SegmentationMetrics(3).update(prediction, target)
