"""Blocks for any model. They are built from plain ints and take an upsampler as an argument."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeGuard, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.calls import annotated
from segup.conform import Count, OddKernel, Within
from segup.decoders.arguments import checked_options
from segup.errors import ConfigError, ShapeError, figures
from segup.streams import own_stream
from segup.unaltered import altered
from segup.upsamplers import create_upsampler
from segup.upsamplers.contract import Channels, Fit, Size, Upsampler
from segup.upsamplers.nearest import Nearest, conv_of_repeated

M = TypeVar("M", bound=nn.Module)


class ConvNormAct(nn.Sequential):
    """A convolution, BatchNorm and ReLU that keep the size: ``(N, in_channels, H, W)`` → ``(N, out_channels, H, W)``.

    Args:
        in_channels, out_channels: Channels before and after.
        kernel_size: Odd; 3 by default.
        dilation: Of the convolution; 1 by default.
        separable: Convolve each channel by itself, then mix them by a 1×1 convolution (arXiv 1610.02357).

    >>> ConvNormAct(8, 4, kernel_size=3, dilation=6)(torch.zeros(2, 8, 5, 7)).shape
    torch.Size([2, 4, 5, 7])
    """

    @annotated
    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        kernel_size: OddKernel = 3,
        dilation: Count = 1,
        separable: bool = False,
    ) -> None:
        kept: dict[str, Any] = {"padding": dilation * (kernel_size // 2), "dilation": dilation, "bias": False}
        with own_stream():
            if separable:
                each = nn.Conv2d(in_channels, in_channels, kernel_size, groups=in_channels, **kept)
                nn.init.kaiming_normal_(each.weight, nonlinearity="linear")
                convs = [each, nn.Conv2d(in_channels, out_channels, 1, bias=False)]
            else:
                convs = [nn.Conv2d(in_channels, out_channels, kernel_size, **kept)]
            nn.init.kaiming_normal_(convs[-1].weight, nonlinearity="relu")
        super().__init__(*convs, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


@own_stream()
def linear(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Return a 1×1 convolution: ``(N, in_channels, H, W)`` → ``(N, out_channels, H, W)``.

    >>> linear(8, 4)(torch.zeros(2, 8, 5, 7)).shape
    torch.Size([2, 4, 5, 7])
    """
    return nn.Conv2d(in_channels, out_channels, kernel_size=1)


def conv_stack(in_channels: int, out_channels: int, convs: int, separable: bool = False) -> nn.Sequential:
    """Return ``convs`` 3×3 convolutions, each with BatchNorm and ReLU; with none, a map of its own channels as it is.

    >>> len(conv_stack(8, 4, convs=2)), conv_stack(8, 4, convs=2)(torch.zeros(1, 8, 5, 5)).shape[1]
    (2, 4)
    """
    ins = [in_channels, *[out_channels] * (convs - 1)]
    return nn.Sequential(*(ConvNormAct(ins[index], out_channels, separable=separable) for index in range(convs)))


def as_built(module: nn.Module, kind: type[M]) -> TypeGuard[M]:
    """Return whether a module is of this class, does what the class says, and has no hooks: it need not be called.

    Classes of torch, :class:`ConvNormAct` and ``nearest`` are believed; what derives from them may do something else.

    >>> stack = conv_stack(8, 4, convs=1)
    >>> as_built(stack, nn.Sequential), as_built(stack, ConvNormAct), as_built(stack[0], ConvNormAct)
    (True, False, True)
    """
    return isinstance(module, kind) and not altered(module, ConvNormAct, Nearest, everywhere=False)


