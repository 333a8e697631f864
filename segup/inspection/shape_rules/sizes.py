"""What a shape rule needs: the sizes that it compares and makes, each comparison noted.

A rule takes the :class:`Sizes` of the run and the function's own arguments, and returns the shape of its result, or a
list of shapes for several results. :class:`NoRuleError` where it does not know. It looks at every argument that
follows from the input's size: torch may refuse one that it does not look at.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from segup.errors import ShapeError
from segup.inspection.calls import Reading, Said
from segup.inspection.periodic import Extent, PeriodicMap
from segup.inspection.record import RELATIONS, Record
from segup.inspection.traced import Dim, TracedSize, as_int, difference, extent_of, same

Shape = tuple[Dim, ...]
Shapes = Shape | list[Shape]
Rule = Callable[..., Shapes]


class NoRuleError(Exception):
    """A call whose result's shape no rule gives."""


class Sizes:
    """What a rule needs: the shapes of tensors, and the record that it notes requirements in.

    Args:
        record: Of the run.
        shape_of: Gives a tensor's shape.
        is_constant: Whether a tensor's values are known to be the same whatever the input is.
    """

    def __init__(
        self,
        record: Record,
        shape_of: Callable[[Tensor], Shape],
        is_constant: Callable[[Tensor], bool],
    ) -> None:
        self.record, self._shape_of, self.is_constant = record, shape_of, is_constant
        self._looked_at: set[int] = set()
        self.said = Said()

    def of(self, tensor: Tensor) -> Shape:
        """Return a tensor's shape; that the rule asked is kept."""
        self._looked_at.add(id(tensor))
        return self._shape_of(tensor)

    def any_will_do(self, values: Iterable[Any]) -> None:
        """Say of arguments that torch takes them whatever their sizes, or they themselves, are."""
        for value in values:
            if isinstance(value, Tensor):
                self.of(value)
            elif type(value) is TracedSize:
                value.looked_at = True

    def by(self, rule: Rule, args: Any, kwargs: Any, leaves: Sequence[Any]) -> Shapes:
        """Return what a rule gives.

        Raises:
            NoRuleError: It did not look at one of ``leaves``, the parts of its arguments, which are traced.
        """
        self.forget()
        shapes = rule(self, *args, **kwargs)
        for leaf in leaves:
            seen = id(leaf) in self._looked_at if isinstance(leaf, Tensor) else leaf.looked_at
            if not seen:
                raise NoRuleError
        return shapes

    def forget(self) -> None:
        """Forget what the last rule said."""
        self._looked_at.clear()
        self.said = Said()

    def read(self, place: int, reading: Reading, of: Tensor | None = None) -> None:
        """Say which rows of one dimension are read, of one tensor or of all that are given; else rows stay in place."""
        self.said.reads[None if of is None else id(of), place] = reading

    def require(self, one: Dim, relation: str, other: Dim, message: str) -> None:
        """Note a condition without which torch refuses; a ShapeError with ``message`` where it does not hold.

        Raises:
            ShapeError: The condition does not hold.
        """
        if not self.decide(one, relation, other, message, required=True):
            raise ShapeError(message)

    def decide(self, one: Dim, relation: str, other: Dim, message: str = "", required: bool = False) -> bool:
        """Note a comparison that torch makes and return how it comes out."""
        outcome: bool = RELATIONS[relation](as_int(one), as_int(other))
        if type(one) is not TracedSize and type(other) is not TracedSize:
            return outcome
        found = difference(one, other)
        if found is None:
            if (
                relation == ">="
                and type(other) is int
                and other in (0, 1)
                and self._are_at_least(one, 0, message, required)
            ):
                return other == 0 or self._are_at_least(one, 1, message, required)
            if not same(one, other):
                self.record.lose(f"torch compares sizes that are not followed, in {self.record.where}")
            return outcome
        return self.record.decide(*found, relation, outcome, message, required).outcome

    def _are_at_least(self, product: Dim, low: int, message: str, required: bool) -> bool:
        """Note and return whether each factor of a product of sizes is at least 0 or 1: then the product is."""
        extent = extent_of(product)
        if extent is None or extent.coefficient < 1:
            return False
        for axis, function in extent.factors:
            more = function.minus(PeriodicMap.constant(low))
            outcome = more(self.record.size[axis]) >= 0
            if not self.record.decide(axis, more, ">=", outcome, message, required).outcome:
                return False
        return True

    def note(self, axis: int, function: PeriodicMap, message: str, required: bool) -> bool:
        """Note whether ``function`` is 0 at the input's size."""
        outcome = function(self.record.size[axis]) == 0
        return self.record.decide(axis, function, "==", outcome, message, required).outcome

    def equal(self, one: Dim, other: Dim, message: str) -> Dim:
        """Require two sizes to be equal and return the one that is traced."""
        self.require(one, "==", other, message)
        return other if type(one) is int else one

    def made(self, value: int, extent: Extent | None) -> Dim:
        """Return a size that this call makes."""
        if extent is not None and not extent.factors:
            return extent.coefficient
        return TracedSize(self.record, value, extent, self.record.layer())

    def moved(self, dim: Dim) -> Dim:
        """Return a size as made by this call."""
        return self.made(dim.value, dim.extent) if type(dim) is TracedSize else dim

    def least(self, one: Dim, other: Dim) -> Dim:
        """Return the smaller of two sizes, and note which it is."""
        return one if self.decide(other, ">=", one) else other


