"""Sizes that remember how they follow from the input's size, and the record of what was asked of them."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex, Union

import torch
from torch import Tensor
from torch.overrides import handle_torch_function

from segup.inspection.periodic import Extent, PeriodicMap, PeriodTooLongError
from segup.inspection.record import RELATIONS, Record

Dim = Union[int, "TracedSize"]

KNOWN = ("segup.", "torch.")
"""Where code may branch on a size and still be proved: it does what it says it does, and every way of it is run."""


# A size equals none of these, and cannot be ordered against them.
_NO_NUMBERS = (str, bytes, tuple, list, dict, set, frozenset, type)

# They show sizes in their errors, and do nothing else with the text.
_HARMLESS = ("segup.", "torch.nn.modules.conv,")


def _comparison(relation: str) -> Callable[[Any, Any], Any]:
    """Return the method of a size that compares it."""
    return lambda size, other: size._compared(other, relation)


class TracedSize:
    """An int that is the size of a map, and what it is as a function of the input's size.

    It passes for an int. Arithmetic that the calculus follows gives another one; a comparison is noted; whatever else
    an int can do gives a plain value and is noted as a place where the size was lost.
    """

    __slots__ = ("_extent", "layer", "looked_at", "record", "value")

    def __init__(self, record: Record, value: int, extent: Extent | None, layer: str = "") -> None:
        self.record, self.value, self._extent, self.layer = record, value, extent, layer
        self.looked_at = False

    @property
    def extent(self) -> Extent | None:
        """What it is as a function of the input's size, where that is known; that somebody asked is kept."""
        self.looked_at = True
        return self._extent

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # so that isinstance(size, int) goes the way it goes for a real size
        return int

    # Arithmetic.

    def _check_record(self, other: Any) -> None:
        """A model may keep a size of an earlier run: nothing is known of the two together."""
        if type(other) is TracedSize and other.record is not self.record:
            for record in (self.record, other.record):
                record.lose(f"a size of an earlier call is kept ({caller()})")

    def _made(self, value: int, extent: Extent | None) -> Dim:
        if extent is not None and not extent.factors:
            return extent.coefficient
        return TracedSize(self.record, value, extent, self.layer)

    def _combined(
        self, other: Any, value: Callable[[int, int], int], how: Callable[[PeriodicMap, PeriodicMap], PeriodicMap]
    ) -> Any:
        if isinstance(other, float):
            return value(float(self), other)  # type: ignore[arg-type]
        if not isinstance(other, int):
            return NotImplemented
        if type(other) is int and other == 0 and value(1, 0) == 1:  # a product of sizes stays followed
            return self
        result = value(self.value, as_int(other))
        self._check_record(other)
        one, two = self.extent, extent_of(other)
        mine, theirs = one and one.single(), two and (two.single() or (two.factors == () and (-1, two.coefficient)))
        if mine and theirs and theirs[0] in (-1, mine[0]):
            second = PeriodicMap.constant(theirs[1]) if isinstance(theirs[1], int) else theirs[1]
            try:
                return self._made(result, Extent.of(mine[0], how(mine[1], second)))
            except PeriodTooLongError as cause:
                self.record.lose(f"a size {cause} ({caller()})")
        return self._made(result, None)

    def __add__(self, other: Any) -> Any:
        return self._combined(other, lambda a, b: a + b, PeriodicMap.plus)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self._combined(other, lambda a, b: a - b, PeriodicMap.minus)

    def __rsub__(self, other: Any) -> Any:
        return self._combined(other, lambda a, b: b - a, lambda a, b: b.minus(a))

    def __neg__(self) -> Dim:
        return 0 - self

    def __pos__(self) -> Dim:
        return self

    def __mul__(self, other: Any) -> Any:
        if not isinstance(other, int):
            return NotImplemented if not isinstance(other, float) else float(self) * other
        two = extent_of(other)
        return self._made(self.value * as_int(other), self.extent and two and self.extent.times(two))

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        if type(other) is int and other > 0:
            return self._combined(other, lambda a, b: a // b, lambda a, _: a.over(other))
        if type(other) is TracedSize:
            require_nonzero(other)
            exact = self.extent and other.extent and self.extent.divided(other.extent)
            return self._made(self.value // other.value, exact or None)
        return self._lost() // other

    def __mod__(self, other: Any) -> Any:
        if type(other) is int and other > 0:
            return self._combined(other, lambda a, b: a % b, lambda a, _: a.modulo(other))
        return self._lost() % as_int(other)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rshift__(self, other: Any) -> Any:
        return self // (1 << other) if type(other) is int else self._lost() >> as_int(other)

    def __lshift__(self, other: Any) -> Any:
        return self * (1 << other) if type(other) is int else self._lost() << as_int(other)

    def __and__(self, other: Any) -> Any:
        if type(other) is int and other >= 0 and other & (other + 1) == 0:
            return self % (other + 1)
        return self._lost() & as_int(other)

    __rand__ = __and__

    # Where it becomes a plain number.

    def _lost(self, how: str = "computes with a size in a way that is not followed") -> int:
        self.record.lose(f"Python {how} ({caller()})")
        return self.value

    def __truediv__(self, other: Any) -> Any:
        return self._lost("divides a size into a float") / as_int(other)

    def __rtruediv__(self, other: Any) -> Any:
        return other / self._lost("divides a size into a float")

    def __rfloordiv__(self, other: Any) -> Any:
        return other // self._lost()

    def __rmod__(self, other: Any) -> Any:
        return other % self._lost()

    def __pow__(self, other: Any) -> Any:
        if type(other) is int and other >= 1:
            return self * self ** (other - 1) if other > 1 else self
        return self._lost() ** as_int(other)

    def __rpow__(self, other: Any) -> Any:
        return other ** self._lost()

    def __index__(self) -> int:
        frame = _user()
        reason = f"Python reads a size as a plain number ({caller()})"
        self.record.doubt(None if frame is None else (frame, frame.f_lasti), self, reason)
        return self.value

    def __int__(self) -> int:
        return self._lost("reads a size as a plain number")

    def __float__(self) -> float:
        return float(self._lost("turns a size into a float"))

    def __round__(self, digits: Any = None) -> Any:
        return self if digits is None else self._lost()

    def __ceil__(self) -> "TracedSize":
        return self

    __floor__ = __trunc__ = __ceil__

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def _as_text(self) -> int:
        return self.value if caller().startswith(_HARMLESS) else self._lost("turns a size into text")

    def __str__(self) -> str:
        return str(self._as_text())

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(self._as_text(), spec)

    def __hash__(self) -> int:
        self._lost("uses a size as a key")
        raise TypeError("a size that is followed cannot be a key: what is looked up would outlive the run")

    def __deepcopy__(self, memo: Any) -> "TracedSize":
        return self

    def __copy__(self) -> "TracedSize":
        return self

    # Comparisons.

    def _compared(self, other: Any, relation: str) -> Any:
        if other is None or isinstance(other, _NO_NUMBERS):
            return RELATIONS[relation](self.value, other)
        if isinstance(other, float) and other.is_integer():
            other = int(other)
        if type(other) not in (int, bool, TracedSize):
            return RELATIONS[relation](self._lost("compares a size with something else than an int"), other)
        self._check_record(other)
        return compare(self, other, relation, self.record)

    __eq__ = _comparison("==")
    __ne__ = _comparison("!=")
    __lt__ = _comparison("<")
    __le__ = _comparison("<=")
    __gt__ = _comparison(">")
    __ge__ = _comparison(">=")

    def __bool__(self) -> bool:
        return bool(self._compared(0, "!="))

    # All else that an int has, and numpy's way to take one.

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        import numpy

        return numpy.asarray(self._lost(), dtype)

    def __getattr__(self, name: str) -> Any:
        if not hasattr(int, name):
            raise AttributeError(f"'int' object has no attribute '{name}'")
        return getattr(self._lost(), name)


def _as_plain_int(name: str) -> Callable[..., Any]:
    def operate(self: TracedSize, *others: Any) -> Any:
        return getattr(self._lost(), name)(*map(as_int, others))

    return operate


for _name in ("or", "ror", "xor", "rxor", "invert", "rlshift", "rrshift", "rdivmod"):
    setattr(TracedSize, f"__{_name}__", _as_plain_int(f"__{_name}__"))


def _with_tensors(name: str, of_tensor: str) -> None:
    """Let an operation of a size with a tensor be the tensor's own, which is followed as every torch function is.

    A tensor's own operations hand it on to these, for torch's parser takes plain numbers alone.
    """
    alone = getattr(TracedSize, name)

    def operate(self: TracedSize, other: Any) -> Any:
        if isinstance(other, Tensor):
            return handle_torch_function(getattr(Tensor, of_tensor), (), other, self)
        return alone(self, other)

    setattr(TracedSize, name, operate)


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    _with_tensors(f"__{_name}__", f"__r{_name}__")
    _with_tensors(f"__r{_name}__", f"__{_name}__")
for _name, _mirrored in (("lt", "gt"), ("le", "ge"), ("eq", "eq"), ("ne", "ne"), ("gt", "lt"), ("ge", "le")):
    _with_tensors(f"__{_name}__", f"__{_mirrored}__")


class TracedShape(tuple[Dim, ...]):
    """A tensor's shape with traced sizes in it; passes for a ``torch.Size``."""

    __slots__ = ()

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return torch.Size

    def numel(self) -> Dim:
        """Return the product."""
        total: Dim = 1
        for dim in self:
            total = total * dim
        return total

    def __getitem__(self, item: SupportsIndex | slice) -> Any:
        found: Any = tuple.__getitem__(self, item)
        return TracedShape(found) if isinstance(item, slice) else found

    def __add__(self, other: Any) -> "TracedShape":
        return TracedShape((*self, *other))

    def __radd__(self, other: Any) -> "TracedShape":
        return TracedShape((*other, *self))


def as_int(value: Any) -> Any:
    """Return a traced size as its int, and anything else as it is."""
    return value.value if type(value) is TracedSize else value


def extent_of(dim: Any) -> Extent | None:
    """Return what is known of a size, traced or plain."""
    return dim.extent if type(dim) is TracedSize else Extent(int(dim), ())


def periodic_of(dim: Any) -> tuple[int, PeriodicMap] | None:
    """Return the axis of the input on which a size depends, and how; None where it is plain, or no one such map."""
    extent = extent_of(dim)
    return None if extent is None else extent.single()


def compare(one: Dim, other: Dim, relation: str, record: Record) -> bool:
    """Compare two sizes as Python code does, and note it: a branch, unless it comes out alike at every size."""
    outcome = RELATIONS[relation](as_int(one), as_int(other))
    found = difference(one, other)
    where = caller()
    if found is None:
        if not same(one, other):
            record.lose(f"Python branches on a size ({where})")
        return outcome
    if not record.decide(*found, relation, outcome).fixed and not where.startswith(KNOWN):
        record.lose(f"Python branches on a size ({where})")
    return outcome


def require_nonzero(size: TracedSize) -> None:
    """Note that code divides by a size, which Python refuses where it is 0."""
    found = difference(size, 0)
    if found is None:
        size.record.lose(f"Python divides by a size ({caller()})")
    else:
        size.record.decide(*found, "!=", size.value != 0)


def same(one: Dim, other: Dim) -> bool:
    """Return whether two sizes are known to be equal whatever the input's size is."""
    first, second = extent_of(one), extent_of(other)
    return first is not None and first == second


def difference(one: Dim, other: Dim) -> tuple[int, PeriodicMap] | None:
    """Return the axis and the function of one − other, or None where that is no function of one axis."""
    first, second = extent_of(one), extent_of(other)
    if first is None or second is None:
        return None
    parts = [extent.single() for extent in (first, second) if extent.factors]
    if not parts or any(part is None for part in parts) or len({part[0] for part in parts if part}) > 1:
        return None
    axis = next(part[0] for part in parts if part)
    try:
        return axis, _function(first).minus(_function(second))
    except PeriodTooLongError:
        return None


def _function(extent: Extent) -> PeriodicMap:
    single = extent.single()
    return single[1] if single else PeriodicMap.constant(extent.coefficient)


def caller() -> str:
    """Return module and line of the code that uses a size: the nearest frame outside this package."""
    frame = _user()
    return "?" if frame is None else f"{frame.f_globals.get('__name__', '?')}, line {frame.f_lineno}"


def _user() -> Any:
    """Return the nearest frame outside this package, or None."""
    frame: Any = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith("segup.inspection"):
        frame = frame.f_back
    return frame


def as_ints(dims: Sequence[Dim]) -> tuple[int, ...]:
    """Return the plain ints of a shape."""
    return tuple(as_int(dim) for dim in dims)
