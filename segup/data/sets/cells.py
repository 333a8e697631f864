"""The embedded scratch assay: ten frames, three classes; data/cells/README.md describes it."""

from dataclasses import replace
from pathlib import Path

from segup.calls import annotated
from segup.data.labels import Labels
from segup.data.pairs import Pair, match_by_stem
from segup.data.sets import DataSource, register_dataset
from segup.errors import DataError

_PACKAGE = Path(__file__).resolve().parents[2]


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


@register_dataset("cells")
class Cells(DataSource):
    """Seven training and three validation frames of one field; no test split.

    Args:
        labels: Three classes: background, cytoplasm, nucleus.
        root: A folder laid out as data/cells; None for the embedded one.
    """

    def __init__(self, labels: Labels, root: str | None = None) -> None:
        self.labels = labels
        self.root = embedded_folder("cells") if root is None else Path(root)

    def pairs(self, split: str) -> list[Pair]:
        """Return the frames of a split."""
        pairs = match_by_stem(self.root / "images" / split, self.root / "masks" / split)
        return [replace(pair, group=_two_frames(pair.name)) for pair in pairs]


def _two_frames(name: str) -> str | None:
    """Return which two frames in a row a frame is one of: they are nearly alike, and folds keep them together.

    >>> _two_frames("frame_4"), _two_frames("frame_5"), _two_frames("other")
    ('frames 4 and 5', 'frames 4 and 5', None)
    """
    number = name.removeprefix("frame_")
    if not (number.isascii() and number.isdigit()):
        return None
    first = int(number) // 2 * 2
    return f"frames {first} and {first + 1}"
