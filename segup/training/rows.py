"""The rows of a ``metrics.csv``; reading them loads nothing that training needs."""

import csv
import io
from pathlib import Path


def read_history(path: Path) -> list[dict[str, str]]:
    """Return the rows of a ``metrics.csv``, but for a last one that is still being written."""
    lines, _, _ = path.read_bytes().rpartition(b"\n")
    return list(csv.DictReader(io.StringIO(lines.decode(), newline="")))
