"""Runs side by side: what differs, by how much, and which differences are decided."""

from segup.ablation.comparison import Comparison, Row, compare
from segup.ablation.criterion import Criterion
from segup.ablation.runs import Run, read_run

__all__ = ["Comparison", "Criterion", "Row", "Run", "compare", "read_run"]
