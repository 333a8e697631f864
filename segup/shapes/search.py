"""The questions people ask backwards: which padding, which layer, which input size."""

from collections.abc import Iterable, Sequence
from typing import Any

from segup.errors import ShapeError
from segup.shapes.arguments import Size, whole
from segup.shapes.chain import Chain
from segup.shapes.layer import Layer
from segup.shapes.transposed import ConvTranspose
from segup.shapes.windows import Conv


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
    segup.errors.ShapeError: no padding leaves a residue of 0: (10 + 2·padding − 3) mod 2 is 1 for every padding.
      try: size 9 or 11.
    """
    conv, n = Conv(kernel_size, stride, dilation=dilation), whole(size, "size", 1)
    axis = conv.axes[0]
    least = max(0, -((n - axis.extent) // 2))
    if not exact:
        return least
    for padding in range(least, least + axis.stride):
        if (n + 2 * padding - axis.extent) % axis.stride == 0:
            return padding
    raise ShapeError(
        f"no padding leaves a residue of 0: ({n} + 2·padding − {axis.extent}) mod {axis.stride} is "
        f"{_residues(n - axis.extent, axis.stride)} for every padding.\n  try: size {n - 1} or {n + 1}."
    )


def _residues(room: int, stride: int) -> str:
    residues = sorted({(room + 2 * padding) % stride for padding in range(stride)})
    return " or ".join(map(str, residues))


def find_convs(
    size: int,
    out: int,
    *,
    kernel_sizes: Iterable[int] = range(1, 8),
    strides: Iterable[int] = range(1, 5),
    dilations: Iterable[int] = (1,),
    exact: bool = False,
) -> list[Conv]:
    """Return the convolutions that bring ``size`` to ``out``.

    Paddings from 0 to below the kernel's extent are considered; those with the smallest residue come first, then
    small strides, kernels and paddings.

    Args:
        size: Input size.
        out: Output size.
        kernel_sizes: Kernel sizes to try.
        strides: Strides to try.
        dilations: Dilations to try.
        exact: Only those with a residue of 0.

    Returns:
        The list, empty where there are none.

    >>> [str(conv) for conv in find_convs(417, 209, kernel_sizes=[2, 3, 4, 5])]
    ['conv k3 s2 p1', 'conv k5 s2 p2', 'conv k2 s2 p1', 'conv k4 s2 p2']
    """
    n, o, found = whole(size, "size", 1), whole(out, "out", 1), []
    for kernel, stride, dilation in _grid(kernel_sizes, strides, dilations):
        axis = Conv(kernel, stride, dilation=dilation).axes[0]
        # (o − 1)·s ≤ n + 2p − e ≤ (o − 1)·s + s − 1, solved for p.
        smallest = -((n - axis.extent - (o - 1) * stride) // 2)
        largest = ((o - 1) * stride + stride - 1 - n + axis.extent) // 2
        for padding in range(max(0, smallest), min(largest, axis.extent - 1) + 1):
            found.append(Conv(kernel, stride, padding, dilation))
    found = [conv for conv in found if not exact or conv.residue(n) == 0]
    return sorted(found, key=lambda conv: (conv.residue(n), conv.stride, conv.kernel_size, conv.padding))


def find_transposed(
    size: int,
    out: int,
    *,
    kernel_sizes: Iterable[int] = range(1, 8),
    strides: Iterable[int] = range(1, 5),
    dilations: Iterable[int] = (1,),
) -> list[ConvTranspose]:
    """Return the transposed convolutions that bring ``size`` to ``out``.

    Paddings from 0 to below the kernel's extent are considered; those without output_padding come first, then small
    strides, kernels and paddings. Arguments as :func:`find_convs`.

    >>> [str(up) for up in find_transposed(16, 33, kernel_sizes=[2, 3, 4], strides=[2])]
    ['deconv k3 s2', 'deconv k2 s2 op1', 'deconv k4 s2 p1 op1']
    """
    n, o, found = whole(size, "size", 1), whole(out, "out", 1), []
    for kernel, stride, dilation in _grid(kernel_sizes, strides, dilations):
        extent = dilation * (kernel - 1) + 1
        surplus = (n - 1) * stride + extent - o
        for output_padding in range(max(stride, dilation)):
            padding, odd = divmod(surplus + output_padding, 2)
            if not odd and 0 <= padding < extent:
                found.append(ConvTranspose(kernel, stride, padding, output_padding, dilation))
    return sorted(found, key=lambda up: (up.output_padding, up.stride, up.kernel_size, up.padding))


def _grid(kernel_sizes: Iterable[int], strides: Iterable[int], dilations: Iterable[int]) -> list[tuple[int, int, int]]:
    steps, gaps = list(strides), list(dilations)
    return [(kernel, stride, dilation) for kernel in kernel_sizes for stride in steps for dilation in gaps]
