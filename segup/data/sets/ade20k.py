"""ADE20K as the scene parsing challenge gives it out: ADEChallengeData2016."""

from pathlib import Path

from segup.data.labels import Labels
from segup.data.pairs import Pair, match_by_stem
from segup.data.sets import DataSource, register_dataset
from segup.errors import ConfigError

_CLASSES = 150
_FOLDERS = {"train": "training", "val": "validation"}


@register_dataset("ade20k")
class Ade20k(DataSource):
    """20210 training and 2000 validation images; 150 classes. Other objects, 0 in the files, are ignored.

    Zhou et al., "Scene parsing through ADE20K dataset" (2017). The test masks are not public.

    Args:
        labels: 150 classes, in the challenge's order.
        root: The folder that holds ``images`` and ``annotations``, or ``ADEChallengeData2016`` with these inside.
    """

    inside = ("images/training", "annotations/training")

    def __init__(self, labels: Labels, root: str) -> None:
        if labels.num_classes != _CLASSES:
            raise ConfigError(f"ADE20K has {_CLASSES} classes, not {labels.num_classes}")
        self.labels = labels
        self.mask_values = {0: labels.ignore_index, **{index + 1: index for index in range(_CLASSES)}}
        inner = Path(root, "ADEChallengeData2016")
        self.root = inner if inner.is_dir() else Path(root)

    def pairs(self, split: str) -> list[Pair]:
        """Return the images and masks of a split, sorted by name."""
        folder = _FOLDERS[split]
        return match_by_stem(self.root / "images" / folder, self.root / "annotations" / folder)
