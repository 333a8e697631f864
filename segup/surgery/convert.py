"""The three rewrites: from any claimed layer, or run of two, to one of three forms."""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from segup.shapes.arguments import per_axis
from segup.surgery.forms import BilinearDeconv2d, SubPixelConv2d, ZeroInsertionConv2d
from segup.surgery.read import read_stamp, resize_scale
from segup.surgery.stamp import Pair, Stamp, as_conv_weight, split_phases

M = TypeVar("M", bound=nn.Module)


def to_deconv(*layers: nn.Module) -> nn.ConvTranspose2d | BilinearDeconv2d:
    """Return one transposed convolution that computes what ``layers`` compute, borders, bias and all sizes included.

    Args:
        *layers: One of: Conv2d (stride 1, any kernel, zero padding, dilation and groups) and PixelShuffle; a nearest
            Upsample by a whole factor and such a Conv2d; a bilinear Upsample by a whole factor; the forms that
            :func:`to_subpixel` and :func:`to_zero_insertion` build; a ConvTranspose2d.

    Returns:
        A ConvTranspose2d; for bilinear, a :class:`BilinearDeconv2d`. Where torch's paddings alone cannot say where a
        kernel begins, it gets rows or columns of zero taps. An input too small for a convolution's kernel, which the
        convolution refuses, comes out empty.

    Raises:
        ConfigError: No exact rewrite: a bias that differs within a cell, groups that split one, align_corners=True,
            a stride, another padding mode, hooks, a subclass; the message says which.
        ShapeError: The channels do not fit PixelShuffle.

    Source: for the shuffle, Shi et al., arXiv 1609.07009.

    >>> conv = nn.Conv2d(8, 12, 3, padding=1, bias=False)
    >>> to_deconv(conv, nn.PixelShuffle(2))
    ConvTranspose2d(8, 3, kernel_size=(6, 6), stride=(2, 2), padding=(2, 2), bias=False)
    >>> to_deconv(nn.Upsample(scale_factor=2), nn.Conv2d(8, 3, 3, padding=1))
    ConvTranspose2d(8, 3, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1))
    """
    if len(layers) == 1 and isinstance(layers[0], nn.Upsample):
        return BilinearDeconv2d(resize_scale(layers[0], "bilinear")).train(layers[0].training)
    stamp = _placed(read_stamp(*layers))
    padding = _output_padding(stamp)
    deconv: nn.ConvTranspose2d = skip_init(
        nn.ConvTranspose2d,
        stamp.in_channels,
        stamp.out_channels,
        stamp.kernel_size,
        stride=stamp.stride,
        padding=stamp.offset,
        output_padding=padding,
        groups=stamp.groups,
        bias=stamp.bias is not None,
        dilation=stamp.dilation,
        device=stamp.weight.device,
        dtype=stamp.weight.dtype,
    )
    return _filled(deconv, deconv, stamp.weight, stamp.bias, layers)


def to_subpixel(*layers: nn.Module) -> SubPixelConv2d:
    """Return a sub-pixel convolution (one small convolution for each phase, then a shuffle) that computes the same.

    Args:
        *layers: As for :func:`to_deconv`, except bilinear.

    Raises:
        ConfigError, ShapeError: As :func:`to_deconv`.

    A dilated kernel is written with the zeros between its taps, and an extent that the stride does not divide gets
    zeros at its end.

    >>> up = nn.ConvTranspose2d(8, 3, kernel_size=4, stride=2, padding=1)
    >>> subpixel = to_subpixel(up)
    >>> x = torch.randn(2, 8, 5, 7)
    >>> subpixel.conv, torch.allclose(subpixel(x), up(x), atol=1e-5)
    (Conv2d(8, 12, kernel_size=(2, 2), stride=(1, 1)), True)
    """
    stamp = read_stamp(*layers)
    dense = stamp.dense()
    over = [-size % step for size, step in zip(dense.kernel_size, dense.stride, strict=True)]
    weight = split_phases(dense.with_zero_taps((0, 0), (over[0], over[1])).weight, stamp.stride, stamp.groups)
    cell = stamp.stride[0] * stamp.stride[1]
    bias = None if stamp.bias is None else stamp.bias.repeat_interleave(cell)
    form = SubPixelConv2d(_conv_of(weight, stamp), stamp)
    return _filled(form, form.conv, weight, bias, layers)


