"""Images and masks as loaders. They are read, checked, cropped and augmented in the same way for every model.

Names are imported on first use, so ``segup.data.sets`` can be listed without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

# ruff: noqa: F401
if TYPE_CHECKING:
    from segup.data.config import create_data
    from segup.data.images import read_image
    from segup.data.labels import Labels
    from segup.data.masks import ClassFrequencies, read_mask
    from segup.data.module import SegmentationData
    from segup.data.pairs import Pair
    from segup.data.sets import create_dataset, list_datasets, register_dataset
    from segup.data.sets.cells import embedded_folder

_HOMES = {
    "ClassFrequencies": "masks",
    "Labels": "labels",
    "Pair": "pairs",
    "SegmentationData": "module",
    "create_data": "config",
    "create_dataset": "sets",
    "embedded_folder": "sets.cells",
    "list_datasets": "sets",
    "read_image": "images",
    "read_mask": "masks",
    "register_dataset": "sets",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import the module that a public name lives in."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"segup.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'segup.data' has no attribute '{name}'")
