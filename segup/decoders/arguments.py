"""What the topologies' arguments have in common, checked with the numbers put in."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from segup.conform import Counts, Few, Name, Signed, Within, closed, short
from segup.errors import ConfigError
from segup.upsamplers.contract import OPTIONS_OF_ALL

STORABLE = closed(
    widths=Counts | None,
    final=Name,
    fit=Name,
    convs=Few | None,
    upsampler_options=dict[str, Any] | None,
    final_options=dict[str, Any] | None,
    roundings=Annotated[list[Name | Signed | None], Within(0, 64)] | None,
)
"""The options of every topology that a checkpoint may hold; the operators' own are theirs to declare."""
IMAGE_WIDTH = 16
"""Channels at the image's own resolution: a 3×3 convolution there costs more than all others together."""


MOST = 2**16
"""Of anything that is counted in a decoder."""


def default_width(stride: int) -> int:
    """Return the channels that a U-Net step to ``stride`` has by default.

    >>> [default_width(stride) for stride in (16, 8, 4, 2, 1)]
    [128, 64, 48, 32, 16]
    """
    return {16: 128, 8: 64, 4: 48, 2: 32, 1: IMAGE_WIDTH}.get(stride, 128)


def checked_widths(widths: Any, default: Sequence[int], rule: str) -> list[int]:
    """Return ``widths``, or ``default`` where they are None.

    Args:
        widths: What was given.
        default: As many ints as are needed.
        rule: What they are of, for the error.

    Raises:
        ConfigError: A value that is not an int of 1 or more, or another number of them.

    >>> checked_widths([8, 4], [2, 2], "must have 2")
    [8, 4]
    >>> checked_widths(["a"], [2, 2], "must have 2")
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: decoder.widths=['a'] must be a list of ints of 1 or more; 'a' is not
    """
    if widths is None:
        return list(default)
    if isinstance(widths, str) or not isinstance(widths, Sequence):
        raise ConfigError(f"decoder.widths={widths!r} must be a list of ints of 1 or more")
    for width in widths:
        if isinstance(width, bool) or not isinstance(width, int) or not 1 <= width < 2**31:
            raise ConfigError(f"decoder.widths={list(widths)} must be a list of ints of 1 or more; {width!r} is not")
    if len(widths) != len(default):
        raise ConfigError(f"decoder.widths={list(widths)} {rule}")
    return list(widths)


def step_widths(strides: Sequence[int]) -> tuple[list[int], str]:
    """Return the channels after each step of a decoder that climbs all of a pyramid, and the rule for others.

    The step to the image is included, where the pyramid begins above stride 1.

    >>> step_widths((4, 8, 16))
    ([64, 48, 16], 'must have one width for each step: 3, to strides 8, 4, 1')
    """
    reached = [*reversed(strides[:-1]), *([1] if strides[0] > 1 else [])]
    rule = f"must have one width for each step: {len(reached)}, to strides {', '.join(map(str, reached))}"
    return [default_width(stride) for stride in reached], rule


def checked_count(name: str, value: Any, default: int, least: int, most: int | None = None) -> int:
    """Return ``value``, or ``default`` where it is None.

    Raises:
        ConfigError: A value that is not an int from ``least`` to ``most``.

    >>> checked_count("depths", 3, default=4, least=2, most=5), checked_count("convs", None, default=2, least=0)
    (3, 2)
    """
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= (most or MOST):
        huge = isinstance(value, int) and value > MOST
        reach = f"of {least} or more" if most is None and not huge else f"from {least} to {most or MOST}"
        raise ConfigError(f"decoder.{name}={short(value)} must be an int {reach}")
    return value


def checked_options(name: str, options: Any) -> dict[str, Any]:
    """Return an operator's options as a dict of its own; None are none.

    Raises:
        ConfigError: Something else than a mapping, or what follows from the operator's place.

    >>> checked_options("final_options", None)
    {}
    """
    if not isinstance(options, Mapping | None):
        raise ConfigError(f"decoder.{name}={options!r} must be a group of keys, or null")
    for option in sorted(set(options or ()) & set(OPTIONS_OF_ALL)):
        given = f"decoder.{name}.{option}={(options or {})[option]!r}"
        if option == "fit":
            raise ConfigError(
                f"{given} cannot be given for one operator.\n  try: decoder.fit={(options or {})[option]}"
            )
        raise ConfigError(f"{given} cannot be given: it follows from the operator's place in the decoder")
    return dict(options or {})


def first_level(depths: Any, maps: int, default: int) -> int:
    """Return the highest-resolution level that is used, of a pyramid of ``maps``, when ``depths`` of them are.

    >>> first_level(None, maps=5, default=4), first_level(None, maps=3, default=4), first_level(5, maps=5, default=4)
    (1, 0, 0)
    """
    return maps - checked_count("depths", depths, min(default, maps), least=1, most=maps)