def to_zero_insertion(*layers: nn.Module) -> ZeroInsertionConv2d:
    """Return zero insertion followed by the flipped convolution that computes the same.

    Args:
        *layers: As for :func:`to_deconv`, except bilinear.

    Raises:
        ConfigError, ShapeError: As :func:`to_deconv`.

    >>> up = nn.ConvTranspose2d(1, 1, kernel_size=4, stride=2, padding=1, bias=False)
    >>> _ = up.weight.data.copy_(torch.arange(1.0, 17).reshape(1, 1, 4, 4))
    >>> to_zero_insertion(up)(torch.ones(1, 1, 4, 4))[0, 0, 0].tolist()
    [6.0, 12.0, 14.0, 12.0, 14.0, 12.0, 14.0, 7.0]
    """
    stamp = read_stamp(*layers)
    weight = as_conv_weight(stamp.weight, stamp.groups)
    form = ZeroInsertionConv2d(_conv_of(weight, stamp, stamp.dilation), stamp)
    return _filled(form, form.conv, weight, stamp.bias, layers)


def _placed(stamp: Stamp) -> Stamp:
    """Return the same stamp with zero taps, if need be, so that torch's padding and output_padding can express it."""
    direct = zip(stamp.offset, _output_padding(stamp), stamp.stride, stamp.dilation, strict=True)
    if all(offset >= 0 and 0 <= extra < max(stride, dilation) for offset, extra, stride, dilation in direct):
        return stamp
    stamp = stamp.dense()
    first = [max(0, -offset) for offset in stamp.offset]  # the padding cannot be negative
    stamp = stamp.with_zero_taps((first[0], first[1]), (0, 0))
    # A zero tap at the start lets output_padding grow by one, since the padding cuts both ends; one at the end lets
    # it shrink by one.
    before = [max(0, -extra) for extra in _output_padding(stamp)]
    after = [max(0, extra - step + 1) for extra, step in zip(_output_padding(stamp), stamp.stride, strict=True)]
    return stamp.with_zero_taps((before[0], before[1]), (after[0], after[1]))


def _output_padding(stamp: Stamp) -> Pair:
    return per_axis(lambda i: stamp.growth[i] + stamp.stride[i] + 2 * stamp.offset[i] - stamp.extent[i])


def _conv_of(weight: Tensor, stamp: Stamp, dilation: Pair = (1, 1)) -> nn.Conv2d:
    return skip_init(
        nn.Conv2d,
        stamp.in_channels,
        weight.shape[0],
        weight.shape[-2:],
        dilation=dilation,
        groups=stamp.groups,
        bias=stamp.bias is not None,
        device=weight.device,
        dtype=weight.dtype,
    )


def _filled(
    module: M, conv: nn.Conv2d | nn.ConvTranspose2d, weight: Tensor, bias: Tensor | None, layers: tuple[nn.Module, ...]
) -> M:
    """Give ``conv`` its weights, and ``module`` what the source has beside them: mode, layout, what is trained."""
    source = next(m for layer in layers for m in layer.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))
    last = torch.channels_last
    kept = source.weight.is_contiguous(memory_format=last) and not source.weight.is_contiguous()
    layout = last if kept else torch.contiguous_format
    conv.weight = nn.Parameter(weight.clone(memory_format=layout), requires_grad=source.weight.requires_grad)
    if bias is not None and source.bias is not None:
        conv.bias = nn.Parameter(bias.clone(), requires_grad=source.bias.requires_grad)
    return module.train(source.training)
