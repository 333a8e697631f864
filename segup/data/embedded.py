"""The folder of the data that is part of the package."""

from pathlib import Path

from segup.calls import annotated
from segup.errors import DataError

_PACKAGE = Path(__file__).resolve().parents[1]


@annotated
def embedded_folder(name: str) -> Path:
    """Return the folder of an embedded data set: inside the installed package, or in the checkout's ``data``.

    Raises:
        DataError: Neither exists.

    >>> sorted(path.name for path in embedded_folder("cells").iterdir() if path.is_dir())
    ['images', 'masks']
    """
    places = (_PACKAGE / "embedded" / name, _PACKAGE.parent / "data" / name)
    for place in places:
        if place.is_dir():
            return place
    raise DataError(f"the embedded data set '{name}' is missing: neither {places[0]} nor {places[1]} is a folder")
