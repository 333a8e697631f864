"""CamVid as the SegNet paper splits it: train, val and test beside trainannot, valannot and testannot."""

from dataclasses import replace
from pathlib import Path

from segup.data.labels import Labels
from segup.data.pairs import Pair, match_by_stem
from segup.data.sets import SPLITS, DataSource, register_dataset


@register_dataset("camvid")
class CamVid(DataSource):
    """Street scenes of 360×480 pixels: 367 to train, 101 to validate, 233 to test, 11 classes, id 11 unlabelled.

    Brostow et al., "Semantic object classes in video" (2009), in the version of Badrinarayanan et al.,
    "SegNet" (2017).

    Args:
        labels: The classes; ids are those of the mask files.
        root: The folder that holds the six folders.
    """

    inside = ("train", "trainannot", "test", "testannot")

    def __init__(self, labels: Labels, root: str) -> None:
        self.labels = labels
        self.root = Path(root)

    def splits(self) -> tuple[str, ...]:
        """Return the splits that exist."""
        return tuple(split for split in SPLITS if (self.root / split).is_dir())

    def pairs(self, split: str) -> list[Pair]:
        """Return the images and masks of a split, sorted by name; the drive that a frame is of is its group."""
        pairs = match_by_stem(self.root / split, self.root / f"{split}annot")
        return [replace(pair, group=pair.name.rpartition("_")[0] or None) for pair in pairs]
