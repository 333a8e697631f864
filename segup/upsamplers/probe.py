"""A module put to the test: a copy that is fed constants and impulses, away from every border."""

import copy
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from segup.calls import check
from segup.errors import ConfigError, ShapeError, figures
from segup.upsamplers.contract import Channels, Upsampler
from segup.upsamplers.deconv import TransposedConv
from segup.upsamplers.guide import GUIDES

Pair = tuple[int, int]
_CELLS = 4
_WIDEST = 96
_TOLERANCE = 1e-5


class Probe:
    """A copy of a module that can be asked what it does, and how far its borders reach."""

    def __init__(self, up: nn.Module, in_channels: int | None, dtype: torch.dtype) -> None:
        if not isinstance(up, nn.Module):
            raise ConfigError(f"an operator or another torch.nn.Module can be measured, not {up!r}")
        # in less the noise is as large as what is measured
        if not isinstance(dtype, torch.dtype) or dtype not in (torch.float32, torch.float64):
            raise ConfigError(f"dtype={dtype!r} must be torch.float32 or torch.float64\n  try: dtype=torch.float64")
        with torch.inference_mode(False), torch.no_grad():
            self.up = copy.deepcopy(up).eval()
            self.device = next((t.device for t in chain(up.parameters(), up.buffers())), torch.device("cpu"))
            if self.device.type == "mps" and dtype == torch.float64:  # which has no float64
                self.device = torch.device("cpu")
            self.up.to(device=self.device, dtype=dtype)
        self.dtype = dtype
        if in_channels is not None:
            check(f"{type(up).__name__}: in_channels", Channels, in_channels)
        self.in_channels = _channels(up) if in_channels is None else in_channels
        self.reach = border_reach(up)
        self.scale = self._scale()

    def run(self, x: Tensor) -> Tensor:
        """Return the output ``(C, H, W)`` for one map ``(C, h, w)``, with constant guides where they are required."""
        with torch.inference_mode(False), torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            y = self._operator(self.up, x) if isinstance(self.up, Upsampler) else self._module(x)
        if not isinstance(y, Tensor) or y.dim() != 4:
            raise ShapeError(f"{type(self.up).__name__} has to return a map (N, C, H, W) for {figures((1, *x.shape))}")
        return y[0].detach()

    def _operator(self, up: Upsampler, x: Tensor) -> Tensor:
        """Return what an operator makes of a map at ``scale`` times its size, or the nearest size that it reaches."""
        spans = [(up.grid(n), *up.span(n)) for n in x.shape[1:]]
        height, width = (min(max(grid, least), largest) for grid, least, largest in spans)
        return up(x[None], (height, width), **constant_guides(up, x))

    def _module(self, x: Tensor) -> Any:
        """Return what a module of torch, or of anybody, makes of a map."""
        try:
            return self.up(x[None])
        except RuntimeError as cause:
            raise ShapeError(
                f"{type(self.up).__name__} does not take a map {figures((1, *x.shape))}: {cause}\n"
                f"  try: in_channels=..., where it takes another number than {self.in_channels}."
            ) from cause

    def phases(self) -> Tensor:
        """Return the phase means ``(C, sh, sw)`` of the interior of a constant's image; noise is set to zero."""
        while True:
            y = self.run(self._map(2 * self.reach + _CELLS, 1.0))
            cells = y
            for axis in (0, 1):
                taken = self.scale[axis] * _CELLS
                cells = cells.narrow(1 + axis, (y.shape[1 + axis] - taken) // 2, taken)
            cells = cells.unflatten(2, (_CELLS, self.scale[1])).unflatten(1, (_CELLS, self.scale[0]))
            spread = cells.amax(dim=(1, 3)) - cells.amin(dim=(1, 3))
            largest = y.abs().max()
            if float(spread.max()) <= _TOLERANCE * float(largest):
                means = cells.mean(dim=(1, 3))
                noise = 1e3 * torch.finfo(self.dtype).eps * largest
                silent = means.abs().amax(dim=(1, 2), keepdim=True) <= noise
                return means.masked_fill(silent, 0)
            if self.reach >= _WIDEST:
                raise ShapeError(
                    f"{type(self.up).__name__} has no interior: what it makes of a constant differs from place to "
                    f"place, {self.reach} pixels from every border.\n"
                    f"  try: a module that does the same everywhere; one operator instead of a whole network."
                )
            self.reach *= 2

    def response(self, channel: int | None) -> Tensor:
        """Return the response to an impulse in the middle."""
        if channel is not None and (type(channel) is not int or not 0 <= channel < self.in_channels):
            raise ConfigError(f"channel={channel!r} must be one of the {self.in_channels} input channels, from 0")
        zeros = self._map(2 * self.reach + 1, 0.0)
        impulse = zeros.clone()
        impulse[slice(None) if channel is None else channel, self.reach, self.reach] = 1
        return self.run(impulse) - self.run(zeros)

    def _map(self, size: int, value: float) -> Tensor:
        return torch.full((self.in_channels, size, size), value, dtype=self.dtype, device=self.device)

    def _scale(self) -> Pair:
        if isinstance(self.up, Upsampler):
            if self.up.run > 1:
                raise ShapeError(
                    f"{self.up.describe()} multiplies by a fraction: its phases are no pixels of a cell.\n"
                    f"  try: a whole scale"
                )
            return self.up.scale, self.up.scale
        small, large = (self.run(self._map(2 * self.reach + more, 0.0)).shape for more in (0, 2))
        grown = (large[1] - small[1], large[2] - small[2])
        if any(rows < 2 or rows % 2 for rows in grown):
            raise ShapeError(
                f"{type(self.up).__name__} makes {small[1]}×{small[2]} of size {2 * self.reach} and "
                f"{large[1]}×{large[2]} of {2 * self.reach + 2}: that is no growth by a whole factor.\n"
                f"  try: a module that upsamples."
            )
        return grown[0] // 2, grown[1] // 2


def constant_guides(up: Upsampler, x: Tensor) -> dict[str, Tensor]:
    """Return what ``up`` requires beside a map ``(C, h, w)``, as constant maps have it.

    A skip and an image of ones, both as large as the result; pooling indices of the first pixel of every window,
    which is where max pooling finds the maximum of a constant.

    Raises:
        ConfigError: It requires something else.
    """
    strange = up.requires - GUIDES.keys()
    if strange:
        raise ConfigError(f"{up.describe()} requires {', '.join(sorted(strange))}: no constant stands for that")
    (height, width), scale = x.shape[-2:], up.scale
    channels = up.in_channels if up.skip_channels is None else up.skip_channels
    rows, columns = (torch.arange(n, device=x.device) * scale for n in (height, width))
    first = rows[:, None] * (scale * width) + columns
    made: Mapping[str, Callable[[], Tensor]] = {
        "skip": lambda: x.new_ones(1, channels, scale * height, scale * width),
        "image": lambda: x.new_ones(1, up.image_channels or 3, scale * height, scale * width),
        "indices": lambda: first.expand(1, channels, -1, -1).contiguous(),
    }
    return {name: made[name]() for name in up.requires}


def border_reach(up: nn.Module) -> int:
    """Return a number of input pixels beyond which no border of the input influences a module's output.

    Every kernel that the module's layers name counts with its whole extent and padding, at the input's resolution:
    more than it needs. What is computed without such a layer (resizing, for one) is covered by 3 pixels more.

    >>> border_reach(nn.ConvTranspose2d(1, 1, kernel_size=4, stride=2, padding=1))
    5
    """
    reach, step = 3, 1
    for module in up.modules():
        kernel = getattr(module, "kernel_size", None)
        if kernel is None or isinstance(module, TransposedConv):  # its conv says it
            continue
        largest = max(_ints(kernel), default=1)
        extent = max(_ints(getattr(module, "dilation", 1)), default=1) * (largest - 1)
        extent += max(_ints(getattr(module, "padding", 0)), default=0)
        if isinstance(module, nn.modules.conv._ConvTransposeNd):
            reach += -(-extent // min(_ints(module.stride))) * step
        else:
            reach += extent * step
            step *= max(_ints(getattr(module, "stride", 1)), default=1)
    return reach


def _ints(value: object) -> list[int]:
    """Return the ints of a layer's parameter: one, several, or none where it is a word such as ``"same"``."""
    values = value if isinstance(value, tuple | list) else [value]
    return [number for number in values if isinstance(number, int) and not isinstance(number, bool)]


def _channels(up: nn.Module) -> int:
    """Return the channels that the first layer which depends on their number takes; 1 where none does."""
    for module in up.modules():
        if isinstance(module, nn.PixelShuffle):
            return module.upscale_factor**2
        for field in ("in_channels", "num_features", "num_channels"):  # of convolutions, BatchNorm, GroupNorm
            channels = getattr(module, field, None)
            if isinstance(channels, int):
                return channels
    return 1
