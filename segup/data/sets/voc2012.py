"""Pascal VOC 2012, found and downloaded by torchvision."""

from pathlib import Path

from segup.data.labels import Labels
from segup.data.pairs import Pair
from segup.data.sets import DataSource, register_dataset
from segup.errors import DataError


@register_dataset("voc2012")
class Voc2012(DataSource):
    """The 1464 training and 1449 validation images with masks; 20 objects and a background, 255 is ignored.

    Everingham et al., "The Pascal visual object classes challenge" (2015).

    Args:
        labels: 21 classes.
        root: The folder that holds, or is to hold, ``VOCdevkit/VOC2012``.
        download: Whether to download it (2 GB) where it is missing.
    """

    inside = ("VOCdevkit/VOC2012",)

    def __init__(self, labels: Labels, root: str, download: bool = False) -> None:
        self.labels = labels
        # The palette images' indices are the ids, but their border keeps 255 whatever the ignore_index is.
        self.mask_values = {**{i: i for i in range(labels.num_classes)}, 255: labels.ignore_index}
        self.root = Path(root)
        self.download = download

    def prepare(self) -> None:
        """Download what is missing, if asked to."""
        if self.download and not (self.root / "VOCdevkit" / "VOC2012").is_dir():
            from torchvision.datasets import VOCSegmentation

            VOCSegmentation(self.root, download=True)

    def pairs(self, split: str) -> list[Pair]:
        """Return the images and masks of a split in the order of its list."""
        from torchvision.datasets import VOCSegmentation

        try:
            found = VOCSegmentation(self.root, image_set=split)
        except (RuntimeError, OSError) as cause:
            raise DataError(
                f"{self.root}: no VOCdevkit/VOC2012 with its list of '{split}' images; data.download=true fetches it"
            ) from cause
        return [
            Pair(Path(image), Path(mask), Path(image).stem)
            for image, mask in zip(found.images, found.masks, strict=True)
        ]
