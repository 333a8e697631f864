"""Reading layers into the normal form, and refusing what has no exact rewrite, with the reason."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from segup.errors import ConfigError, ShapeError
from segup.surgery.forms import StampedConv2d, SubPixelConv2d, ZeroInsertionConv2d
from segup.surgery.stamp import Pair, Stamp, as_transposed_weight, join_phases
from segup.unaltered import altered

CLAIMED = (
    "ConvTranspose2d; Conv2d, PixelShuffle; Upsample(mode='nearest'), Conv2d; Upsample(mode='bilinear'); "
    "SubPixelConv2d; ZeroInsertionConv2d"
)
_KNOWN_RESIZES = "a nearest resize is rewritten with the Conv2d after it, a bilinear one by itself, no other mode"
_LEAVES: tuple[type[nn.Module], ...] = (
    nn.ConvTranspose2d,
    nn.Conv2d,
    nn.PixelShuffle,
    nn.Upsample,
    nn.UpsamplingNearest2d,
    nn.UpsamplingBilinear2d,
    SubPixelConv2d,
    ZeroInsertionConv2d,
)


def read_stamp(*layers: nn.Module) -> Stamp:
    """Return the normal form of one layer, or of two that follow each other.

    Raises:
        ConfigError: They have no exact rewrite; the message says why.
        ShapeError: Their channels do not fit each other.

    >>> read_stamp(nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 3, padding=1)).kernel_size
    (4, 4)
    """
    for layer in layers:
        check_plain(layer)
    match layers:
        case (nn.ConvTranspose2d() as conv,):
            return _read_deconv(conv)
        case (SubPixelConv2d() as form,):
            return _read_subpixel(form)
        case (ZeroInsertionConv2d() as form,):
            weight = as_transposed_weight(form.conv.weight.detach(), form.groups)
            return _read_form(form, weight, form.dilation, _bias(form.conv))
        case (nn.Conv2d() as conv, nn.PixelShuffle(upscale_factor=scale)):
            return _read_shuffle(conv, scale)
        case (nn.Upsample() as resize, nn.Conv2d() as conv):
            return _read_nearest(resize, conv)
    raise ConfigError(f"{_names(layers)} has no exact rewrite; known: {CLAIMED}")


def resize_scale(resize: nn.Upsample, mode: str) -> Pair:
    """Return the (height, width) factors of a resize layer that multiplies by whole numbers in ``mode``.

    Raises:
        ConfigError: Another mode, ``align_corners``, a fixed size, or a factor that is not whole.
    """
    check_plain(resize)
    found = "nearest" if resize.mode == "nearest-exact" else resize.mode  # the same for whole factors
    if found != mode:
        raise ConfigError(f"{resize} has mode {resize.mode!r}: {_KNOWN_RESIZES}")
    if resize.align_corners:
        raise ConfigError(
            f"{resize} has align_corners=True: its step depends on the input's size, so no fixed kernel equals it"
        )
    if resize.scale_factor is None:
        raise ConfigError(f"{resize} resizes to a size: its factor depends on the input, so no fixed kernel equals it")
    given = resize.scale_factor
    factors = given if isinstance(given, tuple) else (given, given)
    if len(factors) != 2:
        raise ConfigError(f"{resize} has {len(factors)} factors: its maps do not have two axes")
    height, width = factors
    if height != int(height) or width != int(width) or min(height, width) < 1:
        raise ConfigError(f"{resize} resizes by a factor that is no whole number: no fixed kernel equals it")
    return int(height), int(width)


def check_plain(layer: nn.Module) -> None:
    """Raise a ConfigError unless what ``layer`` computes is what its class and its weights say.

    A subclass may compute something else; hooks and parametrizations would be lost with the layer.
    """
    name = type(layer).__name__
    if not isinstance(layer, nn.Module):
        raise ConfigError(f"{layer!r} is no torch.nn.Module")
    if parametrize.is_parametrized(layer):
        raise ConfigError(
            f"{name} has a parametrized weight, which a rewrite would freeze.\n"
            f"  try: torch.nn.utils.parametrize.remove_parametrizations first."
        )
    if any(is_lazy(value) for value in layer.parameters(recurse=False)):
        raise ConfigError(f"{name} has no weights yet.\n  try: run the model once first.")
    reason = altered(layer, *_LEAVES) if isinstance(layer, _LEAVES) else ""
    if reason:
        lost = "" if "something else" in reason else ", which a rewrite would lose"
        way = "\n  try: remove them first." if "hooks" in reason else ""
        raise ConfigError(f"{reason}{lost}{'.' if way else ''}{way}")
    if any(value.is_meta for value in layer.parameters()):
        raise ConfigError(f"{name} is on the meta device: its weights have no values.\n  try: load them first.")


def _read_deconv(conv: nn.ConvTranspose2d) -> Stamp:
    stride, padding, extra, dilation = (
        _pair(value) for value in (conv.stride, conv.padding, conv.output_padding, conv.dilation)
    )
    kernel = _pair(conv.kernel_size)
    growth = [
        d * (k - 1) + 1 - s - 2 * p + op
        for k, s, p, op, d in zip(kernel, stride, padding, extra, dilation, strict=True)
    ]
    return Stamp(
        conv.weight.detach(), _bias(conv), stride, padding, (growth[0], growth[1]), dilation, extra, conv.groups
    )


def _read_form(form: StampedConv2d, weight: Tensor, dilation: Pair, bias: Tensor | None) -> Stamp:
    return Stamp(weight, bias, form.stride, form.offset, form.growth, dilation, form.output_padding, form.groups)


def _read_subpixel(form: SubPixelConv2d) -> Stamp:
    whole = join_phases(form.conv.weight.detach(), form.stride, form.groups)
    bias = _one_bias_per_cell(form.conv, form.stride)
    (kh, kw), (dh, dw) = form.kernel_size, form.dilation
    taps = whole[..., : dh * (kh - 1) + 1 : dh, : dw * (kw - 1) + 1 : dw]
    # The zeros between and after the taps were written by the rewrite; training may have moved them.
    if torch.count_nonzero(taps) == torch.count_nonzero(whole):
        return _read_form(form, taps, form.dilation, bias)
    return _read_form(form, whole, (1, 1), bias)


def _read_shuffle(conv: nn.Conv2d, scale: int) -> Stamp:
    before, after = _conv_padding(conv)
    if conv.out_channels % scale**2:
        raise ShapeError(
            f"PixelShuffle({scale}) takes a multiple of {scale}² = {scale**2} channels, "
            f"and the convolution before it gives {conv.out_channels}"
        )
    if conv.out_channels // conv.groups % scale**2:
        raise ConfigError(
            f"Conv2d with groups={conv.groups} gives {conv.out_channels // conv.groups} channels for each group, no "
            f"multiple of {scale}² = {scale**2}: pixels of one cell come from different groups, and no transposed "
            f"convolution's do"
        )
    stride, dilation = (scale, scale), _pair(conv.dilation)
    bias = _one_bias_per_cell(conv, stride)
    # Between the taps of a dilated convolution lie whole cells of zeros: the low-resolution kernel is made dense first.
    extent = [d * (k - 1) + 1 for k, d in zip(_pair(conv.kernel_size), dilation, strict=True)]
    dense = conv.weight.new_zeros(*conv.weight.shape[:2], *extent)
    dense[..., :: dilation[0], :: dilation[1]] = conv.weight.detach()
    weight = join_phases(dense, stride, conv.groups)
    offset = [scale * (e - 1 - b) for e, b in zip(extent, before, strict=True)]
    growth = [scale * (b + a - e + 1) for e, b, a in zip(extent, before, after, strict=True)]
    return Stamp(weight, bias, stride, (offset[0], offset[1]), (growth[0], growth[1]), groups=conv.groups)


def _read_nearest(resize: nn.Upsample, conv: nn.Conv2d) -> Stamp:
    stride = resize_scale(resize, "nearest")
    before, after = _conv_padding(conv)
    (sh, sw), (dh, dw), (kh, kw) = stride, _pair(conv.dilation), _pair(conv.kernel_size)
    flipped = as_transposed_weight(conv.weight.detach(), conv.groups)
    # Each of the s² copies of an input value is stamped with the flipped kernel, one pixel on: the copies add up.
    height, width = dh * (kh - 1) + sh, dw * (kw - 1) + sw
    weight = flipped.new_zeros(*flipped.shape[:2], height, width)
    for row, column in itertools.product(range(sh), range(sw)):
        weight[..., row : row + dh * (kh - 1) + 1 : dh, column : column + dw * (kw - 1) + 1 : dw] += flipped
    offset = (dh * (kh - 1) - before[0], dw * (kw - 1) - before[1])
    growth = (before[0] + after[0] - dh * (kh - 1), before[1] + after[1] - dw * (kw - 1))
    return Stamp(weight, _bias(conv), stride, offset, growth, groups=conv.groups)


def _conv_padding(conv: nn.Conv2d) -> tuple[Pair, Pair]:
    """Return the (height, width) padding before and after, of a convolution at stride 1 that pads with zeros."""
    if _pair(conv.stride) != (1, 1):
        raise ConfigError(f"{conv} has stride {conv.stride}: it leaves out what the upsampling made; stride 1 is known")
    if conv.padding_mode != "zeros":
        raise ConfigError(f"{conv} has padding_mode={conv.padding_mode!r}: only zeros fall outside every stamp")
    if conv.padding == "valid":
        return (0, 0), (0, 0)
    if conv.padding == "same":  # torch puts the odd one at the end
        lost = [d * (k - 1) for k, d in zip(_pair(conv.kernel_size), _pair(conv.dilation), strict=True)]
        return (lost[0] // 2, lost[1] // 2), (-(-lost[0] // 2), -(-lost[1] // 2))
    both = _pair(conv.padding)
    return both, both


def _one_bias_per_cell(conv: nn.Conv2d, stride: Pair) -> Tensor | None:
    bias = _bias(conv)
    if bias is None:
        return None
    cells = bias.reshape(-1, stride[0] * stride[1])
    if not torch.equal(cells, cells[:, :1].expand_as(cells)):
        apart = (cells.max(dim=1).values - cells.min(dim=1).values).max().item()
        raise ConfigError(
            f"the bias differs by up to {apart:.3g} within a group of {cells.shape[1]} channels that become one cell's "
            f"pixels, and a transposed convolution has one bias for each output channel.\n"
            f"  try: bias=False, or a bias that is equal within each group (ICNR starts so)."
        )
    return cells[:, 0].clone()


def _bias(conv: nn.Conv2d | nn.ConvTranspose2d) -> Tensor | None:
    return None if conv.bias is None else conv.bias.detach()


def _pair(value: object) -> Pair:
    """Return a layer's parameter, which torch keeps as a tuple of ints, as a pair."""
    assert isinstance(value, tuple)
    return int(value[0]), int(value[1])


def _names(layers: tuple[nn.Module, ...]) -> str:
    return ", then ".join(str(type(layer).__name__) for layer in layers) or "nothing"
