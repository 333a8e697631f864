"""Metrics of dense labels: one pass over the set, every score from summed counts.

Names are loaded when they are asked for, so that scores can be read and shown without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

# ruff: noqa: F401
if TYPE_CHECKING:
    from segup.metrics.contract import Metrics, create_metric, create_metrics, list_metrics, register_metric
    from segup.metrics.scores import Score
    from segup.metrics.segmentation import SegmentationMetrics

_HOMES = {
    "Metrics": "contract",
    "Score": "scores",
    "SegmentationMetrics": "segmentation",
    "create_metric": "contract",
    "create_metrics": "contract",
    "list_metrics": "contract",
    "register_metric": "contract",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import the module that a public name lives in."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"segup.metrics.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'segup.metrics' has no attribute '{name}'")
