"""The data sets. Each is one file, which lists the images and masks of a split.

A data set is a class that takes ``labels`` and its own options by keyword and has the members of :class:`DataSource`.
In a module of this package, ``@register_dataset("name")`` gives it a name. A data set from another package is named
``"mymodule:Class"``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol

from segup.data.labels import Labels, MaskValues
from segup.data.pairs import Pair
from segup.errors import ConfigError
from segup.registry import Registry

SPLITS = ("train", "val", "test")
_MEMBERS = ("labels", "mask_values", "prepare", "splits", "pairs")

__all__ = ["DataSource", "create_dataset", "datasets", "list_datasets", "register_dataset"]


class DataSource(Protocol):
    """What a data set must have for the DataModule.

    One that derives from it has masks of class ids, downloads nothing, and has the splits "train" and "val".

    Attributes:
        labels: The classes.
        mask_values: The meaning of values in the mask files; None if they are class ids and the ignore_index.
        inside: Folders below ``root`` by which ``segup data`` recognises the data set as it is published.
    """

    labels: Labels
    mask_values: MaskValues | None = None
    inside: ClassVar[tuple[str, ...]] = ()

    def prepare(self) -> None:
        """Download missing files, if the options say so. Only one process calls it."""
        return

    def splits(self) -> tuple[str, ...]:
        """Return which of "train", "val" and "test" exist."""
        return ("train", "val")

    def pairs(self, split: str) -> list[Pair]:
        """Return the images and masks of a split in a fixed order."""


datasets: Registry[Callable[..., Any]] = Registry("data set", "segup.data.sets", place=("labels",), group="data")
register_dataset = datasets.register


def create_dataset(name: str, /, labels: Labels, **options: Any) -> DataSource:
    """Create a data set by its name.

    Args:
        name: A registered name, or ``"module:Class"``.
        labels: Class names, colours and ignore_index.
        options: The options of the data set, such as ``root``.

    Raises:
        ConfigError: A name or an option is unknown (the message has the nearest match).

    Example:
        >>> labels = Labels(("background", "cytoplasm", "nucleus"))
        >>> [pair.name for pair in create_dataset("cells", labels).pairs("val")]
        ['frame_3', 'frame_6', 'frame_9']
    """
    source: DataSource = datasets.create(name, labels=labels, **options)
    absent = [member for member in _MEMBERS if not hasattr(source, member)]
    if absent:
        raise ConfigError(
            f"data set '{name}' makes a {type(source).__name__} without {', '.join(absent)}: see DataSource"
        )
    return source


def published(root: Path) -> list[str]:
    """Return the names of the data sets whose folders lie in ``root`` as they are published.

    >>> published(Path("no/such/folder"))
    []
    """
    known = {name: getattr(datasets.get(name), "inside", ()) for name in datasets.names()}
    return [name for name, inside in known.items() if inside and all((root / folder).is_dir() for folder in inside)]


def list_datasets() -> list[str]:
    """Return the names of all data sets.

    >>> "cells" in list_datasets()
    True
    """
    return datasets.names()
