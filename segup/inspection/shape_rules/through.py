"""What a shape rule does with a layer of the calculus: a map's size goes through its law."""

from collections.abc import Sequence
from typing import Any

from segup.inspection.calls import Reading
from segup.inspection.periodic import Extent, PeriodTooLongError
from segup.inspection.shape_rules.sizes import NoRuleError, Shape, Sizes, fixed
from segup.inspection.traced import Dim, TracedSize, as_int, periodic_of
from segup.shapes.layer import LawAxis, Layer


def through(sizes: Sizes, layer: Layer[Any], before: Shape, channels: Any = None) -> Shape:
    """Return a map's shape after a layer, whose smallest input is noted as required."""
    reads(sizes, layer, len(before))
    outs = [apply(sizes, axis, dim, sizes.said.words) for axis, dim in zip(layer.axes, before[-2:], strict=True)]
    head = before[:-2] if channels is None else (*before[:-3], channels)
    return (*head, *(made_here(sizes, out) for out in outs))


def reads(sizes: Sizes, layer: Layer[Any], rank: int) -> None:
    """Say what a layer reads of a map of ``rank`` dimensions."""
    sizes.said.words = str(layer)
    for place, axis in enumerate(layer.axes, rank - 2):
        sizes.read(place, Reading.of(axis))


def apply(sizes: Sizes, axis: LawAxis, dim: Dim, words: str = "") -> Dim:
    """Return the size after one axis of a layer, its smallest input noted as required.

    Raises:
        ShapeError: The size is below it.
    """
    if words:
        message = (
            f"'{words}' does not accept size {as_int(dim)}: {axis.size_rule(as_int(dim))}; {axis.least} is the least"
        )
        sizes.require(dim, ">=", axis.least, message)
    value, single = axis.law.out(as_int(dim)), periodic_of(dim)
    if type(dim) is int:
        return value
    if axis.law.rise == axis.law.run and axis.law.out(0) == 0:  # the identity, of a product too
        return dim
    if single is None:
        return sizes.made(value, None)
    try:
        return sizes.made(value, Extent.of(single[0], single[1].through(axis.law)))
    except PeriodTooLongError as cause:
        sizes.record.lose(f"a size {cause}, in {sizes.record.where}")
        return sizes.made(value, None)


def made_here(sizes: Sizes, dim: Dim) -> Dim:
    """Return a size as made by this call, and keep its function."""
    single = periodic_of(dim)
    if single is not None:
        sizes.record.functions[single[0]].add(single[1])
    return sizes.moved(dim)


def pair(value: Any) -> tuple[int, int]:
    """Return torch's int or sequence of one or two ints as a (height, width) pair.

    >>> pair(3), pair([2]), pair((1, 2))
    ((3, 3), (2, 2), (1, 2))
    """
    height, width = fixed(two(value))
    return height, width


def two(value: Any) -> tuple[Any, Any]:
    """Return torch's int or sequence as a pair; its parts may be traced."""
    if isinstance(value, Sequence):
        parts = tuple(value)
        return (parts[0], parts[0]) if len(parts) == 1 else (parts[-2], parts[-1])
    return value, value


def exact(factor: Any) -> int | float:
    """Return a resize factor: a float that is a whole number, as ``nn.Upsample`` stores it, is that int.

    >>> exact(2.0), exact(0.5)
    (2, 0.5)
    """
    if type(factor) is TracedSize or not isinstance(factor, int | float) or isinstance(factor, bool):
        raise NoRuleError
    return int(factor) if float(factor).is_integer() else factor
