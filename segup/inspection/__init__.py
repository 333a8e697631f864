"""The size calculus applied to any torch module: real sizes, read without running on real tensors."""

from segup.inspection.check import check_sizes
from segup.inspection.features import Pyramid, feature_sizes, probe_pyramid
from segup.inspection.report import AxisReport, Failure, SizeReport
from segup.inspection.rules import inverse_of, rounding_of, stage_rules
from segup.inspection.size_map import size_map

__all__ = [
    "AxisReport",
    "Failure",
    "Pyramid",
    "SizeReport",
    "check_sizes",
    "feature_sizes",
    "inverse_of",
    "probe_pyramid",
    "rounding_of",
    "size_map",
    "stage_rules",
]
