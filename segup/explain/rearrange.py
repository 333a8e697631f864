"""Operators that move values rather than multiply them by a learned kernel: pixel shuffle, CARAFE's reassembly."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from segup.explain.numbers import Array, plain
from segup.explain.operation import Operation, Term
from segup.shapes import PixelShuffle, Resize


@dataclass(frozen=True, eq=False)
class ShuffleOperation(Operation):
    """A pixel shuffle of one image: r² channels become one, each of them one phase.

    Args:
        layer: The factor r.
        x: ``(C·r², h, w)``.
    """

    layer: PixelShuffle
    x: Array
    ways: ClassVar[tuple[str, ...]] = ("subpixel",)

    @cached_property
    def shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """(C, H, W)."""
        r = self.layer.upscale_factor
        return self.x.shape[0] // r**2, self.x.shape[1] * r, self.x.shape[2] * r

    def compute(self, way: str) -> Array:
        """Return the channels interleaved: channel c·r² + a·r + b goes to row a and column b of every cell."""
        r = self.layer.upscale_factor
        y = np.zeros(self.shape, dtype=self.x.dtype)
        for phase in range(r**2):
            a, b = divmod(phase, r)
            y[:, a::r, b::r] = self.x[phase :: r**2]
        return y

    def terms(self, channel: int, row: int, column: int) -> list[Term]:
        """Return the one value that is moved here."""
        r = self.layer.upscale_factor
        source = (channel * r**2 + row % r * r + column % r, row // r, column // r)
        return [Term(source, plain(self.x[source]), None, 1)]

    def inputs_of(self, channel: int) -> range:
        """Return the r² channels that become one."""
        square = self.layer.upscale_factor**2
        return range(channel * square, (channel + 1) * square)

    def counts(self) -> Array:
        """Return how many inputs go into each output: one."""
        return np.ones(self.shape[1:], dtype=int)

    def by_torch(self) -> Array:
        """Return torch's own answer in float64."""
        moved = F.pixel_shuffle(torch.from_numpy(self.x.astype(np.float64)), self.layer.upscale_factor)
        answer: Array = moved.numpy()
        return answer


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
    x: Array
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

    @cached_property
    def shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """(C, H, W)."""
        return self.x.shape[0], self.x.shape[1] * self.scale, self.x.shape[2] * self.scale

    def kernel(self, channel: int, row: int, column: int) -> Array:
        """Return the k×k kernel of one output entry."""
        group = channel // (self.x.shape[0] // self.channel_groups)
        k = self.kernel_size
        found: Array = self.kernels[group * k**2 : (group + 1) * k**2, row, column].reshape(k, k)
        return found

    def compute(self, way: str) -> Array:
        """Return for every output the sum over the neighbourhood of its source pixel, weighted by its own kernel."""
        k, edge = self.kernel_size, self.kernel_size // 2
        seen = np.pad(self.x, ((0, 0), (edge, edge), (edge, edge)))
        rows, columns = (np.arange(size) // self.scale for size in self.shape[1:])
        y = np.zeros(self.shape, dtype=self.x.dtype)
        share = self.x.shape[0] // self.channel_groups
        for group in range(self.channel_groups):
            channels = slice(group * share, (group + 1) * share)
            for i in range(k):
                for j in range(k):
                    values = seen[channels][:, rows + i][:, :, columns + j]
                    y[channels] += values * self.kernels[(group * k + i) * k + j]
        return y

    def terms(self, channel: int, row: int, column: int) -> list[Term]:
        """Return the neighbourhood of one output's source pixel; zeros outside are left out."""
        kernel, edge = self.kernel(channel, row, column), self.kernel_size // 2
        _, height, width = self.x.shape
        found = []
        for i in range(self.kernel_size):
            for j in range(self.kernel_size):
                n, m = row // self.scale + i - edge, column // self.scale + j - edge
                if 0 <= n < height and 0 <= m < width:
                    found.append(Term((channel, n, m), plain(self.x[channel, n, m]), None, plain(kernel[i, j])))
        return found

    def counts(self) -> Array:
        """Return how many input pixels each output reads."""
        edge, lines = self.kernel_size // 2, []
        for size in self.x.shape[1:]:
            inside = [min(size, n + edge + 1) - max(0, n - edge) for n in range(size)]
            lines.append(np.repeat(inside, self.scale))
        return np.outer(*lines)

    def by_torch(self) -> Array:
        """Return torch's own answer in float64: the definition, with unfold on the enlarged map."""
        k, scale = self.kernel_size, self.scale
        x = torch.from_numpy(self.x.astype(np.float64))[None]
        near = F.unfold(x, k, padding=k // 2).unflatten(2, x.shape[2:])
        near = F.interpolate(near, scale_factor=scale, mode="nearest")[0]
        near = near.unflatten(0, (self.channel_groups, -1, k**2))
        kernels = torch.from_numpy(self.kernels.astype(np.float64)).unflatten(0, (self.channel_groups, 1, k**2))
        answer: Array = (near * kernels).sum(dim=2).flatten(0, 1).numpy()
        return answer
