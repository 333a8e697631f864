"""How an encoder's stages round, one by one and together."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Literal

from segup.conform import Signed, Within
from segup.errors import ConfigError

Rounding = Literal["up", "down"] | Signed | None
"""``"up"``, ``"down"``, the int c of a stage that makes ⌊(n + c)/stride⌋ of n, or None where no one rule holds."""

Roundings = Annotated[list[Rounding], Within(0, 64)]


def whole_roundings(roundings: Sequence[Rounding] | None, maps: int) -> tuple[Rounding, ...]:
    """Return one rounding for each map, the first from the image.

    Args:
        roundings: As many as there are maps, or one fewer, between the maps alone; None: all round up.
        maps: How many there are.

    Raises:
        ConfigError: Another number of them.

    >>> whole_roundings(["down"], 2), whole_roundings(None, 2)
    (('up', 'down'), ('up', 'up'))
    """
    rules: tuple[Rounding, ...] = tuple(["up"] * maps if roundings is None else roundings)
    if len(rules) not in (maps - 1, maps):
        raise ConfigError(f"roundings={list(rules)} must have length {maps - 1}, one between each map and the next")
    return ("up", *rules) if len(rules) < maps else rules


def composed(roundings: Sequence[Rounding], strides: Sequence[int | Fraction]) -> str | int:
    """Return how several stages round together; "mixed" where one of them follows no single rule.

    ⌊(n + b)/s⌋ and then ⌊(n + c)/t⌋ is ⌊(n + b + s·c)/(s·t)⌋.

    Args:
        roundings: Of each stage, the first from the image.
        strides: The reduction after each stage.

    >>> composed(["up", "up"], [2, 4]), composed(["up", "down"], [2, 4]), composed(["up", None], [2, 4])
    ('up', 1, 'mixed')
    """
    offset, reached = 0, 1  # both whole: an operator that inverts a stage takes no fraction
    for rounding, stride in zip(roundings, strides, strict=True):
        if rounding is None:
            return "mixed"
        stride = int(stride)
        own = {"up": stride // reached - 1, "down": 0}.get(rounding, 0) if isinstance(rounding, str) else rounding
        offset, reached = offset + reached * own, stride
    return {reached - 1: "up", 0: "down"}.get(offset, offset)
