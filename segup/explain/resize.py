"""A resize with its numbers: which input pixels each output reads, and with which weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from segup.explain.numbers import LONGEST_FRACTION, Array, Number, plain
from segup.explain.operation import Index, Operation, Term
from segup.shapes import Resize
from segup.shapes.arguments import per_axis
from segup.shapes.resize import kernel_weights

Weighted = list[tuple[int, Fraction]]
_KERNELS: Mapping[str, Any] = {
    "nearest": torch.ops.aten.upsample_nearest2d.default,
    "nearest-exact": torch.ops.aten._upsample_nearest_exact2d.default,
    "bilinear": torch.ops.aten.upsample_bilinear2d.default,
    "bicubic": torch.ops.aten.upsample_bicubic2d.default,
}
"""What torch's interpolate calls for each mode, which takes an output size beside the factors."""


def source(out: int, factor: Fraction) -> Fraction:
    """Return the centre of output pixel ``out`` in input pixels, align_corners=False: (out + ½)/factor − ½."""
    return (out + Fraction(1, 2)) / factor - Fraction(1, 2)


def weights_of(mode: str, centre: Fraction, size: int) -> Weighted:
    """Return the inputs that a centre reads, each once, with weights that sum to 1; beyond the ends the edge repeats.

    >>> weights_of("bilinear", source(1, Fraction(2)), 4)
    [(0, Fraction(3, 4)), (1, Fraction(1, 4))]
    """
    merged: dict[int, Fraction] = {}
    for index, weight in kernel_weights(mode, centre):
        inside = min(max(index, 0), size - 1)
        merged[inside] = merged.get(inside, Fraction(0)) + weight
    return [(index, weight) for index, weight in merged.items() if weight]


def nearest_index(out: int, size: int, made: int, step: np.float32, mode: str) -> int:
    """Return the input that one output copies, in the arithmetic of torch: a product, rounded, and its floor.

    >>> [nearest_index(out, 4, 6, np.float32(4 / 6), "nearest") for out in range(6)]
    [0, 0, 1, 2, 2, 3]
    """
    if mode == "nearest":
        if made in (size, 2 * size):  # at these two sizes torch copies, whatever the factor
            return out // (made // size)
        place = step * np.float32(out)
    else:
        half = np.float32(0.5)
        place = max(step * (np.float32(out) + half) - half, np.float32(0)) + half
    return min(int(np.floor(place)), size - 1)


