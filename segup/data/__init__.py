"""Images and masks as loaders. They are read, checked, cropped and augmented in the same way for every model.

Names are imported on first use, so ``segup.data.sets`` can be listed without torch.
"""

from typing import TYPE_CHECKING

from segup.imports import lazily

if TYPE_CHECKING:
    from segup.data.config import create_data
    from segup.data.images import read_image
    from segup.data.labels import Labels
    from segup.data.masks import ClassFrequencies, read_mask
    from segup.data.module import SegmentationData
    from segup.data.pairs import Pair
    from segup.data.sets import create_dataset, list_datasets, register_dataset
    from segup.data.sets.cells import embedded_folder

__all__ = [
    "ClassFrequencies",
    "Labels",
    "Pair",
    "SegmentationData",
    "create_data",
    "create_dataset",
    "embedded_folder",
    "list_datasets",
    "read_image",
    "read_mask",
    "register_dataset",
]

_HOMES = {
    "config": ("create_data",),
    "images": ("read_image",),
    "labels": ("Labels",),
    "masks": ("ClassFrequencies", "read_mask"),
    "module": ("SegmentationData",),
    "pairs": ("Pair",),
    "sets": ("create_dataset", "list_datasets", "register_dataset"),
    "sets.cells": ("embedded_folder",),
}
__getattr__, __dir__ = lazily(__name__, _HOMES)
