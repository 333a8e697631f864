"""Runs side by side: what differs, by how much, and which differences are decided."""

from typing import Any

from segup.ablation.comparison import Comparison, Row, compare
from segup.ablation.criterion import Criterion
from segup.ablation.runs import Run, read_run

__all__ = ["Comparison", "Criterion", "Row", "Run", "compare", "read_run"]


def __getattr__(name: str) -> Any:
    """Answer the names that were here before ``segup.statistics``."""
    import segup.statistics

    if name in ("Difference", "Spread", "spread"):
        return getattr(segup.statistics, name)
    if name == "differences":  # its message would be lost in an AttributeError, which an import replaces by its own
        raise ImportError(
            "segup.ablation.differences is gone: its intervals held for normal noise alone.\n"
            "  try: segup.statistics.decide({'deconv': {0: 0.71, 1: 0.72}, 'bilinear': {0: 0.65, 1: 0.66}}, 'deconv')"
        )
    raise AttributeError(f"module 'segup.ablation' has no attribute '{name}'")