def broadcast_shapes(sizes: Sizes, shapes: Sequence[Shape]) -> Shape:
    """Return the common shape by torch's rule: equal, or one of the two is 1."""
    sizes.said.aligned = True
    result: Shape = ()
    for shape in shapes:
        longer, shorter = (result, shape) if len(result) >= len(shape) else (shape, result)
        tail = longer[len(longer) - len(shorter) :]
        joined = tuple(_one_of(sizes, a, b) for a, b in zip(tail, shorter, strict=True))
        result = (*longer[: len(longer) - len(shorter)], *joined)
    return result


def fitted(sizes: Sizes, shape: Shape, other: Shape) -> None:
    """Require that ``other`` can be brought to ``shape`` without changing it: what is done in place, or put in a place.

    Raises:
        ShapeError: It cannot.
    """
    sizes.said.aligned = True
    for place, size in enumerate(reversed(other), 1):
        wanted = shape[-place] if place <= len(shape) else 1
        if (type(size) is int and size == 1) or same(size, wanted):
            continue
        if type(size) is not TracedSize or not sizes.decide(size, "==", 1):
            sizes.require(size, "==", wanted, f"a map of size {as_int(size)} is put in a place of {as_int(wanted)}")


def _one_of(sizes: Sizes, one: Dim, other: Dim) -> Dim:
    if type(one) is int and one == 1:
        return other
    if (type(other) is int and other == 1) or same(one, other) or sizes.decide(one, "==", other):
        return one
    if sizes.decide(one, "==", 1):
        return other
    sizes.require(other, "==", 1, f"maps of sizes {as_int(one)} and {as_int(other)} cannot be combined")
    return one


def product(dims: Iterable[Dim]) -> Dim:
    """Return the product of sizes."""
    return math.prod(dims, start=1)


def leaves_of(value: Any) -> list[Any]:
    """Return what lists, tuples, dicts and slices hold, in their order."""
    if isinstance(value, dict):
        value = value.values()
    elif isinstance(value, slice):
        value = (value.start, value.stop, value.step)
    elif not isinstance(value, list | tuple):
        return [value]
    nested = (list, tuple, dict, slice)
    return [leaf for one in value for leaf in (leaves_of(one) if isinstance(one, nested) else (one,))]


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors that a value is or holds."""
    return [one for one in leaves_of(value) if isinstance(one, Tensor)]


def unpacked(values: tuple[Any, ...]) -> Any:
    """Return what is given one by one, or as one list or tuple."""
    return values[0] if len(values) == 1 and isinstance(values[0], list | tuple) else values


def argument(args: Sequence[Any], kwargs: Mapping[str, Any], name: str, place: int, default: Any = None) -> Any:
    """Return one argument of a call, by its name or at its place."""
    return kwargs.get(name, args[place] if len(args) > place else default)


def takes_any_size(dtype: torch.dtype) -> bool:
    """Return whether every size is a value of a type: torch refuses numbers that do not fit.

    >>> takes_any_size(torch.float32), takes_any_size(torch.int64), takes_any_size(torch.uint8)
    (True, True, False)
    """
    return dtype.itemsize >= (4 if dtype.is_floating_point else 8)


def check_ints(*dims: Any) -> None:
    """Raise a NoRuleError unless each is a size."""
    if not all(isinstance(dim, int) for dim in dims):
        raise NoRuleError


def fixed(dims: Sequence[Any]) -> tuple[int, ...]:
    """Return sizes that do not depend on the input's.

    Raises:
        NoRuleError: One does.
    """
    if any(type(dim) is TracedSize for dim in dims):
        raise NoRuleError
    return tuple(dims)


def names(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()
