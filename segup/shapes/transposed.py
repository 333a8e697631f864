"""The transposed convolution: every input stamps a kernel on the output."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from segup.errors import ShapeError
from segup.shapes.arguments import AXIS_NAMES, Size, is_pair, span, spell, two, whole
from segup.shapes.law import FloorLaw
from segup.shapes.layer import LawAxis, Layer
from segup.shapes.unread import Unread

SEARCHED = 64
"""Kernels and paddings are searched so far beyond those of a layer."""
TRIED = 2**10
"""So many kernels are searched, the largest that could do."""


@dataclass(frozen=True)
class StampAxis(LawAxis):
    """One axis of a transposed convolution: every input stamps a kernel, ``stride`` apart; then both ends are cut."""

    kernel_size: int
    stride: int
    padding: int
    output_padding: int
    dilation: int
    symbols: ClassVar[str] = "(n − 1)·stride − 2·padding + e + output_padding"

    @property
    def extent(self) -> int:
        """Positions from the first tap to the last: dilation·(kernel_size − 1) + 1."""
        return self.dilation * (self.kernel_size - 1) + 1

    @property
    def matched_law(self) -> FloorLaw:
        """The law without output_padding: (n − 1)·stride − 2·padding + extent."""
        return FloorLaw(rise=self.stride, offset=self.extent - 2 * self.padding - self.stride, run=1)

    @property
    def law(self) -> FloorLaw:
        """The law: (n − 1)·stride − 2·padding + extent + output_padding."""
        smallest = self.matched_law
        return FloorLaw(rise=smallest.rise, offset=smallest.offset + self.output_padding, run=1)

    @property
    def slack(self) -> int:
        """The sizes above the smallest that output_padding can reach as torch's output_size allows: stride − 1."""
        return self.stride - 1

    @property
    def ordered(self) -> bool:
        """Whether stamps touch and are whole, so that an output's lowest and highest tap never fall."""
        return self.dilation == 1 and self.kernel_size >= self.stride

    def taps(self, out: int) -> list[int]:
        """Return the input indices that output ``out`` reads, beyond the ends included."""
        stamps = (out + self.padding - self.dilation * j for j in range(self.kernel_size))
        return [stamp // self.stride for stamp in stamps if stamp % self.stride == 0]

    def reachable(self, size: int) -> range:
        """Return the output sizes that torch's output_size accepts."""
        smallest = self.matched_law.out(size)
        return range(max(1, smallest), smallest + self.stride)

    def nearest(self, size: int, out: int, most: int) -> "list[StampAxis]":
        """Return the axes of this stride and dilation that bring ``size`` to ``out``, least change first.

        The change is that of kernel_size and padding; output_padding follows from them and stays below ``most``.
        """
        found, room, widest = [], out - (size - 1) * self.stride, self.padding + SEARCHED
        first = max(1, (room - most) // self.dilation + 1)
        last = min(self.kernel_size + SEARCHED, (room + 2 * widest) // self.dilation + 2)
        for kernel in range(max(first, last - TRIED), last):
            extent = self.dilation * (kernel - 1) + 1
            least, largest = max(0, -((room - extent) // 2)), min(widest, extent) - 1  # 0 ≤ room + 2·padding − extent
            middle = min(max(self.padding, least), largest)
            for padding in range(max(least, middle - SEARCHED), min(largest, middle + SEARCHED) + 1):
                more = room + 2 * padding - extent
                if more >= most:
                    break
                found.append((abs(kernel - self.kernel_size) + abs(padding - self.padding), more, kernel, padding))
        return [
            StampAxis(kernel, self.stride, padding, more, self.dilation) for _, more, kernel, padding in sorted(found)
        ]

    def unwritten(self, size: int, out: int) -> Unread:
        """Return the output positions that no stamp reaches."""
        return Unread(out, size, self.kernel_size, self.stride, self.padding, self.dilation)

    def size_rule(self, size: int, padding: bool = True) -> str:
        """Return the arithmetic in figures, with or without output_padding."""
        law, more = (self.law, self.output_padding) if padding else (self.matched_law, 0)
        ending = f" + {more}" if more else ""
        return f"({size} − 1)·{self.stride} − 2·{self.padding} + {self.extent}{ending} = {law.out(size)}"


@dataclass(frozen=True)
class ConvTranspose(Layer[StampAxis]):
    """A transposed convolution, as ``torch.nn.ConvTranspose2d``.

    o = (i − 1)·stride − 2·padding + e + output_padding with e = dilation·(k − 1) + 1. An output below 1 is refused: of
    torch's own kernels for exactly 0, some refuse it and some (oneDNN's) return an empty map.

    Args:
        kernel_size: Kernel size k, one int or a (height, width) pair, at least 1.
        stride: Step from stamp to stamp, at least 1.
        padding: Rows or columns cut from both ends of an axis, at least 0.
        output_padding: Rows or columns added at the end, less than max(stride, dilation). They may hold bias alone:
            see :meth:`unwritten`.
        dilation: Step from tap to tap, at least 1.
        groups: Groups of channels, at least 1; sizes do not depend on it, costs do.

    Raises:
        ShapeError: A parameter breaks its rule.

    Source: Dumoulin and Visin (arXiv 1603.07285), relationships 8–15; torch's output_size for :meth:`reachable`.

    >>> up = ConvTranspose(kernel_size=3, stride=2, padding=1)
    >>> up.out(209), up.reachable(209), up.output_padding_for(209, 418)
    (417, range(417, 419), 1)
    >>> print(up)
    deconv k3 s2 p1
    """

    kernel_size: Size
    stride: Size = 1
    padding: Size = 0
    output_padding: Size = 0
    dilation: Size = 1
    groups: int = field(default=1, kw_only=True)
    axes: tuple[StampAxis, StampAxis] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check(kernel_size=1, stride=1, padding=0, output_padding=0, dilation=1)
        object.__setattr__(self, "groups", whole(self.groups, "groups", 1))
        self._set_axes(StampAxis, self.kernel_size, self.stride, self.padding, self.output_padding, self.dilation)
        limits = [max(axis.stride, axis.dilation) for axis in self.axes]
        for axis, limit in zip(self.axes, limits, strict=True):
            if axis.output_padding >= limit:
                raise ShapeError(
                    f"output_padding must be less than the larger of stride and dilation, max({axis.stride}, "
                    f"{axis.dilation}) = {limit}, not {axis.output_padding}.\n"
                    f"  try: output_padding={min(limits) - 1}; a larger kernel_size or a smaller padding adds the rest."
                )

    def reachable(self, size: Size) -> Any:
        """Return the output sizes that torch's ``output_size`` accepts, o_min … o_min + stride − 1, as a range.

        ``output_padding`` of the layer itself plays no part, as in torch. Sizes below 1 are left out, so the range
        may be empty. A pair of ranges for a pair of sizes.

        Raises:
            ShapeError: The size is not an int of at least 1.
        """
        return self._per_axis(size, lambda axis, n: axis.reachable(n), least=1)

    def reaches(self, size: Size, out: Size) -> Any:
        """Return whether ``out`` is among the sizes that ``size`` reaches; a pair of answers for pairs.

        The same as ``out in reachable(size)``, and works on the symbolic sizes of torch.compile and torch.export too.

        >>> ConvTranspose(3, stride=2, padding=1).reaches(17, 33), ConvTranspose(4, 2, 1).reaches((17, 16), (33, 33))
        (True, (False, True))
        """
        sizes, outs = two(size, "size"), two(out, "out")
        answers = [
            0 <= whole(o, "out", 1) - axis.matched_law.out(whole(n, "size", 1)) <= axis.slack
            for axis, n, o in zip(self.axes, sizes, outs, strict=True)
        ]
        if is_pair(size) or is_pair(out):
            return tuple(answers)
        self.same_axes(whole(size, "size", 1))
        return answers[0]

    def output_padding_for(self, size: Size, out: Size) -> Any:
        """Return the output_padding that brings ``size`` to ``out``; a pair for pairs.

        Raises:
            ShapeError: ``out`` is not among the reachable sizes.

        >>> ConvTranspose(4, stride=2, padding=1).output_padding_for(17, 33)
        Traceback (most recent call last):
        ...
        segup.errors.ShapeError: 'deconv k4 s2 p1' brings size 17 to 34 … 35, not to 33.
          (17 − 1)·2 − 2·1 + 4 = 34, and output_padding adds at most stride − 1 = 1.
          try: kernel_size=3, which reaches 33 … 34.
        """
        return self._per_step(size, out, self._output_padding)

    def unwritten(self, size: Size, out: Size | None = None) -> Any:
        """Return the output positions that no input reaches: they hold bias alone.

        Args:
            size: Input size, or a (height, width) pair.
            out: Output size, one of the reachable ones; None for the size that the layer itself gives.

        >>> list(ConvTranspose(2, stride=2).unwritten(16, 33)), list(ConvTranspose(4, 2, 1).unwritten(16, 33))
        ([32], [])
        """
        if out is None:
            return self._per_axis(size, lambda axis, n: axis.unwritten(n, axis.out(n)))
        self.output_padding_for(size, out)
        return self._per_step(size, out, lambda axis, n, o, _: axis.unwritten(whole(n, "size", 1), whole(o, "out", 1)))

    def _per_step(self, size: Size, out: Size, rule: Callable[[StampAxis, Any, Any, str], Any]) -> Any:
        """Apply ``rule`` to each axis with its input and output size and its name in messages; once for two ints."""
        if is_pair(size) or is_pair(out):
            parts = zip(self.axes, two(size, "size"), two(out, "out"), AXIS_NAMES, strict=True)
            return tuple(rule(*part) for part in parts)
        return rule(self.same_axes(whole(size, "size", 1)), size, out, "size")

    def _output_padding(self, axis: StampAxis, size: object, out: object, name: str) -> int:
        n, o = whole(size, name, 1), whole(out, "out", 1)
        reachable = axis.reachable(n)
        if o in reachable:
            return o - axis.matched_law.out(n)
        raise ShapeError(
            f"'{self}' brings {name} {n} to {span(reachable)}, not to {o}.\n"
            f"  {axis.size_rule(n, padding=False)}, and output_padding adds at most stride − 1 = {axis.slack}.\n"
            f"  try: {self._other_kernel(axis, n, o)}."
        )

    @staticmethod
    def _other_kernel(axis: StampAxis, size: int, out: int) -> str:
        """Return the nearest change with which ``size`` reaches ``out``, or the input that reaches it."""
        for other in axis.nearest(size, out, axis.stride)[:1]:
            changed = [
                f"{name}={getattr(other, name)}"
                for name in ("kernel_size", "padding")
                if getattr(other, name) != getattr(axis, name)
            ]
            return f"{', '.join(changed)}, which reaches {span(other.reachable(size))}"
        around = axis.matched_law.first(out - axis.slack), axis.matched_law.last(out)
        sizes = [n for n in around if n >= 1 and out in axis.reachable(n)]
        if sizes:
            return f"an input of {sizes[0]}, which reaches {span(axis.reachable(sizes[0]))}"
        return f"segup.shapes.reaching({size}, {out}), which lists layers that reach it"

    def __str__(self) -> str:
        return spell(
            "deconv",
            k=self.kernel_size,
            s=self.stride,
            p=self.padding,
            d=self.dilation,
            op=self.output_padding,
            g=self.groups,
        )
