"""Rows as CSV, and those of a ``metrics.csv``; nothing that training needs is loaded for them."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from segup.errors import DataError
from segup.stored import read_text

_WHOLE = ("step", "epoch")
_MOST = 2**28  # bytes; a million steps have a quarter of it


def csv_text(lines: Iterable[Sequence[Any]]) -> str:
    r"""Return lines of values as the text of a CSV file.

    >>> csv_text([("seed", "run"), (0, "a,b")])
    'seed,run\n0,"a,b"\n'
    """
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue()


def read_history(path: Path) -> list[dict[str, str]]:
    """Return the rows of a ``metrics.csv``, but for a last one that is still being written.

    Raises:
        FileNotFoundError: There is none.
        DataError: A row without its step, or a cell that is no number.
    """
    lines, _, _ = read_text(path, _MOST).rpartition("\n")
    try:
        rows = list(csv.DictReader(io.StringIO(lines, newline="")))
        for row in rows:
            for name, cell in row.items():
                if cell or name == "step":
                    int(cell) if name in _WHOLE else float(cell)
    except (csv.Error, ValueError, TypeError) as cause:  # a row that is longer than the first has a list of the rest
        raise DataError(f"{path} is not what segup writes: {cause}") from cause
    return rows
