"""What an exported file says of itself, beside its program: classes, colours, ranges, sizes."""

import json
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Any, Literal, NotRequired, TypedDict

from segup.conform import Count, conform
from segup.errors import ConfigError, DataError
from segup.export.program import Output
from segup.models import SegmentationModel
from segup.stored import check_plain

KEY = "segup"
"""Under which ``.onnx`` files hold it as JSON, among their metadata."""


class Trained(TypedDict, total=False):
    """What a checkpoint knows beside its model; all of it may be left out."""

    labels: dict[str, Any]
    image_range: list[float] | tuple[float, ...] | Literal["dtype"]
    config: dict[str, Any]


class About(Trained):
    """What an exported file holds.

    ``labels``: names, colours and the ignored id; ``image_range``: the values of an image file that are 0 and 1;
    ``config``: the data and metrics of the run; ``accepted``: the sizes that the encoder takes unextended; ``most``:
    the largest of them, if there is one.
    """

    version: str
    output: Output
    in_channels: Count
    num_classes: Count
    accepted: str
    most: NotRequired[Count | None]


def about(model: SegmentationModel, output: Output, trained: Mapping[str, Any]) -> About:
    """Return what a file of this model is to say.

    Raises:
        ConfigError: ``trained`` holds something else than :class:`Trained`, or what is no plain value.
    """
    accepted = model.encoder.pyramid.accepted
    content = {
        "version": version("segup"),
        "output": output,
        "in_channels": model.in_channels,
        "num_classes": model.num_classes,
        "accepted": str(accepted),
        "most": accepted.most,
        **trained,
    }
    check_plain(content)
    found: About = conform(About, content, "trained")
    return found


def read_about(text: str, path: Any) -> About:
    """Return what a file says of itself.

    Raises:
        DataError: That cannot be read.
    """
    try:
        content = json.loads(text)
        check_plain(content)
        found: About = conform(About, content, KEY)
    except (ValueError, RecursionError, ConfigError) as cause:
        raise DataError(f"{path}: what it says of its model cannot be read: {cause}") from cause
    return found


def library(name: str) -> Any:
    """Return a package of the extra ``export``.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as cause:
        if cause.name != name.partition(".")[0]:
            raise
        raise ConfigError(
            f"exported files need the package {name}, which is not installed.\n  try: pip install 'segup[export]'"
        ) from None
