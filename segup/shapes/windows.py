"""Layers whose windows slide over the input: convolution and pooling."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from segup.errors import ShapeError
from segup.shapes.arguments import Size, figure, one_or_pair, one_or_pair_of_ints, spell, split, whole
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

    @property
    def pitch(self) -> Fraction:
        """Input pixels from one output to the next."""
        return Fraction(self.stride)

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
            return f"⌊{inner}/{self.stride}⌋ + 1 = {self.law(size)}"
        rounded = -((self.extent - size - self.before - self.after) // self.stride) + 1
        dropped = " − 1 (the last window would start beyond the input)" if rounded > self.law(size) else ""
        return f"⌈{inner}/{self.stride}⌉ + 1{dropped} = {self.law(size)}"

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
        return self._per_axis(size, lambda axis, n, _: axis.residue(n))

    def unread(self, size: Size) -> Any:
        """Return the input indices that no window reads, as a computed sequence; a pair of them for a pair."""
        return self._per_axis(size, lambda axis, n, _: axis.unread(n))


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
        set_field = object.__setattr__
        set_field(self, "kernel_size", one_or_pair_of_ints(self.kernel_size, "kernel_size", 1))
        set_field(self, "stride", one_or_pair_of_ints(self.stride, "stride", 1))
        set_field(self, "dilation", one_or_pair_of_ints(self.dilation, "dilation", 1))
        set_field(self, "padding", _padding(self.padding, self.kernel_size, self.stride, self.dilation))
        set_field(self, "groups", whole(self.groups, "groups", 1))
        set_field(self, "axes", self._build_axes())

    def _build_axes(self) -> tuple[WindowAxis, WindowAxis]:
        kernels, strides, dilations = split(self.kernel_size), split(self.stride), split(self.dilation)
        axes = []
        for i in (0, 1):
            if self.padding == "same":
                total = dilations[i] * (kernels[i] - 1)
                before, after = total // 2, total - total // 2
            else:
                before = after = split(self.padding)[i]  # type: ignore[assignment]
            axes.append(WindowAxis(kernels[i], strides[i], before, after, dilations[i]))
        return axes[0], axes[1]

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
        set_field = object.__setattr__
        set_field(self, "kernel_size", one_or_pair_of_ints(self.kernel_size, "kernel_size", 1))
        stride = self.kernel_size if self.stride is None else one_or_pair_of_ints(self.stride, "stride", 1)
        set_field(self, "stride", stride)
        set_field(self, "padding", one_or_pair_of_ints(self.padding, "padding", 0))
        set_field(self, "dilation", one_or_pair_of_ints(self.dilation, "dilation", 1))
        if not isinstance(self.ceil_mode, bool):
            raise ShapeError(f"ceil_mode must be True or False, not {self.ceil_mode!r}.")
        set_field(self, "axes", self._build_axes())
        for kernel, padding in zip(split(self.kernel_size), split(self.padding), strict=True):
            if padding > kernel // 2:
                raise ShapeError(
                    f"padding of a pool must be at most half its kernel_size, {kernel} // 2 = {kernel // 2}, not "
                    f"{padding}.\n  try: padding={min(split(self.kernel_size)) // 2}, or "
                    f"kernel_size={max(*split(self.kernel_size), 2 * max(split(self.padding)))}."
                )

    def _build_axes(self) -> tuple[WindowAxis, WindowAxis]:
        strides = split(self.kernel_size if self.stride is None else self.stride)
        parts = zip(split(self.kernel_size), strides, split(self.padding), split(self.dilation), strict=True)
        height, width = (WindowAxis(k, s, p, p, d, self.ceil_mode) for k, s, p, d in parts)
        return height, width

    def __str__(self) -> str:
        words = spell(f"pool k{figure(self.kernel_size)} s{figure(self.stride)}", p=self.padding, d=self.dilation)
        return f"{words} ceil" if self.ceil_mode else words


def _padding(value: object, kernel_size: Size, stride: Size, dilation: Size) -> Size | str:
    if not isinstance(value, str):
        return one_or_pair(value, "padding", lambda part, name: whole(part, name, 0))
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
