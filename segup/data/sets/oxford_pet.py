"""The Oxford-IIIT pets, found and downloaded by torchvision."""

from pathlib import Path

from segup.data.labels import Labels
from segup.data.pairs import VAL_FRACTION, Pair, ValFraction, held_out
from segup.data.sets import DataSource, register_dataset
from segup.errors import ConfigError, DataError


@register_dataset("oxford_pet")
class OxfordPet(DataSource):
    """7349 cats and dogs; the trimaps' pet, background and border become classes 1, 0 and 2.

    Parkhi et al., "Cats and dogs" (2012). Of the 3680 images of the official "trainval" list, ``val_fraction``
    validates, chosen by the images' names; the official test images test.

    Args:
        labels: Three classes: background, pet, border. With two, the border is ignored.
        root: The folder that holds, or is to hold, ``oxford-iiit-pet``.
        download: Whether to download it (0.8 GB) where it is missing.
        val_fraction: Share of the "trainval" images that validates.

    Raises:
        ConfigError: For more than three classes; from ``pairs``, for a val_fraction that is not between 0 and 1.
    """

    inside = ("oxford-iiit-pet",)

    def __init__(
        self, labels: Labels, root: str, download: bool = False, val_fraction: ValFraction = VAL_FRACTION
    ) -> None:
        if labels.num_classes > 3:
            raise ConfigError(f"the pets have 2 or 3 classes, not {labels.num_classes}")
        self.labels = labels
        self.mask_values = {2: 0, 1: 1, 3: 2 if labels.num_classes == 3 else labels.ignore_index}
        self.root = Path(root)
        self.download = download
        self.val_fraction = val_fraction

    def prepare(self) -> None:
        """Download what is missing, if asked to."""
        if self.download:
            from torchvision.datasets import OxfordIIITPet

            OxfordIIITPet(self.root, target_types="segmentation", download=True)

    def splits(self) -> tuple[str, ...]:
        """Return all three splits."""
        return ("train", "val", "test")

    def pairs(self, split: str) -> list[Pair]:
        """Return the images and masks of a split in the order of the official list."""
        base = self.root / "oxford-iiit-pet"
        listed = base / "annotations" / ("test.txt" if split == "test" else "trainval.txt")
        if not listed.is_file():
            raise DataError(f"{listed}: no such file; data.download=true fetches the pets")
        names = [line.split()[0] for line in listed.read_text().splitlines() if line and not line.startswith("#")]
        if split != "test":
            validating = held_out(names, self.val_fraction)
            names = [name for name in names if (name in validating) == (split == "val")]
        return [
            Pair(base / "images" / f"{name}.jpg", base / "annotations" / "trimaps" / f"{name}.png", name)
            for name in names
        ]
