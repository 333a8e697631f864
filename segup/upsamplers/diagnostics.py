"""Measure what an operator does to a constant and to a single pixel.

>>> from torch import nn
>>> up = nn.ConvTranspose2d(1, 1, kernel_size=3, stride=2, bias=False)
>>> _ = nn.init.ones_(up.weight)
>>> overlap_counts(kernel_size=3, stride=2).tolist(), round(checkerboard(up), 4)
([[4, 2], [2, 1]], 0.19)
"""

from math import prod
from typing import Annotated

import torch
from torch import Tensor, nn

from segup.calls import accepts
from segup.conform import Within, short
from segup.errors import ShapeError
from segup.shapes.arguments import two
from segup.upsamplers.probe import Probe

Pair = tuple[int, int]
_MOST = 2**26
"""So many numbers a map may hold: 512 MiB."""


def checkerboard(up: nn.Module, *, in_channels: int | None = None, dtype: torch.dtype = torch.float64) -> float:
    """Return how much of the result for a constant is a pattern of the upsampling, from 0 (none) to 1 (all).

    The input is a constant map of ones. If the operator requires guides, it gets a constant skip, or the pooling
    indices of a constant map. The output is averaged for each of the scale × scale phases, over cells that no border
    influences. For each output channel, the share of energy outside the mean of the phases is taken: one minus the
    share of their discrete Fourier transform at frequency 0. The figure is the mean over output channels.

    Args:
        up: An operator, or any module that maps ``(N, C, h, w)`` to a whole multiple of h and w, plus a constant. A
            copy of it runs in evaluation mode, so ``up`` does not change.
        in_channels: C; by default the number that ``up`` or its first layer names, else 1.
        dtype: The type to compute in, torch.float64 or torch.float32. A channel whose mean is rounding noise counts as
            0.

    Raises:
        ShapeError: The module does not take the map, its output does not grow by a whole factor, or its cells differ at
            any distance from the border, so the result depends on the place.
        ConfigError: It requires a guide other than a skip or indices, or ``dtype`` is another one.

    Source: the pattern, Odena et al., Distill 2016. For an all-ones kernel 3 at stride 2 the phases are 1, 2, 2, 4:
    1 − 81/100.

    >>> checkerboard(nn.Upsample(scale_factor=2, mode="bilinear"))
    0.0
    """
    phases = Probe(up, in_channels, dtype).phases()
    energy = phases.square().flatten(1).mean(dim=1)
    share = phases.flatten(1).var(dim=1, correction=0) / energy.clamp(min=torch.finfo(dtype).tiny)
    return float(share.mean())


