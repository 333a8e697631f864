"""The start ``init="interpolate"``: a channel map, then bilinear interpolation, the same function for each operator.

The channel map is the identity where an operator keeps the channels, and otherwise drawn from the seed. It is drawn
before anything else, so that two operators that are built from one seed start as one function. They differ in the
outermost ``scale // 2`` rows and columns of each side alone: beyond the edge some read zeros, and others repeat it.

An operator takes part by calling :func:`channel_map` first in its constructor, and by filling its weights, once they
are there (biases are zero), from that map and from the taps of its own way to interpolate:

- transposed convolution: :func:`transposed_taps`
- convolution, then pixel shuffle: :func:`phase_taps`
- bilinear resize, then convolution: :func:`middle_tap`
- nearest resize, then convolution: :func:`smoothing_taps`

>>> taps = transposed_taps("deconv", scale=2, kernel_size=4)
>>> taps.tolist()
[0.25, 0.75, 0.75, 0.25]
>>> separable(torch.eye(3), taps).shape
torch.Size([3, 3, 4, 4])
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.errors import ConfigError


def channel_map(in_channels: int, out_channels: int) -> Tensor:
    """Return the map ``(out_channels, in_channels)`` with which an operator starts.

    The identity where the two are equal; otherwise drawn so that the variance of a rectified input is kept (He et
    al., arXiv 1502.01852), from torch's generator.

    >>> channel_map(2, 2).tolist(), channel_map(2, 3).shape
    ([[1.0, 0.0], [0.0, 1.0]], torch.Size([3, 2]))
    """
    if in_channels == out_channels:
        return torch.eye(in_channels)
    return nn.init.kaiming_normal_(torch.empty(out_channels, in_channels), nonlinearity="relu")


def separable(mix: Tensor, taps: Tensor) -> Tensor:
    """Return the kernels ``(out, in, k, k)`` that mix channels by ``mix`` and weigh rows and columns by ``taps``."""
    return mix[:, :, None, None] * torch.outer(taps, taps)


@torch.no_grad()
def init_weight(conv: nn.Conv2d | nn.ConvTranspose2d, weight: Tensor | None) -> None:
    """Start ``conv`` from ``weight``, or so that it keeps the variance of a rectified input; its bias from zero."""
    if weight is None:
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    else:
        conv.weight.copy_(weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def init_drawn(*convs: nn.Module, std: float | None = None) -> None:
    """Start convolutions from normal weights of ``std``, or from Xavier's uniform ones; their biases from zero.

    >>> conv = nn.Conv2d(2, 2, 1)
    >>> init_drawn(conv, std=0.0)
    >>> conv.weight.abs().sum().item()
    0.0
    """
    for conv in convs:
        for parameter in conv.parameters():
            if parameter.dim() == 1 or std == 0:
                nn.init.zeros_(parameter)
            elif std is None:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.normal_(parameter, std=std)


def triangle(scale: int, kernel_size: int) -> Tensor:
    """Return the taps of a triangle as wide as the kernel, so that every phase of a transposed convolution sums to 1.

    The bilinear kernels of fully convolutional networks (Long et al., arXiv 1411.4038) where the kernel is
    ``2·scale``, or ``2·scale - 1``; with their weights for other kernels a constant would become a checkerboard, so
    the taps that meet in one output are divided by their sum.

    >>> triangle(2, 4).tolist(), triangle(2, 3).tolist()
    ([0.25, 0.75, 0.75, 0.25], [0.5, 1.0, 0.5])
    """
    half = (kernel_size + 1) // 2
    offsets = torch.arange(kernel_size) - (kernel_size - 1) / 2
    taps = 1 - offsets.abs() / half
    for phase in range(scale):
        taps[phase::scale] /= taps[phase::scale].sum()
    return taps


def transposed_taps(name: str, scale: int, kernel_size: int) -> Tensor:
    """Return the taps with which a transposed convolution, padding ``(kernel_size - scale) // 2``, interpolates.

    Raises:
        ConfigError: A kernel smaller than ``2·scale`` (``2·scale - 1`` for an odd scale): it does not reach both
            neighbours.

    >>> transposed_taps("deconv", scale=2, kernel_size=6).tolist()
    [0.0, 0.25, 0.75, 0.75, 0.25, 0.0]
    """
    least = 2 * scale - scale % 2
    _check_kernel(name, scale, kernel_size, least, "init=bilinear, which starts any kernel as a triangle")
    return _centred(triangle(scale, least), kernel_size)


def phase_taps(name: str, scale: int, kernel_size: int) -> Tensor:
    """Return the taps ``(scale, kernel_size)`` with which each phase of a pixel shuffle's convolution interpolates.

    Phase ``a`` is output ``scale·i + a``; it reads input ``i`` and the neighbour on its side.

    Raises:
        ConfigError: A 1×1 kernel, which has no neighbours.

    >>> phase_taps("pixel_shuffle", scale=2, kernel_size=3).tolist()
    [[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]]
    """
    _check_kernel(name, scale, kernel_size, 3, "init=icnr, which starts as nearest upsampling")
    centres = (torch.arange(scale) + 0.5) / scale - 0.5
    inputs = torch.arange(kernel_size) - kernel_size // 2
    return (1 - (inputs - centres[:, None]).abs()).clamp(min=0)


def middle_tap(kernel_size: int) -> Tensor:
    """Return the taps of a convolution that passes its input on: 1 in the middle."""
    return _centred(torch.ones(1), kernel_size)


def smoothing_taps(name: str, scale: int, kernel_size: int) -> Tensor:
    """Return the taps of the convolution that makes bilinear interpolation of nearest upsampling.

    A triangle is a box smoothed by a box: the second one has width ``scale``, its ends halved for an even scale so
    that it stays centred.

    Raises:
        ConfigError: A kernel smaller than that box: ``scale``, or ``scale + 1`` for an even one.

    >>> smoothing_taps("nearest", scale=2, kernel_size=3).tolist()
    [0.25, 0.5, 0.25]
    """
    least = scale + 1 - scale % 2
    _check_kernel(name, scale, kernel_size, least, "init=he")
    box = torch.full((least,), 1 / scale)
    if scale % 2 == 0:
        box[0] = box[-1] = 0.5 / scale
    return _centred(box, kernel_size)


def _centred(taps: Tensor, kernel_size: int) -> Tensor:
    """Return the taps in the middle of a kernel of zeros."""
    before = (kernel_size - len(taps)) // 2
    return F.pad(taps, (before, kernel_size - len(taps) - before))


def _check_kernel(name: str, scale: int, kernel_size: int, least: int, otherwise: str) -> None:
    if kernel_size < least:
        raise ConfigError(
            f"'{name}': init='interpolate' at scale {scale} takes a kernel of at least {least}: one of {kernel_size} "
            f"does not reach the pixels that bilinear interpolation reads.\n  try: kernel_size={least}, or {otherwise}."
        )
