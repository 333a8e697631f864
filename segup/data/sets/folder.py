"""A person's own folder of images and masks."""

from functools import cached_property
from pathlib import Path

from segup.data.labels import Labels, MaskValues
from segup.data.pairs import Pair, held_out, match_by_stem
from segup.data.sets import SPLITS, register_dataset
from segup.errors import DataError


@register_dataset("folder")
class Folder:
    """Images and masks of the same name, except the extension, in one of three layouts.

    - ``images/{train,val,test}/`` and ``masks/{train,val,test}/``;
    - ``{train,val,test}/images/`` and ``{train,val,test}/masks/``;
    - ``images/`` and ``masks/``: ``val_fraction`` of the pairs validates. Only the names decide which, so most pairs
      stay in their split when others are added, on any machine.

    The test split may be left out.

    Args:
        labels: The classes.
        root: The folder.
        val_fraction: Share of the pairs that validates if the folder has no splits; at least one pair.

    Raises:
        ConfigError: From ``pairs``: val_fraction is not between 0 and 1.
        DataError: From ``pairs``: a folder is missing or empty, or an image or a mask has no partner.
    """

    def __init__(self, labels: Labels, root: str, val_fraction: float = 0.2) -> None:
        self.labels = labels
        self.mask_values: MaskValues | None = None
        self.root = Path(root)
        self.val_fraction = val_fraction

    def prepare(self) -> None:
        """Nothing to download."""

    def splits(self) -> tuple[str, ...]:
        """Return the splits that exist."""
        return tuple(split for split in SPLITS if self._own_split(split)) or ("train", "val")

    def pairs(self, split: str) -> list[Pair]:
        """Return the images and masks of a split, sorted by name."""
        if not self.root.is_dir():
            raise DataError(f"{self.root}: no such folder")
        if any(self._own_split(name) for name in SPLITS):
            folders = self._own_split(split)
            if folders is None:
                found = ", ".join(self.splits())
                raise DataError(f"{self.root}: no folder for the split '{split}' beside those for {found}")
            return match_by_stem(*folders)
        validating = held_out([pair.name for pair in self._together], self.val_fraction)
        return [pair for pair in self._together if (pair.name in validating) == (split == "val")]

    @cached_property
    def _together(self) -> list[Pair]:
        """All pairs of a folder without splits of its own."""
        return match_by_stem(self.root / "images", self.root / "masks")

    def _own_split(self, split: str) -> tuple[Path, Path] | None:
        for images, masks in ((f"images/{split}", f"masks/{split}"), (f"{split}/images", f"{split}/masks")):
            if (self.root / images).is_dir():
                return self.root / images, self.root / masks
        return None
