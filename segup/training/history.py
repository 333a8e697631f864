"""``metrics.csv``: one row per logged step, kept whole when a run is resumed."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from segup.training.rows import read_history
from segup.whole import append_whole, write_whole

__all__ = ["COLUMNS", "CsvHistory", "read_history"]

COLUMNS = (
    "step",
    "epoch",
    "lr",
    "train/loss",
    "val/miou",
    "val/pixel_accuracy",
    "val/class_accuracy",
    "val/dice",
    "val/boundary_iou",
    "val/bf_score",
    "val/checkerboard",
)


class CsvHistory(Logger):
    """Append what is logged to a CSV file; an empty cell was not logged at that step.

    Args:
        path: The file. Rows that it has from steps after ``first_step`` are dropped with the first row that is logged:
            the resumed run writes them anew.
        first_step: The optimizer steps that are already done.
    """

    def __init__(self, path: Path, first_step: int = 0) -> None:
        super().__init__()
        self.path, self._first_step = path, first_step
        self._begun = False

    def _begin(self) -> None:
        path, first_step = self.path, self._first_step
        kept = [row for row in read_history(path) if int(row["step"]) <= first_step] if path.exists() else []
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(kept)
        write_whole(path, text.getvalue().encode())  # the rows that are kept outlive a kill at this moment
        self._begun = True

    @property
    def name(self) -> str:
        """Lightning's name for it."""
        return "csv"

    @property
    def version(self) -> str:
        """Lightning's version for it."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Write nothing: the resolved configuration is in ``config.yaml``."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one row; ``step`` counts from 0 in Lightning and from 1 in the file."""
        row = {name: value for name, value in metrics.items() if name in COLUMNS}
        if row.keys() <= {"epoch"}:
            return
        row["step"] = (step or 0) + 1
        if "epoch" in row:
            row["epoch"] = int(row["epoch"])
        if not self._begun:
            self._begin()
        text = io.StringIO()
        csv.DictWriter(text, COLUMNS).writerow(row)
        append_whole(self.path, text.getvalue().encode())
