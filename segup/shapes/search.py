"""The questions people ask backwards: which padding, which layer, which input size."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from operator import attrgetter
from typing import Any

from segup.conform import short
from segup.errors import ShapeError
from segup.shapes.arguments import Size, flag, several, two, whole
from segup.shapes.chain import Chain
from segup.shapes.layer import Layer
from segup.shapes.transposed import ConvTranspose, StampAxis
from segup.shapes.windows import Conv

MOST = 8
TRIED = 2**16
"""So many combinations of kernel, stride and dilation are tried."""
WIDEST = 64
"""Up to this stride kernels of two strides are tried."""


def inputs_for(layers: Layer | Sequence[Layer], out: Size) -> Any:
    """Return the input sizes for which a layer or chain gives ``out``, as a range; a pair of ranges for a pair.

    The range is empty where no input gives ``out``.

    >>> from segup.shapes import parse
    >>> inputs_for(parse("conv k3 s2 p1, conv k3 s2 p1"), 105), inputs_for(parse("deconv k2 s2"), 33)
    (range(417, 421), range(17, 17))
    """
    return Chain([layers] if isinstance(layers, Layer) else layers).inputs(out)


def smallest_padding(size: int, kernel_size: int, stride: int = 1, dilation: int = 1, *, exact: bool = False) -> int:
    """Return the smallest padding with which a convolution accepts ``size``.

    Args:
        size: Input size.
        kernel_size: Kernel size of the convolution.
        stride: Its stride.
        dilation: Its dilation.
        exact: Also ask that the windows end with the padded input, that is a residue of 0.

    Raises:
        ShapeError: An argument is no int in its range; or no padding leaves a residue of 0: padding adds two at a time,
            which an even stride cannot make up for.

    >>> smallest_padding(5, kernel_size=7), smallest_padding(11, kernel_size=4, stride=3, exact=True)
    (1, 1)
    >>> smallest_padding(10, kernel_size=3, stride=2, exact=True)
    Traceback (most recent call last):
    ...
    segup.errors.ShapeError: no padding leaves a residue of 0: (10 + 2·padding − 3) mod 2 is odd for every padding.
      try: size 9 or 11.
    """
    conv, n = Conv(kernel_size, stride, dilation=dilation), whole(size, "size", 1)
    axis = conv.axes[0]
    least = max(0, -((n - axis.extent) // 2))
    if not flag(exact, "exact"):
        return least
    missing = axis.extent - n - 2 * least  # which 2·(padding − least) has to leave, modulo the stride
    if axis.stride % 2:
        return least + missing * pow(2, -1, axis.stride) % axis.stride
    if missing % 2 == 0:
        return least + missing // 2 % (axis.stride // 2)
    sizes = [str(other) for other in (n - 1, n + 1) if other]
    raise ShapeError(
        f"no padding leaves a residue of 0: ({n} + 2·padding − {axis.extent}) mod {axis.stride} is odd for every "
        f"padding.\n  try: size {' or '.join(sizes)}."
    )


def find_convs(
    size: int,
    out: int,
    *,
    kernel_sizes: Iterable[int] | None = None,
    strides: Iterable[int] | None = None,
    dilations: Iterable[int] = (1,),
    exact: bool = False,
) -> list[Conv]:
    """Return the convolutions that bring ``size`` to ``out``.

    Paddings from 0 to below the kernel's extent are considered; those with the smallest residue come first, then
    small strides, kernels and paddings.

    Args:
        size: Input size.
        out: Output size.
        kernel_sizes: Kernel sizes to try; by default from 1 to 7, and up to two strides.
        strides: Strides to try; by default from 1 to 4, and those nearest to the ratio of the sizes.
        dilations: Dilations to try.
        exact: Only those with a residue of 0.

    Returns:
        The list, empty where there are none.

    >>> [str(conv) for conv in find_convs(417, 209, kernel_sizes=[2, 3, 4, 5])]
    ['conv k3 s2 p1', 'conv k5 s2 p2', 'conv k2 s2 p1', 'conv k4 s2 p2']
    """
    n, o, exact = whole(size, "size", 1), whole(out, "out", 1), flag(exact, "exact")
    found: list[Conv] = []
    for kernel, stride, dilation in _grid(n, o, kernel_sizes, strides, dilations):
        extent = dilation * (kernel - 1) + 1
        # (o − 1)·s ≤ n + 2p − e ≤ (o − 1)·s + s − 1, solved for p.
        smallest = max(0, -((n - extent - (o - 1) * stride) // 2))
        largest = min((o * stride - 1 - n + extent) // 2, extent - 1)
        found += [Conv(kernel, stride, padding, dilation) for padding in _few(range(smallest, largest + 1), found)]
    found = [conv for conv in found if not exact or conv.residue(n) == 0]
    return sorted(found, key=lambda conv: (conv.residue(n), conv.stride, conv.kernel_size, conv.padding))


def find_transposed(
    size: int,
    out: int,
    *,
    kernel_sizes: Iterable[int] | None = None,
    strides: Iterable[int] | None = None,
    dilations: Iterable[int] = (1,),
) -> list[ConvTranspose]:
    """Return the transposed convolutions that bring ``size`` to ``out``.

    Paddings from 0 to below the kernel's extent are considered; those without output_padding come first, then small
    strides, kernels and paddings. Arguments as :func:`find_convs`.

    >>> [str(up) for up in find_transposed(16, 33, kernel_sizes=[2, 3, 4], strides=[2])]
    ['deconv k3 s2', 'deconv k2 s2 op1', 'deconv k4 s2 p1 op1']
    >>> ConvTranspose(16, 8, 8, 1) in find_transposed(62, 489)
    True
    """
    n, o = whole(size, "size", 1), whole(out, "out", 1)
    found: list[ConvTranspose] = []
    for kernel, stride, dilation in _grid(o, n, kernel_sizes, strides, dilations):
        extent = dilation * (kernel - 1) + 1
        surplus = (n - 1) * stride + extent - o
        # 0 ≤ surplus + output_padding < 2·extent, and even: half of it is the padding.
        first = max(0, -surplus) + (surplus + max(0, -surplus)) % 2
        for output_padding in _few(range(first, min(max(stride, dilation), 2 * extent - surplus), 2), found):
            found.append(ConvTranspose(kernel, stride, (surplus + output_padding) // 2, output_padding, dilation))
    return sorted(found, key=lambda up: (up.output_padding, up.stride, up.kernel_size, up.padding))


def _few(values: range, found: Sequence[Layer]) -> range:
    """Return the values as they are, unless they and what is found by now are too many to try."""
    if len(found) + (values.stop - values.start) // values.step > TRIED:
        raise ShapeError(f"more than {TRIED} layers are to be tried.\n  try: smaller strides and dilations.")
    return values


def _grid(
    large: int, small: int, kernels: Iterable[int] | None, strides: Iterable[int] | None, dilations: Iterable[int]
) -> list[tuple[int, int, int]]:
    """Return (kernel, stride, dilation) to try; strides that are left out follow from the ratio of the two sizes."""
    near = {*range(1, 5), large // small or 1, -(-large // small)}
    steps = sorted(near) if strides is None else several(strides, "strides", 1)
    taps, gaps = None if kernels is None else several(kernels, "kernel_sizes", 1), several(dilations, "dilations", 1)
    count = len(steps) * len(gaps) * (2 * WIDEST if taps is None else len(taps))
    if count > TRIED:
        raise ShapeError(
            f"{len(steps)} strides, {2 * WIDEST if taps is None else len(taps)} kernel sizes and {len(gaps)} dilations "
            f"are {count} combinations; at most {TRIED} are tried.\n  try: fewer of them, such as strides=[2]."
        )
    return [
        (kernel, stride, dilation)
        for stride in steps
        for kernel in (range(1, max(7, 2 * min(stride, WIDEST)) + 1) if taps is None else taps)
        for dilation in gaps
    ]


def reaching(
    size: Size, out: Size, near: ConvTranspose | None = None, *, output_padding: bool = False
) -> list[ConvTranspose]:
    """Return up to eight transposed convolutions that bring ``size`` to ``out``; without ``near``, at least one.

    Args:
        size: Input size, or a (height, width) pair.
        out: Output size, or a pair.
        near: Only those with its stride and dilation, the least change of kernel and padding first; where it has one
            kernel and one padding for both axes, so do those that are returned, if there are any.
        output_padding: Whether output_padding may be as large as the layer takes, max(stride, dilation) − 1; else as
            large as it is made by an output_size, stride − 1.

    >>> [str(up) for up in reaching(62, 489, ConvTranspose(16, 8, 4))[:2]]
    ['deconv k15 s8 p7', 'deconv k16 s8 p8 op1']
    >>> print(reaching(3, 100)[0], reaching(100, 3)[0])
    deconv k34 s33 deconv k98 p97
    """
    sizes = [whole(part, "size", 1) for part in two(size, "size")]
    outs = [whole(part, "out", 1) for part in two(out, "out")]
    output_padding = flag(output_padding, "output_padding")
    if near is not None and not isinstance(near, ConvTranspose):
        raise ShapeError(f"near must be a ConvTranspose or None, not {short(near)}.\n  try: ConvTranspose(4, 2, 1).")
    if near is None:
        found = [_directly(n, o) for n, o in zip(sizes, outs, strict=True)]
        return [_joined(*pair) for pair in (_alike(*found) or list(zip(*found, strict=False)))[:MOST]]
    found = [
        axis.nearest(n, o, max(axis.stride, axis.dilation) if output_padding else axis.stride)
        for axis, n, o in zip(near.axes, sizes, outs, strict=True)
    ]
    high, wide = near.axes
    pairs = _alike(*found) if (high.kernel_size, high.padding) == (wide.kernel_size, wide.padding) else []
    if not pairs and all(found):
        kept = [  # an axis that needs no change keeps what it has
            one[:1] if (one[0].kernel_size, one[0].padding) == (axis.kernel_size, axis.padding) else one
            for one, axis in zip(found, near.axes, strict=True)
        ]
        longest = range(max(map(len, kept)))
        pairs = [(kept[0][min(place, len(kept[0]) - 1)], kept[1][min(place, len(kept[1]) - 1)]) for place in longest]
    return [_joined(*pair, near.groups) for pair in pairs[:MOST]]


def _alike(high: list[StampAxis], wide: list[StampAxis]) -> list[tuple[StampAxis, StampAxis]]:
    """Return the pairs that differ in nothing but output_padding, in the order of ``high``."""
    key = attrgetter("kernel_size", "stride", "padding", "dilation")
    across = {key(one): one for one in wide}
    return [(one, across[key(one)]) for one in high if key(one) in across]


def _directly(size: int, out: int) -> list[StampAxis]:
    """Return what is found for one axis, or else the one kernel whose stamps lie side by side and end with ``out``."""
    found = [up.axes[0] for up in find_transposed(size, out)]
    if out >= size:
        beside = StampAxis(out - (size - 1) * (out // size), out // size, 0, 0, 1)
    else:
        beside = StampAxis(size - out + 1, 1, size - out, 0, 1)
    return found if found and not found[0].output_padding else [beside, *found]


def _joined(high: StampAxis, wide: StampAxis, groups: int = 1) -> ConvTranspose:
    return ConvTranspose(*zip(astuple(high), astuple(wide), strict=True), groups=groups)
