"""Runs side by side: what differs, by how much, and whether it is more than noise."""

from segup.ablation.comparison import Comparison, Row, compare
from segup.ablation.runs import Run, read_run
from segup.ablation.statistics import Difference, Spread, differences, spread

__all__ = ["Comparison", "Difference", "Row", "Run", "Spread", "compare", "differences", "read_run", "spread"]
