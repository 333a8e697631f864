"""mIoU image by image: each image counts alike, however many pixels its objects have."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from segup.metrics.confusion import confusion_matrix, iou
from segup.metrics.contract import register_metric
from segup.metrics.scores import Score
from segup.metrics.segmentation import label_maps, without_ignored


@register_metric("image_miou")
class ImageMiou(Metric):
    """The mean over images of the mIoU of each, over the classes that occur in its target or prediction.

    The mIoU over a set sums pixels first, so large objects decide it. Source: Wang et al., arXiv 2310.19252.

    Args:
        num_classes: Label classes, at least 2.
        ignore_index: The class id in the target of pixels that count nowhere. When it is the id of a class, that class
            has no score.

    >>> metric = ImageMiou(num_classes=2)
    >>> metric.update(torch.tensor([[[0, 0]], [[0, 0]]]), torch.tensor([[[0, 0]], [[0, 1]]]))
    >>> metric.compute()
    {'image_miou': 0.625}
    """

    scores: ClassVar[tuple[Score, ...]] = (
        Score("image_miou", "mIoU by image", "mean over images of the mIoU of each", share=True),
    )
    sums: Tensor

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        super().__init__()
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.add_state("sums", torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count one image or a batch, class ids ``(H, W)`` or ``(N, H, W)``.

        Raises:
            ShapeError, ConfigError: As :func:`segup.metrics.segmentation.label_maps`.
        """
        for predicted, true in label_maps(prediction, target, self.num_classes, self.ignore_index):
            per_class = iou(confusion_matrix(predicted, true, self.num_classes))
            found = without_ignored(per_class, self.ignore_index).nanmean()
            if not found.isnan():
                self.sums += torch.stack([found, torch.ones_like(found)]).to(self.sums.device)

    def compute(self) -> dict[str, Any]:
        """Return the score, NaN where no image has a pixel that counts."""
        total, images = self.sums.tolist()
        return {"image_miou": total / images if images else float("nan")}