@dataclass(frozen=True, eq=False)
class ResizeOperation(Operation):
    """A resize of one image.

    Args:
        layer: The factor, and the mode.
        x: ``(C, h, w)``.
        out: The output's (height, width) where a size was asked for instead of a factor, else None.
        align_corners: As torch: whether the outermost centres meet.
    """

    layer: Resize
    out: tuple[int, int] | None = None
    align_corners: bool = False
    ways: ClassVar[tuple[str, ...]] = ("sampling",)

    def cropped(self, size: int) -> Operation:
        """Return the same on the first ``size`` rows and columns of the image, its output as much smaller."""
        rows, columns = (min(size, n) for n in self.x.shape[1:])
        out = self.out
        if out is not None:
            out = max(1, out[0] * rows // self.x.shape[1]), max(1, out[1] * columns // self.x.shape[2])
        return replace(self, x=self.x[:, :size, :size], out=out)

    @property
    def fractional(self) -> bool:  # type: ignore[override]
        """Whether weights are fractions."""
        return self.layer.mode in ("bilinear", "bicubic")

    @cached_property
    def decimal(self) -> bool:  # type: ignore[override]
        """Whether some weight is no short fraction, so that all are written as decimals."""
        rows, columns = (max(w.denominator for pairs in axis for _, w in pairs) for axis in self._reads)
        return rows * columns >= LONGEST_FRACTION

    @property
    def words(self) -> str:
        """The layer in the layer language, what differs from its defaults added."""
        corners = " align_corners" if self.align_corners else ""
        if self.out is not None:
            return f"resize to {self.out[0]}x{self.out[1]} {self.layer.mode}{corners}"
        return f"{self.layer}{corners}"

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return super().shape if self.out is None else (self.channels, *self.out)

    def reads(self, i: int, out: int) -> Weighted:
        """Return the inputs that output ``out`` reads on axis ``i``, with their weights."""
        return self._reads[i][out]

    @cached_property
    def _reads(self) -> tuple[list[Weighted], list[Weighted]]:
        return per_axis(lambda i: [self._weighted(i, out) for out in range(self.shape[i + 1])])

    def _weighted(self, i: int, out: int) -> Weighted:
        size, made, mode = self.x.shape[i + 1], self.shape[i + 1], self.layer.mode
        factor = Fraction(self.layer.axes[i].factor) if self.out is None else Fraction(made, size)
        if mode in ("nearest", "nearest-exact"):
            return [(nearest_index(out, size, made, self._step(i), mode), Fraction(1))]
        if mode == "bilinear" and made == size:  # there torch copies the axis, whatever the factor
            return [(out, Fraction(1))]
        centre = Fraction(out * (size - 1), max(1, made - 1)) if self.align_corners else source(out, factor)
        return weights_of(mode, centre, size)

    def rounded(self, i: int) -> list[tuple[int, int, int]]:
        """Return where a nearest mode copies another input than its rule says: (output, what it copies, the rule's)."""
        if not self.layer.mode.startswith("nearest"):
            return []
        size, made = self.x.shape[i + 1], self.shape[i + 1]
        axis = self.layer.axes[i]
        rule = axis if self.out is None else replace(axis, factor=Fraction(made, size))
        pairs = [(out, self.reads(i, out)[0][0], min(rule.taps(out)[0], size - 1)) for out in range(made)]
        return [(out, read, exact) for out, read, exact in pairs if read != exact]

    def _step(self, i: int) -> np.float32:
        """Return input pixels from one output to the next, rounded as torch rounds them."""
        if self.out is None:
            return np.float32(1.0 / float(self.layer.axes[i].factor))
        return np.float32(self.x.shape[i + 1]) / np.float32(self.shape[i + 1])

    def compute(self, way: str) -> Array:
        """Return for every output the weighted mean of what it reads, along the rows and then along the columns."""
        rows, columns = self._reads
        down = np.stack([_mixed(self.x, 1, pairs) for pairs in rows], axis=1)
        return np.stack([_mixed(down, 2, pairs) for pairs in columns], axis=2)

    def weighed(self, source: int, place: Index, above: Fraction, beside: Fraction) -> tuple[Index | None, Number]:
        """Return the product of the weights on both axes."""
        return None, plain(above * beside)

    def value_of(self, terms: Sequence[Term], channel: int) -> Number:
        """Return the weighted sum, as a decimal."""
        return plain(float(sum((term.product for term in terms), start=0)))

    def formulas(self) -> tuple[str, str]:
        """Return the size formula with the numbers put in."""
        return super().formulas() if self.out is None else (f"{self.out[0]}", f"{self.out[1]}")

    def rules(self) -> tuple[str, str]:
        """Return the size formula in symbols, or that a size was asked for."""
        return super().rules() if self.out is None else ("the size asked for", "the size asked for")

    def roundings(self) -> list[str]:
        """Return where an exact factor and torch's float give different sizes."""
        if self.out is not None:
            return []
        notes = [axis.rounding(size) for axis, size in zip(self.layer.axes, self.x.shape[1:], strict=True)]
        return list(dict.fromkeys(note for note in notes if note))

    def in_torch(self, x: Tensor) -> Tensor:
        """Return torch's own answer.

        This is what interpolate calls with the size that it has found; where the exact factor gives another size than
        torch's float, it is that of the exact one.
        """
        factors = [None, None] if self.out else [float(axis.factor) for axis in self.layer.axes]
        corners = [self.align_corners] if self.layer.mode in ("bilinear", "bicubic") else []
        return _KERNELS[self.layer.mode](x, self.shape[1:], *corners, *factors)

    def doubt(self) -> str:
        """Return why torch's kernels may differ among themselves: a product close to a whole number."""
        if not self.layer.mode.startswith("nearest"):
            return ""
        return (
            f"torch's kernels do not agree on '{self.words}' at {self.x.shape[1]}×{self.x.shape[2]}: which pixel is "
            f"the nearest depends there on how index/factor rounds.\n"
            "  try: a whole factor, or a smaller input."
        )


def _mixed(values: Array, axis: int, pairs: Weighted) -> Array:
    kept: type = Fraction if values.dtype == object else float
    parts = [np.take(values, index, axis=axis) * kept(weight) for index, weight in pairs]
    return sum(parts[1:], start=parts[0])