def is_plain(conv: nn.Module, kernel_size: int, bias: bool = False) -> bool:
    """Return whether a layer is the convolution that keeps the size, with zeros beyond the border, and nothing else.

    What its weight and bias say is all that it does. So they may be read, and the layer need not be called.

    >>> is_plain(nn.Conv2d(8, 4, 1), 1, bias=True), is_plain(nn.Conv2d(8, 4, 1, groups=2), 1, bias=True)
    (True, False)
    """
    return (
        as_built(conv, nn.Conv2d)
        and conv.kernel_size == (kernel_size, kernel_size)
        and conv.padding == (kernel_size // 2, kernel_size // 2)
        and conv.stride == conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.padding_mode == "zeros"
        and (conv.bias is not None) == bias
    )


_ENOUGH = 1024
"""Pixels of a batch from which a kernel that is computed anew at each step costs less than it saves."""


def convolved(convs: nn.Sequential, up: Upsampler, x: Tensor, size: Size, **guides: Any) -> Tensor:
    """Return ``convs`` of ``x`` brought to ``size`` and joined with the skip, of which ``guides`` may hold one.

    In training on a CPU no joined map is made: the first convolution is the sum of those of its parts. Where the
    operator repeats pixels, and to exactly ``size``, that of the map is one with the resize, see
    :func:`segup.upsamplers.nearest.conv_of_repeated`. The result is the same up to rounding. Layers that may compute
    something else than their weights say are called as they are.
    """
    if not (
        x.device.type == "cpu"
        and as_built(convs, nn.Sequential)
        and convs[0].training
        and as_built(convs[0], ConvNormAct)
        and is_plain(convs[0][0], 3)
    ):
        if "skip" not in guides:
            return convs(up(x, size, **guides))
        return convs(torch.cat(up.with_skip(x, size, **guides), dim=1))
    first, *after = convs[0]
    conv, skip = cast(nn.Conv2d, first), guides.get("skip")
    own, skips = conv.weight.split([up.out_channels, conv.in_channels - up.out_channels], dim=1)
    exact = up.run == 1 and size == (up.grid(x.shape[-2]), up.grid(x.shape[-1]))  # a fraction repeats unevenly
    if as_built(up, Nearest) and up.alone and exact and x[:, 0].numel() >= _ENOUGH:
        up.checked(x, size, guides)
        y = conv_of_repeated(x, own, up.scale)
    else:
        high, skip = (up(x, size, **guides), None) if skip is None else up.with_skip(x, size, **guides)
        y = F.conv2d(high, own, padding=conv.padding)
    y = y if skip is None else y + F.conv2d(skip, skips, padding=conv.padding)
    for layer in [*after, *list(convs)[1:]]:
        y = layer(y)
    return y


def _check_given(up: Upsampler, asked: Mapping[str, Any]) -> None:
    """Raise a ConfigError unless an operator that was made before is as asked; None asks nothing."""
    for name, value in asked.items():
        has = getattr(up, name, None)
        if value is not None and value != has and not (name == "in_channels" and up.takes(value)):
            raise ConfigError(
                f"the block is given {name}={value!r} and an operator of {name}={has!r}: {up.describe()}\n"
                f"  try: upsampler='{up.name}', which the block makes itself; or the operator's own {name}"
            )


class UNetBlock(nn.Module):
    """Bring a map to the size of its skip, join the two, and convolve (U-Net, arXiv 1505.04597).

    Args:
        in_channels: Channels of the low-resolution map.
        skip_channels: Channels of the skip; 0 for a stage without one.
        out_channels: Channels of the upsampled map and of the result.
        upsampler: Name of the operator, one of :func:`segup.upsamplers.list_upsamplers`; or an operator, whose result
            may have other channels than the block's.
        scale: Factor between the map and its skip; None is that of the operator, or 2.
        fit: ``"correct"`` or ``"strict"``, see :class:`segup.upsamplers.Upsampler`; None is the operator's, or
            ``"correct"``.
        convs: Number of 3×3 convolutions after the join, 1 or more.
        upsampler_options: The operator's own options.
        apart: Convolve the parts of the join one by one in training, see :func:`convolved`: faster on a CPU, and the
            same up to rounding.

    Shape: ``(N, in_channels, h, w)`` and a skip ``(N, skip_channels, H, W)`` → ``(N, out_channels, H, W)``.

    Raises:
        ConfigError: The operator requires a guide that the block does not have, or an option is unknown.
        ShapeError: The skip has other channels or another batch size, or its size is out of the operator's reach.

    >>> block = UNetBlock(in_channels=512, skip_channels=256, out_channels=256, upsampler="deconv")
    >>> block(torch.zeros(2, 512, 16, 16), torch.zeros(2, 256, 31, 32)).shape
    torch.Size([2, 256, 31, 32])
    """

    @annotated
    def __init__(
        self,
        in_channels: Channels,
        skip_channels: Annotated[int, Within(0)],
        out_channels: Channels,
        upsampler: str | Upsampler = "deconv",
        scale: int | None = None,
        *,
        fit: Fit | None = None,
        convs: Annotated[int, Within(1, 64)] = 2,
        upsampler_options: Mapping[str, Any] | None = None,
        apart: bool = False,
    ) -> None:
        super().__init__()
        self.skip_channels, self.apart = skip_channels, apart
        own = checked_options("upsampler_options", upsampler_options)
        if isinstance(upsampler, Upsampler):
            _check_given(upsampler, {"in_channels": in_channels, "scale": scale, "fit": fit, **own})
        else:
            own |= {"skip_channels": skip_channels or None, "fit": fit or "correct"}
            upsampler = create_upsampler(upsampler, in_channels, out_channels, scale or 2, **own)
        self.up = upsampler
        self.convs = conv_stack(upsampler.out_channels + skip_channels, out_channels, convs)

    def forward(
        self, x: Tensor, skip: Tensor | None = None, size: Size | None = None, **guides: Tensor | None
    ) -> Tensor:
        """Return the joined map at the skip's size; without a skip, at ``size`` or ``scale`` times the size of ``x``.

        ``guides`` are the guides that the operator requires beside the skip: ``indices=``, ``image=``.
        """
        if skip is None:
            if self.skip_channels:
                raise ShapeError(
                    f"this block takes a skip (N, {self.skip_channels}, H, W), and got none.\n"
                    f"  try: block(x, skip), or skip_channels=0 at construction for a block without one."
                )
            return self.convs(self.up(x, size, **guides))
        if not self.skip_channels:
            raise ShapeError(
                f"this block takes no skip (skip_channels=0), and got one of {figures(skip.shape)}.\n"
                f"  try: block(x, size=skip.shape[-2:]), or skip_channels= at construction."
            )
        if skip.dim() != 4 or skip.shape[1] != self.skip_channels or skip.shape[0] != x.shape[0]:
            raise ShapeError(
                f"this block takes a skip ({int(x.shape[0])}, {self.skip_channels}, H, W) with its input "
                f"{figures(x.shape)}, not {figures(skip.shape)}.\n"
                f"  try: the encoder's map of the same images, with skip_channels= its channels at construction."
            )
        size = (skip.shape[-2], skip.shape[-1])
        if self.apart:
            return convolved(self.convs, self.up, x, size, skip=skip, **guides)
        return self.convs(torch.cat(self.up.with_skip(x, size, skip=skip, **guides), dim=1))
