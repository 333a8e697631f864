"""Layers whose windows slide over the input: convolution and pooling."""

from dataclasses import dataclass, field
from typing import Any

from segup.errors import ShapeError
from segup.shapes.arguments import Size, figure, flag, one_or_pair_of_ints, spell, split, whole
from segup.shapes.law import FloorLaw
from segup.shapes.layer import LawAxis, Layer
from segup.shapes.unread import Unread


@dataclass(frozen=True)
class WindowAxis(LawAxis):
    """One axis of a convolution or pooling: windows of ``kernel_size`` taps, ``dilation`` apart, every ``stride``."""

    kernel_size: int
    stride: int
    before: int
    after: int
    dilation: int
    ceil_mode: bool = False

    @property
    def extent(self) -> int:
        """Positions from the first tap to the last: dilation·(kernel_size − 1) + 1."""
        return self.dilation * (self.kernel_size - 1) + 1

    @property
    def law(self) -> FloorLaw:
        """The floor law ⌊(n + before + after − extent)/stride⌋ + 1, or ceil_mode's.

        ``ceil_mode`` rounds up and then drops a window that would start beyond the input and its left padding: the
        smaller of ⌈(n + 2p − e)/s⌉ + 1 and ⌈(n + p)/s⌉, which are floors over the same stride.
        """
        room = self.before + self.after - self.extent + self.stride
        if self.ceil_mode:
            room = min(room + self.stride - 1, self.before + self.stride - 1)
        return FloorLaw(rise=1, offset=room, run=self.stride)

    def taps(self, out: int) -> list[int]:
        """Return the input indices that output ``out`` reads, padding included."""
        return [out * self.stride - self.before + self.dilation * j for j in range(self.kernel_size)]

    def residue(self, size: int) -> int:
        """Return the padded positions at the end that no window reaches."""
        covered = (self.out(size) - 1) * self.stride + self.extent
        return max(0, size + self.before + self.after - covered)

    def unread(self, size: int) -> Unread:
        """Return the input indices that no window reads."""
        return Unread(size, self.out(size), self.kernel_size, self.stride, self.before, self.dilation)

    @property
    def symbols(self) -> str:
        """The size rule in symbols."""
        pads = "2·padding" if self.before == self.after else "before + after"
        inner = f"(n + {pads} − e)/stride"
        if self.ceil_mode:
            return f"⌈{inner}⌉ + 1 (less a last window beyond the input)"
        return f"⌊{inner}⌋ + 1"

    def size_rule(self, size: int) -> str:
        """Return the arithmetic in figures."""
        pads = f"2·{self.before}" if self.before == self.after else f"{self.before} + {self.after}"
        inner = f"({size} + {pads} − {self.extent})"
        if not self.ceil_mode:
            return f"⌊{inner}/{self.stride}⌋ + 1 = {self.law.out(size)}"
        rounded = -((self.extent - size - self.before - self.after) // self.stride) + 1
        dropped = " − 1 (the last window would start beyond the input)" if rounded > self.law.out(size) else ""
        return f"⌈{inner}/{self.stride}⌉ + 1{dropped} = {self.law.out(size)}"

    def advice(self, size: int) -> str:
        """Return the way out for a size that is too small."""
        padding = -((size - self.extent) // 2)
        if self.ceil_mode or padding > self.kernel_size // 2:
            return super().advice(size)
        return f"{super().advice(size)}, or padding={padding}"


class Windows(Layer[WindowAxis]):
    """What convolution and pooling share."""

    def residue(self, size: Size) -> Any:
        """Return a, the padded positions at the end that no window reaches: (size + 2·padding − e) mod stride.

        They may be padding alone; :meth:`unread` tells whether an input is among them. With ``ceil_mode`` the last
        window may overhang, which leaves 0. A pair for a pair of sizes.
        """
        return self._per_axis(size, lambda axis, n: axis.residue(n))

    def unread(self, size: Size) -> Any:
        """Return the input indices that no window reads, as a computed sequence; a pair of them for a pair."""
        return self._per_axis(size, lambda axis, n: axis.unread(n))


@dataclass(frozen=True)
class Conv(Windows):
    """A convolution, as ``torch.nn.Conv2d``: o = ⌊(i + 2·padding − e)/stride⌋ + 1 with e = dilation·(k − 1) + 1.

    Args:
        kernel_size: Kernel size k, one int or a (height, width) pair, at least 1. Default of the others: as torch.
        stride: Step from window to window, at least 1.
        padding: Zeros on both sides of an axis, at least 0, or ``"valid"`` for 0, or ``"same"`` for an output of
            the input's size: d·(k − 1) zeros in all, the smaller half before, at stride 1 alone.
        dilation: Step from tap to tap, at least 1.
        groups: Groups of channels, at least 1; sizes do not depend on it, costs do.

    Raises:
        ShapeError: A parameter breaks its rule, or ``"same"`` is combined with a stride other than 1.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (arXiv 1603.07285),
    relationships 1–6 and 15.

    >>> down = Conv(kernel_size=3, stride=2, padding=1)
    >>> down.out(417), down.out((360, 480)), down.min_size
    (209, (180, 240), 1)
    >>> down.residue(417), down.residue(416), list(down.unread(416))
    (0, 1, [])
    >>> list(Conv(kernel_size=2, stride=2).unread(417))
    [416]
    >>> print(down)
    conv k3 s2 p1
    """

    kernel_size: Size
    stride: Size = 1
    padding: Size | str = 0
    dilation: Size = 1
    groups: int = field(default=1, kw_only=True)
    axes: tuple[WindowAxis, WindowAxis] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check(kernel_size=1, stride=1, dilation=1)
        padding = _padding(self.padding, self.kernel_size, self.stride, self.dilation)
        object.__setattr__(self, "padding", padding)
        object.__setattr__(self, "groups", whole(self.groups, "groups", 1))
        pads: list[Any] = [padding, padding]
        if padding == "same":
            totals = [d * (k - 1) for k, d in zip(split(self.kernel_size), split(self.dilation), strict=True)]
            pads = [tuple(n // 2 for n in totals), tuple(n - n // 2 for n in totals)]
        self._set_axes(WindowAxis, self.kernel_size, self.stride, *pads, self.dilation)

    def __str__(self) -> str:
        return spell("conv", k=self.kernel_size, s=self.stride, p=self.padding, d=self.dilation, g=self.groups)


@dataclass(frozen=True)
class Pool(Windows):
    """A pooling layer, as ``torch.nn.MaxPool2d`` and ``AvgPool2d`` (which has no dilation).

    o = ⌊(i + 2·padding − e)/stride⌋ + 1 with e = dilation·(k − 1) + 1; ``ceil_mode`` rounds up and then drops a last
    window that would start beyond the input and its left padding.

    Args:
        kernel_size: Window size k, one int or a (height, width) pair, at least 1.
        stride: Step from window to window, at least 1; None for the kernel size.
        padding: Padding on both sides of an axis, from 0 to k // 2.
        dilation: Step from tap to tap, at least 1.
        ceil_mode: Round the output size up.

    Raises:
        ShapeError: A parameter breaks its rule.

    Source: Dumoulin and Visin (arXiv 1603.07285), relationship 7.

    >>> Pool(2).out(67), Pool(2, ceil_mode=True).out(67)
    (33, 34)
    >>> Pool(3, stride=2, ceil_mode=True).out(2)
    1
    >>> print(Pool(3, stride=2, padding=1))
    pool k3 s2 p1
    """

    kernel_size: Size
    stride: Size | None = None
    padding: Size = 0
    dilation: Size = 1
    ceil_mode: bool = False
    axes: tuple[WindowAxis, WindowAxis] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.stride is None:
            object.__setattr__(self, "stride", self.kernel_size)
        self._check(kernel_size=1, stride=1, padding=0, dilation=1)
        object.__setattr__(self, "ceil_mode", flag(self.ceil_mode, "ceil_mode"))
        pads = (self.padding, self.padding)
        self._set_axes(WindowAxis, self.kernel_size, self.stride, *pads, self.dilation, self.ceil_mode)
        for kernel, padding in zip(split(self.kernel_size), split(self.padding), strict=True):
            if padding > kernel // 2:
                raise ShapeError(
                    f"padding of a pool must be at most half its kernel_size, {kernel} // 2 = {kernel // 2}, not "
                    f"{padding}.\n  try: padding={min(split(self.kernel_size)) // 2}, or "
                    f"kernel_size={max(*split(self.kernel_size), 2 * max(split(self.padding)))}."
                )

    def __str__(self) -> str:
        words = spell(f"pool k{figure(self.kernel_size)} s{figure(self.stride)}", p=self.padding, d=self.dilation)
        return f"{words} ceil" if self.ceil_mode else words


def _padding(value: object, kernel_size: Size, stride: Size, dilation: Size) -> Size | str:
    if not isinstance(value, str):
        return one_or_pair_of_ints(value, "padding")
    if value == "valid":
        return 0
    if value != "same":
        raise ShapeError(f'padding must be an int of at least 0, a pair of them, "valid" or "same", not {value!r}.')
    if stride != 1:
        halves = tuple(d * (k - 1) // 2 for k, d in zip(split(kernel_size), split(dilation), strict=True))
        padding = halves[0] if halves[0] == halves[1] else halves
        raise ShapeError(
            f'padding="same" needs stride 1, not stride {stride}: torch has no padding that keeps the size there.\n'
            f"  try: padding={padding}, which gives ⌈size/stride⌉ for an odd kernel."
        )
    return "same"
