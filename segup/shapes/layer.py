"""What all layers of the calculus share: one axis at a time, sizes as ints or (height, width) pairs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Generic, TypeVar, overload

from segup.errors import ShapeError
from segup.shapes.arguments import AXIS_NAMES, Size, height_width, is_pair, one_or_pair_of_ints, split, two, whole
from segup.shapes.law import FloorLaw

T = TypeVar("T")
EXTENT = "e = dilation·(kernel_size − 1) + 1"
"""What e stands for in a size rule in symbols."""


class Axis(ABC):
    """One axis of one layer."""

    @property
    @abstractmethod
    def least(self) -> int:
        """The smallest input size that the layer accepts."""

    @abstractmethod
    def out(self, size: int) -> int:
        """Return the output size of an accepted ``size``."""

    @abstractmethod
    def inputs_of_at_least(self, out: int) -> int:
        """Return the smallest integer that gives at least ``out``, accepted or not."""

    def inputs(self, out: int) -> range:
        """Return the accepted sizes that give ``out``."""
        return range(max(self.least, self.inputs_of_at_least(out)), self.inputs_of_at_least(out + 1))

    @property
    @abstractmethod
    def pitch(self) -> Fraction:
        """Input pixels from one output to the next."""

    @abstractmethod
    def taps(self, out: int) -> list[int]:
        """Return the input indices that output ``out`` reads, those beyond the ends included."""

    @abstractmethod
    def size_rule(self, size: int) -> str:
        """Return the arithmetic for ``size`` in figures, such as ``(17 − 1)·2 − 2·1 + 4 = 34``."""

    def advice(self, size: int) -> str:
        """Return the way out for a ``size`` below the smallest one."""
        return f"a size of at least {self.least}, {self.least - size} more"


class LawAxis(Axis):
    """An axis with one law that holds for all sizes.

    A layer that can be asked for one of several output sizes has a ``matched_law`` for the smallest, and ``slack``
    further ones above it.
    """

    @property
    @abstractmethod
    def law(self) -> FloorLaw:
        """The size rule."""

    @property
    @abstractmethod
    def symbols(self) -> str:
        """The output size in symbols, such as ``(n − 1)·stride − 2·padding + e + output_padding``; e is ``EXTENT``."""

    @property
    def symbols_explained(self) -> str:
        """The output size in symbols, with what e stands for where it has one."""
        return f"{self.symbols} with {EXTENT}" if " e" in self.symbols else self.symbols

    @property
    def matched_law(self) -> FloorLaw:
        """The smallest output size that the layer can be asked for."""
        return self.law

    @property
    def slack(self) -> int:
        """How many further sizes above ``matched_law`` the layer can be asked for."""
        return 0

    @property
    def ordered(self) -> bool:
        """Whether every output reads something, and neither its lowest nor its highest tap falls to the next one."""
        return True

    @property
    def least(self) -> int:
        """The smallest input size: at least 1, with an output of at least 1."""
        return max(1, self.inputs_of_at_least(1))

    def out(self, size: int) -> int:
        """Return the output size of an accepted ``size``."""
        return self.law.out(size)

    def inputs_of_at_least(self, out: int) -> int:
        """Return the smallest integer that gives at least ``out``, accepted or not."""
        return self.law.first(out)

    @property
    def pitch(self) -> Fraction:
        """Input pixels from one output to the next."""
        return Fraction(self.law.run, self.law.rise)

    def reachable(self, size: int) -> range:
        """Return the output sizes of at least 1 that the layer can be asked for."""
        return range(max(1, self.out(size)), self.out(size) + 1)

    def reads(self, out: int) -> Sequence[tuple[int, Fraction | int]]:
        """Return the input indices that output ``out`` reads, each with its weight; those of a kernel count alike."""
        return [(tap, 1) for tap in self.taps(out)]

    def taps(self, out: int) -> list[int]:
        """Return the input indices that output ``out`` reads, those beyond the ends included."""
        return [tap for tap, _ in self.reads(out)]


A = TypeVar("A", bound=Axis)


class Layer(Generic[A]):
    """A layer that changes sizes, seen as arithmetic alone: frozen, hashable, equal when the parameters are equal."""

    axes: tuple[A, A]
    """The rules for height and width."""

    @overload
    def out(self, size: int) -> int: ...
    @overload
    def out(self, size: tuple[int, int]) -> tuple[int, int]: ...
    def out(self, size: Size) -> Size:
        """Return the output size.

        Args:
            size: Input size of both axes, or a (height, width) pair, in pixels.

        Raises:
            ShapeError: The size is not an int of at least ``min_size``; or one int is given where the layer
                treats height and width differently.
        """
        return self._per_axis(size, lambda axis, n: axis.out(n))

    @property
    def min_size(self) -> Size:
        """The smallest input size that the layer accepts; a pair where the two axes differ."""
        height, width = (axis.least for axis in self.axes)
        return height if height == width else (height, width)

    def inputs(self, out: Size) -> Any:
        """Return the input sizes that give ``out`` as a range (empty where there are none), or a pair of ranges."""
        if not is_pair(out):
            self.same_axes(whole(out, "size", 1))
        parts = zip(self.axes, two(out, "size"), strict=True)
        ranges = tuple(axis.inputs(whole(part, "size", 1)) for axis, part in parts)
        return ranges if is_pair(out) else ranges[0]

    def _per_axis(self, size: Size, rule: Callable[[A, int], T], least: int | None = None) -> Any:
        """Apply ``rule`` to each axis with its size, which is checked first.

        It is held against ``least``, or else the smallest size that the axis accepts.
        """
        sizes = height_width(size)
        if not is_pair(size):
            return rule(self.same_axes(sizes[0]), self.accepted(0, sizes[0], "size", least))
        return tuple(rule(self.axes[i], self.accepted(i, sizes[i], AXIS_NAMES[i], least, sizes)) for i in (0, 1))

    def _check(self, **least: int) -> None:
        """Check these fields, ints or pairs of them, and keep each in its shortest form."""
        for name, smallest in least.items():
            object.__setattr__(self, name, one_or_pair_of_ints(getattr(self, name), name, smallest))

    def _set_axes(self, kind: Callable[..., A], *values: Any) -> None:
        """Make the axes of these values, each one for both or a pair."""
        object.__setattr__(self, "axes", tuple(kind(*own) for own in zip(*map(split, values), strict=True)))

    def same_axes(self, size: int) -> A:
        """Return the rule for both axes; a ShapeError where they differ, since ``size`` is one int."""
        if self.axes[0] != self.axes[1]:
            raise ShapeError(
                f"one size, {size}, is given to '{self}', which treats height and width differently.\n"
                f"  try: a (height, width) pair, such as ({size}, {size})."
            )
        return self.axes[0]

    def accepted(self, i: int, size: int, name: str, least: int | None = None, sizes: Sequence[int] = ()) -> int:
        """Return ``size`` if axis ``i`` accepts it; else raise a ShapeError that calls it ``name``.

        With the ``sizes`` of both axes, one that both accept is proposed.
        """
        axis = self.axes[i]
        if size < (axis.least if least is None else least):
            needed = (str(max(n, own.least)) for n, own in zip(sizes, self.axes, strict=False))
            way = f"a size of at least {'×'.join(needed)}" if sizes else axis.advice(size)
            raise ShapeError(
                f"'{self}' does not accept {name} {size}: it would give {axis.size_rule(size)}, and an output is "
                f"at least 1.\n  try: {way}."
            )
        return size
