"""The size calculus applied to any torch module: real sizes, read without running on real tensors."""

from segup.inspection.features import Pyramid, feature_sizes, probe_pyramid

__all__ = ["Pyramid", "feature_sizes", "probe_pyramid"]
