"""Metrics of dense labels: one pass over the set, every score from summed counts.

Names are loaded when they are asked for, so that scores can be read and shown without torch.
"""

from typing import TYPE_CHECKING

from segup.imports import lazily

if TYPE_CHECKING:
    from segup.metrics.contract import Metrics, create_metric, create_metrics, list_metrics, register_metric
    from segup.metrics.scores import Score
    from segup.metrics.segmentation import SegmentationMetrics

__all__ = [
    "Metrics",
    "Score",
    "SegmentationMetrics",
    "create_metric",
    "create_metrics",
    "list_metrics",
    "register_metric",
]

_HOMES = {
    "contract": ("Metrics", "create_metric", "create_metrics", "list_metrics", "register_metric"),
    "scores": ("Score",),
    "segmentation": ("SegmentationMetrics",),
}
__getattr__, __dir__ = lazily(__name__, _HOMES)
