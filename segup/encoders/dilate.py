"""Dilation in place of stride: the last maps of an encoder keep the resolution of an earlier one."""

from collections.abc import Sequence
from fractions import Fraction
from math import log
from typing import Any

import torch
from torch import Tensor, nn

from segup.errors import ConfigError
from segup.inspection.copies import as_by_default, meta_copy

_DILATES = (nn.Conv2d, nn.MaxPool2d)


def dilate(
    body: nn.Module, in_channels: int, size: int, strides: Sequence[int | Fraction], wanted: int, name: str
) -> None:
    """Let no layer of ``body`` go below stride ``wanted``: what would halve the map again dilates all after it.

    A layer that stands at stride r is dilated by r / ``wanted``, and its own stride falls to what is left of it. So
    each weight reads the pixels that it read before, and the map at every r / ``wanted``-th row and column is what it
    was: the weights of a library keep their meaning (à trous, arXiv 1606.00915).

    Args:
        body: Changed in place.
        in_channels: Channels of the image.
        size: Of an image that it accepts, pixels a side.
        strides: Of its maps.
        wanted: What divides the last of them.
        name: As errors call it.

    Raises:
        ConfigError: It divides no stride, or a layer below it has another kind of stride, or an even kernel.
    """
    last = int(strides[-1])
    if last % wanted:
        near = min((n for n in range(1, last + 1) if last % n == 0), key=lambda n: abs(n - wanted))
        raise ConfigError(
            f"{name}: output_stride={wanted} must divide {last}, the stride of its last map\n"
            f"  try: encoder.options.output_stride={near}"
        )
    layers = dict(body.named_modules())
    for path, low in _reductions(body, in_channels, size, strides).items():
        layer: Any = layers[path]
        stride = max(_pair(getattr(layer, "stride", 1)))
        factor, kept = max(Fraction(1), low / wanted), min(Fraction(stride), max(Fraction(1), wanted / low))
        kernels = _pair(getattr(layer, "kernel_size", 1))
        if kept == stride and (factor == 1 or max(kernels) == 1):
            continue
        odd = all(kernel % 2 for kernel in kernels)
        if not isinstance(layer, _DILATES) or not odd or kept.denominator > 1 or factor.denominator > 1:
            raise ConfigError(
                f"{name} cannot be dilated: '{path}' is a {type(layer).__name__} of kernel {kernels[0]} and stride "
                f"{stride}, and odd convolutions alone can.\n"
                f"  try: encoder.options.output_stride=null, or encoder=timm encoder.name=resnet18"
            )
        layer.stride = (int(kept), int(kept))
        layer.dilation = tuple(int(factor) * n for n in _pair(layer.dilation))
        layer.padding = tuple(int(factor) * n for n in _pair(layer.padding))


@as_by_default()
def _reductions(body: nn.Module, in_channels: int, size: int, strides: Sequence[int | Fraction]) -> dict[str, Fraction]:
    """Return the reduction at which each layer with a kernel or a stride stands, by its path."""
    found: dict[str, Fraction] = {}
    known = {1, *strides, *(2**place for place in range(int(max(strides)).bit_length()))}

    def note(path: str, x: object) -> None:
        if isinstance(x, Tensor) and x.dim() == 4 and x.shape[-1] > 1:
            ratio = size / x.shape[-2]
            found[path] = Fraction(min(known, key=lambda stride: abs(log(ratio / float(stride)))))

    twin = meta_copy(body).eval()
    for path, layer in twin.named_modules():
        if hasattr(layer, "stride") and not any(layer.children()):
            layer.register_forward_pre_hook(lambda _, args, path=path: note(path, args[0] if args else None))
    with torch.no_grad():
        twin(torch.empty(1, in_channels, size, size, device="meta"))
    return found


def _pair(number: Any) -> tuple[int, int]:
    return (number[0], number[-1]) if isinstance(number, tuple | list) else (number, number)
