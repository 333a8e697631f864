"""segup's own operators as runs of layers, and an operator whose layers were rewritten."""

import copy
from typing import Any

from torch import Tensor, nn

from segup.errors import ConfigError
from segup.surgery.read import check_plain
from segup.upsamplers.contract import Arithmetic, Upsampler
from segup.upsamplers.deconv import TransposedConv
from segup.upsamplers.pixel_shuffle import PixelShuffleConv
from segup.upsamplers.resize_conv import ResizeConv


def operator_layers(up: Upsampler) -> list[nn.Module]:
    """Return the layers that an operator runs one after the other, before its size is corrected.

    Raises:
        ConfigError: The operator is no such run: its weights depend on its input, or it is not segup's own.

    >>> operator_layers(PixelShuffleConv(8, 4))
    [Conv2d(8, 16, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)), PixelShuffle(upscale_factor=2)]
    """
    check_plain(up)
    if isinstance(up, RewrittenUpsampler):
        return list(up.body) if isinstance(up.body, nn.Sequential) else [up.body]
    ours = type(up).forward is Upsampler.forward and type(up).upsample_to is Upsampler.upsample_to
    compute = type(up).upsample if ours else None
    if isinstance(up, TransposedConv) and compute is TransposedConv.upsample:
        return [up.conv]
    if isinstance(up, PixelShuffleConv) and compute is PixelShuffleConv.upsample:
        return [up.conv, nn.PixelShuffle(up.scale)]
    if isinstance(up, ResizeConv) and compute is ResizeConv.upsample and not up.align_corners:
        if up.alone:
            return [nn.Upsample(scale_factor=up.scale, mode=up.mode)]
        layers = [nn.Upsample(scale_factor=up.scale, mode=up.mode), up.conv]
        return layers[::-1] if up.conv_first and up.conv.kernel_size != (1, 1) else layers  # a 1×1 commutes
    if isinstance(up, ResizeConv) and up.align_corners:
        raise ConfigError(f"{up.describe()} repeats the last cell at the edge (align_corners=True): no layer does")
    raise ConfigError(f"{up.describe()} is not known as a run of layers with fixed weights")


def _answered(name: str) -> Any:
    """Return a method that asks the original operator."""
    return lambda self, *args: getattr(self._rules[0], name)(*args)


class RewrittenUpsampler(Upsampler):
    """An operator whose layers were replaced by equal ones; its sizes, its ladder and its errors stay what they were.

    Args:
        original: The operator. A copy without weights is kept: it knows which sizes are reached.
        body: What computes :meth:`upsample` now.
    """

    name = "rewritten"

    def __init__(self, original: Upsampler, body: nn.Module) -> None:
        super().__init__(
            original.in_channels,
            original.out_channels,
            original.scale,
            skip_channels=original.skip_channels,
            fit=original.fit,
        )
        self.body = body
        source: Upsampler = original._rules[0] if isinstance(original, RewrittenUpsampler) else original
        # In a tuple, so that its weights are not this module's.
        self._rules: tuple[Upsampler] = (copy.deepcopy(source).to("meta"),)

    @property
    def arithmetic(self) -> Arithmetic:
        """The original's size rule."""
        return self._rules[0].arithmetic

    def upsample(self, x: Tensor) -> Tensor:
        """Return what the original returns."""
        return self.body(x)

    own = _answered("own")
    span = _answered("span")
    out_of_reach = _answered("out_of_reach")
    size_rule = _answered("size_rule")
    describe = _answered("describe")
    label = _answered("label")
