"""From the data group of a configuration to the DataModule."""

import inspect
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from segup.calls import accepts, annotated
from segup.data.labels import Labels
from segup.data.module import SegmentationData
from segup.data.sets import create_dataset, datasets
from segup.data.transforms import Augment
from segup.errors import ConfigError, unknown

_LABELS = ("classes", "colors", "ignore_index")
_MISSING = "???"


@annotated
def create_data(config: Mapping[str, Any], seed: int = 0) -> SegmentationData:
    """Create the DataModule that a data configuration describes.

    Args:
        config: ``name`` of the data set; ``classes``, ``colors`` and ``ignore_index``; the arguments of
            :class:`SegmentationData`, with ``augment`` as a mapping; and the options of the data set, such as ``root``.
        seed: Seed of the order and of the augmentation.

    Raises:
        ConfigError: A key is unknown or missing (the message has the nearest match), or a value is out of range.

    Example:
        >>> classes = ["background", "cytoplasm", "nucleus"]
        >>> data = create_data({"name": "cells", "classes": classes, "crop_size": [33, 47], "batch_size": 2})
        >>> data.labels.num_classes
        3
        >>> create_data({"name": "cells", "classes": classes, "batchsize": 2})
        Traceback (most recent call last):
        ...
        segup.errors.ConfigError: unknown option of data set 'cells' 'batchsize': did you mean 'batch_size'? known: ...
    """
    options = {key: value for key, value in config.items() if value != _MISSING}
    _require(("name", "classes"), [key for key, value in options.items() if value is not None])
    name = options.pop("name")
    own = _parameters(datasets.get(name), {"labels"})
    module = _parameters(SegmentationData, {"source", "seed"})
    for key in options:
        if key not in own and key not in module and key not in _LABELS:
            raise ConfigError(unknown(f"option of data set '{name}'", key, {*own, *module, *_LABELS, "name"}))
    needed = {key: parameter.annotation for key, parameter in own.items() if parameter.default is parameter.empty}
    unset = {key for key, kind in needed.items() if options.get(key) is None and not accepts(kind, None)}
    _require(needed, options.keys() - unset)
    for key in {"root", "cache_dir"} & options.keys():
        options[key] = _path(key, options[key])
    index = options.get("ignore_index")
    labels = Labels(options["classes"], options.get("colors") or (), 255 if index is None else index)
    source = create_dataset(name, labels, **{key: options[key] for key in options if key in own})
    arguments = {key: options[key] for key in options if key in module and key not in own}
    augment = Augment.from_config(arguments.pop("augment", None))
    return SegmentationData(source, augment=augment, seed=seed, **arguments)


def _path(key: str, value: Any) -> str | None:
    """Return a path as text; a folder called 2024 comes as a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise ConfigError(f"data.{key}={value!r} must be a path")
    return None if value is None else os.path.expanduser(str(value))


def _require(keys: Iterable[str], given: Collection[str]) -> None:
    for key in keys:
        if key not in given:
            raise ConfigError(f"data.{key} is not set: give data.{key}=...")


def _parameters(part: Any, without: set[str]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(part).parameters
    return {name: parameter for name, parameter in parameters.items() if name not in without}
