"""The metric of a whole evaluation: feed it label maps, ask it for the scores."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from segup.calls import annotated
from segup.conform import Count, Within
from segup.errors import ConfigError, ShapeError
from segup.metrics import confusion as of
from segup.metrics.boundary import (
    LabelMap,
    band_width,
    bf_score,
    boundary_counts,
    label_map,
    squared_tolerance,
    trimap_counts,
)
from segup.metrics.contract import register_metric
from segup.metrics.scores import OWN_SCORES, Score

# BF scores are summed as integers in this unit: their sum is then the same in any order and on any device.
BF_UNIT = 2.0**-40
# Pixels on each side of the true boundary; Kohli et al. (IJCV 2009) draw theirs up to 20.
BAND_WIDTHS = (1, 2, 3, 5, 8, 12, 20)
_NO_IMAGE = 2**62
ShareOfDiagonal = Annotated[float, Within(above=0, below=1), "a share of the image's diagonal"]


@register_metric("segmentation")
class SegmentationMetrics(Metric):
    """Scores of predicted label maps over a whole set, each image at its own size.

    All states are integers, sums but for the smallest and the largest image, so the scores are the same to the last
    bit whatever the order and size of the batches and the number of processes.

    - ``miou``, ``iou``: from one confusion matrix over the set; the mean over the classes that occur in target or
      prediction.
    - ``pixel_accuracy``, ``class_accuracy`` (mean over the classes in the target), ``dice`` (mean over the classes in
      target or prediction): from the same matrix.
    - ``boundary_iou``: IoU of the bands along the boundaries, intersections and unions summed over the set per class;
      the mean over the classes with a band.
    - ``bf_score``: boundary F1, the mean over the classes in an image's target or prediction, then over images.
    - ``band_iou``: for each of ``band_widths``, mIoU of the pixels at most that many rows and columns from the true
      boundary, on both its sides; the mean over the classes that occur there in target or prediction.

    Pixels where the target is ``ignore_index`` count nowhere: they are in no band and their edge is no boundary, in
    the target as in the prediction. When ``ignore_index`` is the id of a class, that class has no scores.

    ``counted`` holds :func:`segup.metrics.confusion.class_rows` of each image of this process, in order.

    Args:
        num_classes: Number of label classes K, at least 2; a model with one sigmoid channel has 2.
        ignore_index: The class id in the target of pixels that count nowhere.
        boundary_ratio: Width of Boundary IoU's band as a share of each image's diagonal, between 0 and 1.
        bf_tolerance: Tolerance of the BF score as a share of each image's diagonal, between 0 and 1.
        band_widths: Widths in pixels of the bands around the true boundary, rising.
        **options: torchmetrics' own, such as ``sync_on_compute``.

    Raises:
        ConfigError: If a number is out of range.

    Source: Cheng et al., arXiv 2103.16562 (Boundary IoU); Csurka et al., BMVC 2013 (BF score); Kohli et al., IJCV 2009
    (the band around the true boundary).

    >>> metrics = SegmentationMetrics(num_classes=2)
    >>> target = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 255]])
    >>> metrics.update(torch.tensor([[0, 1, 1, 1], [0, 1, 1, 0]]), target)
    >>> result = metrics.compute()
    >>> result["iou"], round(result["miou"], 4)
    ([0.5, 0.6], 0.55)
    """

    is_differentiable = False
    full_state_update = False
    scores: ClassVar[tuple[Score, ...]] = OWN_SCORES

    confusion: Tensor
    boundary_intersection: Tensor
    boundary_union: Tensor
    bf_sum: Tensor
    bf_images: Tensor
    band_intersection: Tensor
    band_union: Tensor
    images: Tensor
    smallest: Tensor
    largest: Tensor

    @annotated
    def __init__(
        self,
        num_classes: Annotated[int, Within(2, below=2**16), "of the labels; a model with one sigmoid channel has 2"],
        ignore_index: int = 255,
        boundary_ratio: ShareOfDiagonal = 0.02,
        bf_tolerance: ShareOfDiagonal = 0.0075,
        band_widths: Sequence[Count] = BAND_WIDTHS,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not band_widths or list(band_widths) != sorted(set(band_widths)):
            rising = sorted(set(band_widths)) or [1, 2, 5]
            raise ConfigError(f"band_widths={list(band_widths)} must rise\n  try: band_widths={rising}")
        self.band_widths = tuple(band_widths)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.boundary_ratio = boundary_ratio
        self.bf_tolerance = bf_tolerance
        shapes: dict[str, tuple[int, ...]] = {
            "confusion": (num_classes, num_classes),
            "boundary_intersection": (num_classes,),
            "boundary_union": (num_classes,),
            "bf_sum": (),
            "bf_images": (),
            "band_intersection": (len(self.band_widths), num_classes),
            "band_union": (len(self.band_widths), num_classes),
        }
        for state, shape in shapes.items():
            self.add_state(state, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")
        self.counted: list[list[list[int]]] = []
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("smallest", torch.tensor(_NO_IMAGE), dist_reduce_fx="min")  # of the squared diagonals
        self.add_state("largest", torch.tensor(0), dist_reduce_fx="max")

    def reset(self) -> None:
        """Forget what was counted."""
        super().reset()
        self.counted = []

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Count one image or a batch, and return the scores of it alone; torchmetrics begins anew for these."""
        before = [*self.counted]
        scores = super().forward(*args, **kwargs)
        self.counted = [*before, *self.counted]
        return scores

    def merge_state(self, incoming_state: "dict[str, Any] | Metric") -> None:
        """Add what another metric counted."""
        super().merge_state(incoming_state)
        if isinstance(incoming_state, SegmentationMetrics):
            self.counted = [*self.counted, *incoming_state.counted]

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count one image or a batch; the counting itself is done on the CPU.

        Args:
            prediction: Class ids ``(H, W)`` or ``(N, H, W)``, an integer dtype.
            target: Class ids of the same shape, ``ignore_index`` where a pixel does not count.

        Raises:
            ShapeError: If the shapes differ or are neither ``(H, W)`` nor ``(N, H, W)``.
            ConfigError: If one is not of an integer dtype or holds an id that is no class.
        """
        for predicted, true in label_maps(prediction, target, self.num_classes, self.ignore_index):
            self._count(predicted, true)

    def compute(self) -> dict[str, Any]:
        """Return the scores of everything counted since the last reset, over all processes.

        Beside :attr:`scores`, class by class what they are means of, and the IoU of the bands. All are floats between
        0 and 1, NaN where nothing was counted. ``images`` is how many were counted; ``boundary_pixels`` and
        ``bf_pixels`` are the width of Boundary IoU's band and the tolerance of the BF score in pixels, in the smallest
        and in the largest of them.
        """
        matrix = self.confusion.cpu()
        iou, accuracy, dice = (self._scored(score(matrix)) for score in (of.iou, of.class_accuracy, of.dice))
        boundary_iou = self._scored(self.boundary_intersection.cpu().double() / self.boundary_union.cpu())
        bands = self.band_intersection.cpu().double() / self.band_union.cpu()
        return {
            "miou": _mean(iou),
            "iou": iou.tolist(),
            "pixel_accuracy": of.pixel_accuracy(matrix).item(),
            "class_accuracy": _mean(accuracy),
            "class_accuracy_per_class": accuracy.tolist(),
            "dice": _mean(dice),
            "boundary_iou": _mean(boundary_iou),
            "boundary_iou_per_class": boundary_iou.tolist(),
            "bf_score": (self.bf_sum.cpu().double() * BF_UNIT / self.bf_images.cpu()).item(),
            "band_widths": list(self.band_widths),
            "band_iou": [_mean(self._scored(band)) for band in bands],
            "images": int(self.images),
            "boundary_pixels": [band_width((side,), self.boundary_ratio) for side in self._diagonals()],
            "bf_pixels": [squared_tolerance((side,), self.bf_tolerance) ** 0.5 for side in self._diagonals()],
        }

    def _diagonals(self) -> list[float]:
        """Return the smallest and the largest diagonal; none without an image."""
        return [int(squared) ** 0.5 for squared in (self.smallest, self.largest)] if int(self.images) else []

    def _count(self, predicted: LabelMap, true: LabelMap) -> None:
        k = self.num_classes
        squared = sum(side**2 for side in true.shape)
        self.images = self.images + 1
        self.smallest, self.largest = self.smallest.clamp(max=squared), self.largest.clamp(min=squared)
        matrix = of.confusion_matrix(predicted, true, k)
        self._add("confusion", matrix)
        self.counted.append(of.class_rows(matrix, self.ignore_index))
        intersection, union = boundary_counts(predicted, true, k, self.boundary_ratio)
        self._add("boundary_intersection", torch.from_numpy(intersection))
        self._add("boundary_union", torch.from_numpy(union))
        inside, around = trimap_counts(predicted, true, k, self.band_widths)
        self._add("band_intersection", torch.from_numpy(inside))
        self._add("band_union", torch.from_numpy(around))
        occurs = (matrix.sum(0) + matrix.sum(1)).tolist()
        present = [c for c in range(k) if occurs[c] and c != self.ignore_index]
        if present:
            score = bf_score(predicted, true, k, present, self.bf_tolerance)
            self.bf_sum = self.bf_sum + round(score / BF_UNIT)
            self.bf_images = self.bf_images + 1

    def _add(self, state: str, counts: Tensor) -> None:
        total = getattr(self, state)
        setattr(self, state, total + counts.to(total.device))

    def _scored(self, per_class: Tensor) -> Tensor:
        return without_ignored(per_class, self.ignore_index)


def without_ignored(per_class: Tensor, ignore_index: int) -> Tensor:
    """Return scores ``(K,)`` without that of the class that is ignored, where ``ignore_index`` is one.

    >>> without_ignored(torch.tensor([0.5, 0.0]), 1), without_ignored(torch.tensor([0.5, 0.0]), 255)
    (tensor([0.5000,    nan]), tensor([0.5000, 0.0000]))
    """
    ignored = torch.arange(len(per_class)) == ignore_index
    return per_class.masked_fill(ignored, torch.nan)


def label_maps(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int
) -> Iterator[tuple[LabelMap, LabelMap]]:
    """Yield :func:`segup.metrics.boundary.label_map` of each image's prediction and target, all of them checked first.

    Args:
        prediction: Class ids ``(H, W)`` or ``(N, H, W)``, an integer dtype.
        target: Class ids of the same shape, ``ignore_index`` where a pixel does not count.
        num_classes: Label classes.
        ignore_index: The class id in the target of pixels that count nowhere.

    Raises:
        ShapeError: If the shapes differ or are neither ``(H, W)`` nor ``(N, H, W)``.
        ConfigError: If one is not of an integer dtype or holds an id that is no class.
    """
    if prediction.shape != target.shape or target.ndim not in (2, 3):
        raise ShapeError(
            f"prediction has shape {tuple(prediction.shape)} and target {tuple(target.shape)}: both must be "
            "(H, W) or both (N, H, W) class ids of the same size; take the argmax of logits first"
        )
    prediction, target = _class_ids("prediction", prediction), _class_ids("target", target)
    if target.ndim == 2:
        prediction, target = prediction.unsqueeze(0), target.unsqueeze(0)
    valid = target != ignore_index
    _check_ids("prediction", prediction, num_classes, "")
    _check_ids("target", target.where(valid, 0), num_classes, f" and ignore_index={ignore_index}")
    for predicted, true, counts in zip(prediction.numpy(), target.numpy(), valid.numpy(), strict=True):
        yield label_map(predicted, counts, num_classes), label_map(true, counts, num_classes)


def _check_ids(name: str, ids: Tensor, num_classes: int, also: str) -> None:
    stray = ids[(ids < 0) | (ids >= num_classes)]
    if stray.numel():
        found = ", ".join(str(value) for value in stray.unique().tolist()[:5])
        raise ConfigError(
            f"{name} holds class id {found}: num_classes={num_classes} allows 0 to {num_classes - 1}"
            f"{also}: correct num_classes or the class ids"
        )


def _class_ids(name: str, ids: Tensor) -> Tensor:
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise ConfigError(f"{name} has dtype {ids.dtype}, must be integer class ids: {name}.long()")
    return ids.detach().cpu().long()


def _mean(per_class: Tensor) -> float:
    return per_class.nanmean().item()
