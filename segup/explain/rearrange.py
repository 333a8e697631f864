"""Operators that move values rather than multiply them by a learned kernel: pixel shuffle, CARAFE's reassembly."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segup.explain.numbers import Array, Number, plain
from segup.explain.operation import Index, Operation, Term
from segup.shapes import PixelShuffle, Resize


@dataclass(frozen=True, eq=False)
class ShuffleOperation(Operation):
    """A pixel shuffle of one image: r² channels become one, each of them one phase.

    Args:
        layer: The factor r.
        x: ``(C·r², h, w)``.
    """

    layer: PixelShuffle
    ways: ClassVar[tuple[str, ...]] = ("subpixel",)

    @property
    def channels(self) -> int:
        """One of every r²."""
        return self.x.shape[0] // self.layer.upscale_factor**2

    def compute(self, way: str) -> Array:
        """Return the channels interleaved: channel c·r² + a·r + b goes to row a and column b of every cell."""
        r = self.layer.upscale_factor
        y = np.zeros(self.shape, dtype=self.x.dtype)
        for a, b in np.ndindex(r, r):
            y[:, a::r, b::r] = self.x[a * r + b :: r**2]
        return y

    def reads(self, i: int, out: int) -> list[tuple[int, int]]:
        """Return the one input, and the place in its cell."""
        return [divmod(out, self.layer.upscale_factor)]

    def terms(self, channel: int, row: int, column: int) -> list[Term]:
        """Return the one value that is moved here."""
        r = self.layer.upscale_factor
        source = channel * r**2 + row % r * r + column % r
        return [term for term in super().terms(channel, row, column) if term.source[0] == source]

    def inputs_of(self, channel: int) -> range:
        """Return the r² channels that become one."""
        square = self.layer.upscale_factor**2
        return range(channel * square, (channel + 1) * square)

    def in_torch(self, x: Tensor) -> Tensor:
        """Return torch's own answer."""
        return F.pixel_shuffle(x, self.layer.upscale_factor)


@dataclass(frozen=True, eq=False)
class CarafeOperation(Operation):
    """CARAFE's reassembly of one image: every output is a mean over a neighbourhood, with a kernel of its own.

    Args:
        layer: The scale.
        x: ``(C, h, w)``.
        kernels: ``(groups·k², scale·h, scale·w)``, those of a group sum to 1.
        kernel_size: k, odd.
        channel_groups: Groups of neighbouring channels with kernels of their own.

    Source: Wang et al., arXiv 1905.02188, section 3.2.
    """

    layer: Resize
    kernels: Array
    kernel_size: int
    channel_groups: int = 1
    ways: ClassVar[tuple[str, ...]] = ("reassembly",)
    fractional = True

    def cropped(self, size: int) -> Operation:
        """Return the same on the first ``size`` rows and columns of the image."""
        end = size * self.scale
        return replace(self, x=self.x[:, :size, :size], kernels=self.kernels[:, :end, :end])

    def parts(self) -> list[Array]:
        """Return the image and the kernels."""
        return [self.x, self.kernels]

    @property
    def scale(self) -> int:
        """Outputs for each input, on one axis."""
        return int(self.layer.axes[0].factor)

    @property
    def words(self) -> str:
        """The operator with its numbers."""
        groups = f" g{self.channel_groups}" if self.channel_groups > 1 else ""
        return f"carafe x{self.scale} k{self.kernel_size}{groups}"

    def kernel(self, channel: int, row: int, column: int) -> Array:
        """Return the k×k kernel of one output entry."""
        group = channel // (self.x.shape[0] // self.channel_groups)
        k = self.kernel_size
        return self.kernels[group * k**2 : (group + 1) * k**2, row, column].reshape(k, k)

    def compute(self, way: str) -> Array:
        """Return for every output the sum over the neighbourhood of its source pixel, weighted by its own kernel."""
        k, edge = self.kernel_size, self.kernel_size // 2
        seen = np.pad(self.x, ((0, 0), (edge, edge), (edge, edge)))
        rows, columns = (np.arange(size) // self.scale for size in self.shape[1:])
        y = np.zeros(self.shape, dtype=self.x.dtype)
        share = self.x.shape[0] // self.channel_groups
        for group in range(self.channel_groups):
            channels = slice(group * share, (group + 1) * share)
            for i, j in np.ndindex(k, k):
                values = seen[channels][:, rows + i][:, :, columns + j]
                y[channels] += values * self.kernels[(group * k + i) * k + j]
        return y

    def reads(self, i: int, out: int) -> list[tuple[int, int]]:
        """Return the neighbourhood of an output's source pixel, each with its tap; zeros outside are left out."""
        first = out // self.scale - self.kernel_size // 2
        return [(first + tap, tap) for tap in range(self.kernel_size) if 0 <= first + tap < self.x.shape[i + 1]]

    def weighed(self, source: int, place: Index, above: int, beside: int) -> tuple[Index | None, Number]:
        """Return the weight in the kernel of the output itself."""
        channel, row, column = place
        return None, plain(self.kernel(channel, row, column)[above, beside])

    def in_torch(self, x: Tensor) -> Tensor:
        """Return torch's own answer: the definition, with unfold on the enlarged map."""
        k, scale = self.kernel_size, self.scale
        near = F.unfold(x, k, padding=k // 2).unflatten(2, x.shape[2:])
        near = F.interpolate(near, scale_factor=scale, mode="nearest").unflatten(1, (self.channel_groups, -1, k**2))
        kernels = torch.from_numpy(self.kernels.astype(np.float64)).unflatten(0, (self.channel_groups, 1, k**2))
        return (near * kernels).sum(dim=3).flatten(1, 2)
