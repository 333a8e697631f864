"""The rows of a ``metrics.csv``; reading them loads nothing that training needs."""

import csv
from pathlib import Path


def read_history(path: Path) -> list[dict[str, str]]:
    """Return the rows of a ``metrics.csv``."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
