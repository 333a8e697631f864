"""What the topologies' arguments have in common, checked with the numbers put in."""

import itertools
from collections.abc import Mapping, Sequence, Set
from fractions import Fraction
from math import ceil
from types import MappingProxyType
from typing import Any, get_args

from segup.errors import ConfigError
from segup.registry import check_options
from segup.upsamplers.contract import OPTIONS_OF_ALL, Fit, operator_class, refuse_guides

IMAGE_WIDTH = 16
"""Channels at the image's own resolution: a 3×3 convolution there costs more than all others together."""
BETWEEN_MAPS = frozenset({"skip", "indices"})
"""The guides that steps between two maps have, and the step to the image has not."""


def resize_alone(mode: str = "bilinear", **more: Any) -> Mapping[str, Any]:
    """Return the arguments of a decoder all of whose steps are a resize without parameters, and more of its own.

    >>> resize_alone("nearest", head="before")["upsampler"]
    'nearest'
    """
    own = {"kernel_size": None}
    steps = {"upsampler": mode, "upsampler_options": own, "final": mode, "final_options": own}
    return MappingProxyType({**steps, **more})


WIDTHS = MappingProxyType({16: 128, 8: 64, 4: 48, 2: 32, 1: IMAGE_WIDTH})
"""Channels after a U-Net's step to each stride, by default."""
PUBLISHED_WIDTHS = MappingProxyType({16: 256, 8: 128, 4: 64, 2: 32, 1: IMAGE_WIDTH})
"""Those of the U-Net that is published with pretrained encoders."""


def width_at(stride: int | Fraction, widths: Mapping[int, int] = WIDTHS) -> int:
    """Return the channels that a U-Net step to ``stride`` has by default, to a fraction that to the next power of two.

    >>> [width_at(stride) for stride in (16, 8, 4, 2, 1, Fraction(7, 2), 32)]
    [128, 64, 48, 32, 16, 48, 128]
    """
    stride = stride if stride.denominator == 1 else 2 ** (ceil(stride) - 1).bit_length()
    return widths.get(int(stride), max(widths.values()))


def checked_widths(widths: Sequence[int] | None, default: Sequence[int], rule: str) -> list[int]:
    """Return ``widths``, or ``default`` where they are None.

    Args:
        widths: What was given.
        default: As many as are needed.
        rule: What they are of, for the error.

    Raises:
        ConfigError: Another number of them.

    >>> checked_widths([8, 4], [2, 2], "must have 2"), checked_widths(None, [2, 2], "must have 2")
    ([8, 4], [2, 2])
    """
    if widths is None:
        return list(default)
    if len(widths) != len(default):
        raise ConfigError(f"decoder.widths={list(widths)} {rule}")
    return list(widths)


def step_widths(
    strides: Sequence[int | Fraction], to_image: bool = True, widths: Mapping[int, int] = WIDTHS
) -> tuple[list[int], str]:
    """Return the channels after each step of a decoder that climbs all of a pyramid, and the rule for others.

    Args:
        strides: Of the pyramid.
        to_image: Whether the step to the image is included.
        widths: Channels by the stride reached.

    >>> step_widths((4, 8, 16))
    ([64, 48, 16], 'must have one width for each step: 3, to strides 8, 4, 1')
    """
    reached = [*reversed(strides[:-1]), *([1] if to_image else [])]
    rule = f"must have one width for each step: {len(reached)}, to strides {', '.join(map(str, reached))}"
    return [width_at(stride, widths) for stride in reached], rule


def checked_options(name: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return an operator's options as a dict of its own; None are none.

    Raises:
        ConfigError: One that follows from the operator's place.

    >>> checked_options("final_options", None)
    {}
    """
    options = dict(options or {})
    for option in sorted(options.keys() & set(OPTIONS_OF_ALL)):
        given = f"decoder.{name}.{option}={options[option]!r}"
        if option == "fit":
            wanted = options[option] if options[option] in get_args(Fit) else "strict"
            raise ConfigError(f"{given} cannot be given for one operator.\n  try: decoder.fit={wanted}")
        raise ConfigError(f"{given} cannot be given: it follows from the operator's place in the decoder")
    return options


def checked_operator(
    name: str, given: Mapping[str, Any] | None, group: str, lacks: Set[str], said: str, why: str, way_out: str
) -> dict[str, Any]:
    """Return an operator's own options, once it is known that its place has what it requires.

    Args:
        name: Of the operator.
        given: The options.
        group: In which they are given.
        lacks: The guides that the place does not have.
        said, why, way_out: Begin the error: how the operator was asked for, what is missing, and what else to ask for.

    Raises:
        ConfigError: It requires what the place does not have, or an option is unknown.
    """
    own, kind = checked_options(group, given), operator_class(name)
    refuse_guides(kind.required(**own) & lacks, said, why, f"{way_out} that requires nothing: ")
    check_options(kind, own, f"upsampler '{name}'", OPTIONS_OF_ALL)
    return own


def check_pyramid(channels: Sequence[int], strides: Sequence[int | Fraction]) -> None:
    """Raise a ConfigError unless channels and strides describe a pyramid from high to low resolution."""
    shown = f"[{', '.join(map(str, strides))}]"
    if len(channels) != len(strides) or not channels:
        raise ConfigError(f"channels={list(channels)} and strides={shown} must be two lists of one length, ≥ 1")
    for high, low in itertools.pairwise(strides):
        if low <= high or low % high:
            raise ConfigError(
                f"strides={shown} must go from high to low resolution, each a multiple of the one before; "
                f"{low} after {high} is not"
            )
