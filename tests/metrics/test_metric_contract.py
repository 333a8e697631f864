"""A metric declares its scores: what it computes is held to that, and whatever shows scores reads it from there."""

import subprocess
import sys

import pytest
import torch
from torchmetrics import Metric
from torchmetrics.classification import MulticlassCohenKappa

from segup.ablation.tables import COSTS
from segup.errors import ConfigError
from segup.metrics import Metrics, Score, SegmentationMetrics, create_metrics, list_metrics
from segup.metrics.scores import PLACES, shown_in


class Kappa(MulticlassCohenKappa):
    """torchmetrics' own, with the declaration and the arguments of a metric of segup's."""

    scores = (Score("kappa", "Cohen's kappa"),)

    def __init__(self, num_classes, ignore_index=255):
        super().__init__(num_classes, ignore_index)


def computing(found, *scores):
    """A metric that computes what it is told."""

    class Told(Metric):
        def __init__(self):
            super().__init__()
            self.scores = scores

        def update(self, prediction, target):
            pass

        def compute(self):
            return found

    metric = Told()
    metric.update(torch.zeros(1, 1), torch.zeros(1, 1))
    return Metrics(metric)


def test_metrics_stand_side_by_side_and_see_the_same_pixels():
    both = Metrics(SegmentationMetrics(2), Kappa(2))
    prediction, target = torch.tensor([[[0, 1, 1, 1]]]), torch.tensor([[[0, 0, 1, 255]]])
    both.update(prediction, target)
    found = both.compute()
    assert found["pixel_accuracy"] == pytest.approx(2 / 3)
    assert found["kappa"] == pytest.approx(0.4)  # (2/3 - 4/9) / (1 - 4/9)
    assert [score.name for score in both.scores][-2:] == ["iou", "kappa"]
    both.reset()
    both.update(target.clamp(max=1), target)
    assert both.compute()["kappa"] == 1


def test_every_declared_score_of_segups_own_is_computed_and_the_ones_beside_it_are_kept():
    metrics = create_metrics(3)
    metrics.update(torch.zeros(4, 5, dtype=torch.int64), torch.zeros(4, 5, dtype=torch.int64))
    found = metrics.compute()
    assert {score.name for score in metrics.scores} < found.keys()
    assert found["band_widths"] == [1, 2, 3, 5, 8, 12, 20]
    assert [score.label for score in shown_in("study", metrics.scores)] == [
        "mIoU", "pixel accuracy", "Boundary IoU", "BF score", "IoU"
    ]  # fmt: skip
    assert all(set(score.shown) <= set(PLACES) and score.about for score in metrics.scores)


@pytest.mark.parametrize(
    ("found", "score", "message"),
    [
        ({"other": 1.0}, Score("x", "x"), r"computed \{'other': 1.0\}, but declares the scores x"),
        (3, None, "does not declare its scores\n  try: scores = "),
        ({"x": [1.0]}, Score("x", "x"), r"computed x=\[1.0\], which is declared as a number"),
        ({"x": torch.ones(2)}, Score("x", "x"), r"x=\[1.0, 1.0\], which is declared as a number"),
        ({"x": 1.0}, Score("x", "x", per_class=True), "x=1.0, which is declared as a list with one number for each"),
        ({"x": 3.5}, Score("x", "x", share=True), "x=3.5, which is declared as a share, 0 … 1\n  try: share=False"),
        ({"x": [0.5, -2.0]}, Score("x", "x", per_class=True, share=True), "declared as a share"),
        ({"x": "much"}, Score("x", "x"), "x='much', which is declared as a number"),
    ],
)
def test_what_is_not_as_declared_is_named(found, score, message):
    with pytest.raises(ConfigError, match=message):
        computing(found, *([score] if score else [])).compute()


@pytest.mark.parametrize(
    ("found", "score", "expected"),
    [
        (torch.tensor(0.25), Score("x", "x"), 0.25),
        ({"x": 7}, Score("x", "x"), 7.0),
        ({"x": torch.tensor([1, 2])}, Score("x", "x", per_class=True), [1.0, 2.0]),
    ],
)
def test_values_come_out_plain(found, score, expected):
    assert computing(found, score).compute() == {"x": expected}


@pytest.mark.parametrize("name", ["epoch", "step", "a/b", "a,b", " ", "best_of", *(c.key for c in COSTS[:3])])
def test_a_name_that_results_use_otherwise_is_refused(name):
    with pytest.raises(ConfigError, match="a score cannot be called"):
        Score(name, "label")


def test_two_scores_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two metrics have a score 'miou'\n  try: one of them"):
        Metrics(SegmentationMetrics(2), SegmentationMetrics(2))


@pytest.mark.parametrize(
    ("also", "message"),
    [
        ({"mine": {"name": "image_miou", "tolerance": 1}}, "unknown option of metric 'image_miou' 'tolerance'"),
        ({"mine": {"name": "segmentaton"}}, "unknown metric 'segmentaton': did you mean 'segmentation'"),
        (
            {"mine": {"name": "segmentation", "bf_tolerence": 1}},
            "'segmentation' cannot be built: .*`bf_tolerence`",
        ),
        ({"mine": "segmentation"}, "metric.mine='segmentation' must be a group of keys"),
        ({"mine": {"tolerance": 1}}, "metric.mine.name is not set: give metric.mine.name=..."),
        (
            {"mine": {"name": "torch.nn:Identity"}},
            "is a Identity, not a torchmetrics.Metric",
        ),
        (
            {"mine": {"name": "image_miou", "ignore_index": 0}},
            "metric.mine.ignore_index=0 cannot be given: it follows from the rest of the run.\n  try: leave it out",
        ),
        ({"mine": {"name": "torchmetrics.nothing:Here"}}, "metric 'torchmetrics.nothing:Here' cannot be imported"),
    ],
)
def test_a_metric_that_cannot_be_had_is_named(also, message):
    with pytest.raises(ConfigError, match=message):
        create_metrics(2, also=also)


def test_declarations_are_read_without_torch():
    code = "import sys, segup.metrics.scores, segup.ablation.tables; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert "segmentation" in list_metrics()
