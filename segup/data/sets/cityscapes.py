"""Cityscapes, found by torchvision where a person has put it."""

from pathlib import Path

from segup.data.files import check_archive
from segup.data.labels import Labels
from segup.data.pairs import Pair
from segup.data.sets import DataSource, register_dataset
from segup.errors import ConfigError, DataError


@register_dataset("cityscapes")
class Cityscapes(DataSource):
    """2975 training and 500 validation images of 1024×2048 pixels with fine masks; 19 classes.

    Cordts et al., "The Cityscapes dataset for semantic urban scene understanding" (2016). The files hold 34 label
    ids; 19 of them become the classes 0…18 of the benchmark, the others are ignored. The test masks are not public.

    Args:
        labels: 19 classes, in the benchmark's order.
        root: The folder that holds ``leftImg8bit`` and ``gtFine``.
    """

    inside = ("leftImg8bit", "gtFine")

    def __init__(self, labels: Labels, root: str) -> None:
        from torchvision.datasets import Cityscapes as Official

        official = [entry for entry in Official.classes if entry.id >= 0]
        count = sum(not entry.ignore_in_eval for entry in official)
        if labels.num_classes != count:
            raise ConfigError(f"Cityscapes has {count} classes, not {labels.num_classes}")
        self.labels = labels
        self.mask_values = {
            entry.id: labels.ignore_index if entry.ignore_in_eval else entry.train_id for entry in official
        }
        self.root = Path(root)

    def pairs(self, split: str) -> list[Pair]:
        """Return the images and masks of a split, sorted by name."""
        from torchvision.datasets import Cityscapes as Official

        for archive in sorted(self.root.glob("*.zip"), reverse=True):  # torchvision unpacks what it finds
            check_archive(archive)
        try:
            found = Official(str(self.root), split=split, mode="fine", target_type="semantic")
        except (RuntimeError, OSError) as cause:
            raise DataError(
                f"{self.root}: no leftImg8bit/{split} and gtFine/{split} (or the two zip files); "
                "get them from cityscapes-dataset.com"
            ) from cause
        pairs = [
            Pair(Path(image), Path(mask), Path(image).stem.removesuffix("_leftImg8bit"))
            for image, (mask,) in zip(found.images, found.targets, strict=True)
        ]
        return sorted(pairs, key=lambda pair: pair.name)
