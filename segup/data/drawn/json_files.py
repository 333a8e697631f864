"""JSON that other programs wrote."""

import json
from pathlib import Path
from typing import Any

from segup.errors import DataError


def read_foreign_json(path: Path) -> Any:
    """Return the plain values of a JSON file of any size.

    Raises:
        DataError: It is missing, or no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as cause:
        raise DataError(f"{path}: no JSON, or cut short ({str(cause).splitlines()[0]})") from cause