def checkerboard_spectrum(
    up: nn.Module, *, in_channels: int | None = None, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Return at which frequencies the pattern of :func:`checkerboard` lies.

    The phase means of each output channel are transformed (discrete Fourier transform), and their energy is divided by
    its sum. The shares are averaged over output channels. The sum of all shares except frequency (0, 0) is the
    checkerboard figure.

    Args:
        up, in_channels, dtype: As for :func:`checkerboard`.

    Shape: ``(sh, sw)`` of the scale: entry (r, c) is the frequency of r/sh cycles per row and c/sw per column. At scale
    2 these are the mean, stripes down the columns (0, 1), stripes along the rows (1, 0), and the board itself (1, 1).

    Raises:
        ShapeError, ConfigError: As for :func:`checkerboard`.

    >>> up = nn.ConvTranspose2d(1, 1, kernel_size=3, stride=2, bias=False)
    >>> _ = nn.init.ones_(up.weight)
    >>> (checkerboard_spectrum(up) * 100).round().tolist()
    [[81.0, 9.0], [9.0, 1.0]]
    """
    energy = torch.fft.fft2(Probe(up, in_channels, dtype).phases()).abs().square()
    total = energy.sum(dim=(1, 2), keepdim=True)
    even = torch.zeros_like(energy)
    even[:, 0, 0] = 1  # a silent channel has no pattern
    return torch.where(total > 0, energy / total.clamp(min=torch.finfo(dtype).tiny), even).mean(dim=0)


def constant_response(
    up: nn.Module, *, in_channels: int | None = None, size: int | Pair = 8, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Return the result for a map of ones, with its borders: ``(out_channels, H, W)``.

    Args:
        up, in_channels, dtype: As for :func:`checkerboard`.
        size: Size of the map, (height, width) or one number for both.

    Raises:
        ShapeError: The size is not a whole number of 1 or more; or as for :func:`checkerboard`.

    >>> up = nn.ConvTranspose2d(1, 1, kernel_size=3, stride=2, bias=False)
    >>> _ = nn.init.ones_(up.weight)
    >>> constant_response(up, size=(1, 2))[0].long().tolist()
    [[1, 1, 2, 1, 1], [1, 1, 2, 1, 1], [1, 1, 2, 1, 1]]
    """
    probe = Probe(up, in_channels, dtype)
    height, width = _whole(size, "size")
    _check_amount(probe.in_channels, height, width, otherwise="size=8")
    return probe.run(torch.ones(probe.in_channels, height, width, dtype=dtype, device=probe.device))


def impulse_response(
    up: nn.Module, *, in_channels: int | None = None, channel: int | None = None, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Return what a single pixel of value 1 adds to the output: ``(out_channels, H, W)``.

    The response to a map of zeros is subtracted, and with it the bias. If the weights of an operator depend on its
    input, this is its response to this one map.

    Args:
        up, in_channels, dtype: As for :func:`checkerboard`.
        channel: The input channel that holds the pixel; all of them by default.

    Shape: the input is an odd size n × n, large enough that no border is met, with the pixel in its middle:
    ``H`` and ``W`` are ``scale·n``, or what ``up`` makes of n.

    Raises:
        ConfigError: No such channel.
        ShapeError: As for :func:`checkerboard`.

    >>> response = impulse_response(nn.Upsample(scale_factor=2))
    >>> response.shape, response.nonzero()[:, 1:].tolist()
    (torch.Size([1, 14, 14]), [[6, 6], [6, 7], [7, 6], [7, 7]])
    """
    return Probe(up, in_channels, dtype).response(channel)


def impulse_shift(
    up: nn.Module, *, in_channels: int | None = None, dtype: torch.dtype = torch.float64
) -> tuple[float, float]:
    """Return by how many output pixels (down, right) the centroid of an impulse moves; 0 keeps to the grid.

    On the grid of ``align_corners=False``, input pixel ``i`` has its centre on output ``scale·i + (scale − 1)/2``.
    The responses of all channels are summed and used with their sign. So the result is exact for operators that
    interpolate, and says little about random kernels.

    Args:
        up, in_channels, dtype: As for :func:`checkerboard`.

    Raises:
        ShapeError: As for :func:`checkerboard`, or the response sums to zero: it has no centroid.

    >>> impulse_shift(nn.Upsample(scale_factor=2, mode="bilinear"))
    (0.0, 0.0)
    """
    probe = Probe(up, in_channels, dtype)
    total = probe.response(None).sum(dim=0)
    weight = total.sum()
    if weight.abs() <= 1e-9 * total.abs().sum():
        raise ShapeError("the impulse's response sums to zero: it has no centroid")
    moved = []
    for axis in (0, 1):
        line = total.sum(dim=1 - axis)
        centroid = float((line * torch.arange(len(line), dtype=line.dtype, device=line.device)).sum() / weight)
        moved.append(centroid - probe.scale[axis] * probe.reach - (probe.scale[axis] - 1) / 2)
    return moved[0], moved[1]


def overlap_counts(
    kernel_size: int | Pair,
    stride: int | Pair,
    *,
    dilation: int | Pair = 1,
    size: int | Pair | None = None,
    padding: int | Pair = 0,
) -> Tensor:
    """Return how many stamps of a transposed convolution meet in each output pixel.

    With dilation 1, the counts are uneven exactly if the stride does not divide the kernel.

    Args:
        kernel_size, stride, dilation: Of the transposed convolution, one int or a (height, width) pair, at least 1.
        size: Of the input. Without it, the interior is returned: one cell, which repeats.
        padding: Rows and columns cut from both ends of the map, with ``size``.

    Shape: ``(stride, stride)``: entry (r, c) is that of the pixels at r modulo stride and c modulo stride, before any
    cut. With ``size``, the whole map.

    Raises:
        ShapeError: A value that is not a whole number in its range, a padding that cuts the whole map, or a map of
            more than 2**26 numbers.

    >>> overlap_counts(3, 2).tolist(), overlap_counts(4, 2).tolist()
    ([[4, 2], [2, 1]], [[4, 4], [4, 4]])
    >>> overlap_counts(3, 2, size=(1, 3)).tolist()
    [[1, 1, 2, 1, 2, 1, 1], [1, 1, 2, 1, 2, 1, 1], [1, 1, 2, 1, 2, 1, 1]]
    """
    kernels, strides = _whole(kernel_size, "kernel_size"), _whole(stride, "stride")
    dilations, cuts = _whole(dilation, "dilation"), _whole(padding, "padding", least=0)
    sizes = None if size is None else _whole(size, "size")
    whole = strides
    if sizes is not None:
        reached = [(sizes[i] - 1) * strides[i] + dilations[i] * (kernels[i] - 1) + 1 for i in (0, 1)]
        whole = (reached[0] - 2 * cuts[0], reached[1] - 2 * cuts[1])
        for axis in (0, 1):
            if whole[axis] < 1:
                raise ShapeError(
                    f"padding={cuts[axis]} cuts all of the {reached[axis]} pixels that size {sizes[axis]} becomes.\n"
                    f"  try: a padding of at most {(reached[axis] - 1) // 2}."
                )
    _check_amount(*whole, otherwise="stride=2" if sizes is None else "size=8")
    lines = []
    for axis in (0, 1):
        taps = dilations[axis] * torch.arange(kernels[axis])
        if sizes is None:
            lines.append(torch.bincount(taps % strides[axis], minlength=strides[axis]))
            continue
        counts = torch.zeros(reached[axis], dtype=torch.int64)
        for tap in taps.tolist():
            counts[tap :: strides[axis]][: sizes[axis]] += 1
        lines.append(counts[cuts[axis] : cuts[axis] + whole[axis]])
    return torch.outer(*lines)


def _check_amount(*shape: int, otherwise: str) -> None:
    if prod(shape) > _MOST:
        rule = f"a map of {' × '.join(map(str, shape))} holds {prod(shape)} numbers, more than {_MOST}"
        raise ShapeError(f"{rule}.\n  try: {otherwise}.")


def _whole(value: int | Pair, name: str, least: int = 1) -> Pair:
    number = Annotated[int, Within(least, 2**16 - 1)]
    if not accepts(number | tuple[number, number], value):
        raise ShapeError(
            f"{name}={short(value)} must be an int of {least} or more and below 2**16, "
            "or a (height, width) pair of them"
        )
    height, width = two(value, name)
    return int(height), int(width)  # type: ignore[call-overload]
