"""The worst images of a row: the lowest mIoU, and the part of each in which most is wrong along the boundary."""

import numpy as np
import pytest
import torch

from segup.ablation.report import style
from segup.ablation.report.crops import NEAR, ZOOM, worst_figure, worst_images
from segup.data import Labels
from segup.metrics import create_metrics

LABELS = Labels(("a", "b", "c"))


def sample(truth, name):
    return {"image": torch.rand(3, *truth.shape), "mask": torch.from_numpy(truth), "name": name}


@pytest.mark.parametrize("seed", range(6))
def test_they_are_those_with_the_lowest_miou(seed):
    rng = np.random.default_rng(seed)
    truths = [rng.integers(0, 3, (20, 30)) for _ in range(5)]
    for truth in truths:
        truth[rng.random(truth.shape) < 0.2] = 255
    found = [np.where(rng.random(t.shape) < rng.random(), t % 3, rng.integers(0, 3, t.shape)) for t in truths]
    scores = {}
    for place, (truth, ids) in enumerate(zip(truths, found, strict=True)):
        metrics = create_metrics(3)
        metrics.update(torch.from_numpy(ids), torch.from_numpy(truth))
        scores[f"image {place}"] = metrics.compute()["miou"]
    worst = worst_images([sample(truth, f"image {n}") for n, truth in enumerate(truths)], found, LABELS, 3)
    assert [one.zoom.name for one in worst] == sorted(scores, key=scores.get)[:3]
    assert [one.miou for one in worst] == pytest.approx(sorted(scores.values())[:3])


def test_the_part_is_where_the_boundary_is_wrong_not_where_most_is():
    truth = np.zeros((200, 300), np.int64)
    truth[:, 150:] = 1
    ids = truth.copy()
    ids[20:70, 20:100] = 2  # a large fault far from the boundary
    ids[150:170, 150:154] = 0
    (worst,) = worst_images([sample(truth, "image")], [ids], LABELS, 1)
    top, left = worst.zoom.top, worst.zoom.left
    assert top <= 150
    assert top + ZOOM[0] >= 170
    assert left <= 150 <= left + ZOOM[1] - NEAR
    assert worst.zoom.truth.shape == ZOOM


def test_small_images_one_class_and_nothing_that_counts_are_drawn_or_left_out():
    truth = np.zeros((9, 11), np.int64)
    ignored = np.full((9, 11), 255)
    samples = [sample(truth, "small"), sample(ignored, "ignored")]
    worst = worst_images(samples, [truth, truth], LABELS)
    assert [one.zoom.name for one in worst] == ["small"]
    with style.styled():
        assert style.png(worst_figure(worst, LABELS)).startswith(b"\x89PNG")
