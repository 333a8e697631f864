"""Metrics of dense labels: one pass over the set, every score from summed counts."""

from segup.metrics.segmentation import Scores, SegmentationMetrics

__all__ = ["Scores", "SegmentationMetrics"]
