"""Layers that resize by a factor: interpolation and pixel shuffle."""

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor, isfinite
from operator import index

from segup.errors import ShapeError
from segup.shapes.arguments import one_or_pair, spell, whole
from segup.shapes.law import FloorLaw
from segup.shapes.layer import LawAxis, Layer

Factor = int | Fraction | float
SMALLEST = 2.0**-32


@dataclass(frozen=True)
class ScaleAxis(LawAxis):
    """One axis of a resize or a pixel shuffle: n ↦ ⌊n·factor⌋."""

    factor: Factor
    mode: str = "nearest"

    @property
    def law(self) -> FloorLaw:
        """The law of an exact factor; a ShapeError for a float."""
        if isinstance(self.factor, float):
            near = Fraction(self.factor).limit_denominator(1000) or Fraction(self.factor)
            raise ShapeError(
                f"nothing can be proved about a resize by the float {self.factor}: torch rounds size·factor before it "
                f"takes the floor, so no law holds for all sizes (⌊0.29·100⌋ = 28).\n"
                f"  try: Fraction({near.numerator}, {near.denominator})."
            )
        exact = Fraction(self.factor)
        return FloorLaw(rise=exact.numerator, offset=0, run=exact.denominator)

    def out(self, size: int) -> int:
        """Return ⌊size·factor⌋, for a float with torch's rounding of the product."""
        return floor(float(size) * self.factor) if isinstance(self.factor, float) else self.law(size)

    @property
    def least(self) -> int:
        """The smallest size with an output of at least 1."""
        return max(1, self.inputs_of_at_least(1))

    def inputs_of_at_least(self, out: int) -> int:
        """Return the smallest size that gives at least ``out``."""
        return self._first(out) if isinstance(self.factor, float) else self.law.first(out)

    def _first(self, out: int) -> int:
        """Return the smallest size with a float factor that gives at least ``out``: the rounded product never falls."""
        low, high = 0, int(2 * (out + 1) / self.factor) + 2
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.out(middle) >= out else (middle + 1, high)
        return low

    @property
    def ordered(self) -> bool:
        """Whether an output's lowest and highest tap never fall: not where bicubic meets an input's centre."""
        return self.mode != "bicubic"

    @property
    def pitch(self) -> Fraction:
        """Input pixels from one output to the next."""
        return 1 / Fraction(self.factor)

    @property
    def centre(self) -> Fraction:
        """Centre of output 0 in input pixels, where input 0 has its centre at 0 (align_corners=False)."""
        return (self.pitch - 1) / 2

    def taps(self, out: int) -> list[int]:
        """Return the input indices that output ``out`` reads, beyond the ends included."""
        centre = out * self.pitch + self.centre
        below = floor(centre)
        if self.mode == "bilinear":
            return [below] if centre == below else [below, below + 1]
        if self.mode == "bicubic":
            return [below] if centre == below else [below - 1, below, below + 1, below + 2]
        return [floor(centre + Fraction(1, 2) if self.mode == "nearest-exact" else out * self.pitch)]

    def size_rule(self, size: int) -> str:
        """Return the arithmetic in figures."""
        return f"⌊{size}·{self.factor}⌋ = {self.out(size)}"


MODES = ("nearest", "nearest-exact", "bilinear", "bicubic")


@dataclass(frozen=True)
class Resize(Layer[ScaleAxis]):
    """A resize by a factor, as ``torch.nn.Upsample(scale_factor=…)``: o = ⌊i·factor⌋.

    Args:
        scale_factor: Factor, or a (height, width) pair of them, above 0. An int or a Fraction is exact and takes
            part in proofs; a float, from 2**-32 to 2**32, follows torch, which rounds the product first, and proofs
            refuse it.
        mode: "nearest", "nearest-exact", "bilinear" or "bicubic", with align_corners=False. Sizes do not depend on
            it; the receptive field does.

    Raises:
        ShapeError: The factor is not a finite number above 0, or the mode is unknown.

    >>> from fractions import Fraction
    >>> Resize(2).out(17), Resize(Fraction(29, 100)).out(100), Resize(0.29).out(100)
    (34, 29, 28)
    """

    scale_factor: Factor | tuple[Factor, Factor]
    mode: str = "bilinear"
    axes: tuple[ScaleAxis, ScaleAxis] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale_factor", one_or_pair(self.scale_factor, "scale_factor", _factor))
        if self.mode not in MODES:
            raise ShapeError(f"mode of a resize must be one of {', '.join(MODES)}, not {self.mode!r}.")
        factor = self.scale_factor
        height, width = factor if isinstance(factor, tuple) else (factor, factor)
        object.__setattr__(self, "axes", (ScaleAxis(height, self.mode), ScaleAxis(width, self.mode)))

    @property
    def exact(self) -> bool:
        """Whether both factors are exact, so that something can be proved."""
        return not any(isinstance(axis.factor, float) for axis in self.axes)

    def __str__(self) -> str:
        words = spell("resize", x=self.scale_factor)
        return words if self.mode == "bilinear" else f"{words} {self.mode}"


@dataclass(frozen=True)
class PixelShuffle(Layer[ScaleAxis]):
    """Depth to space, as ``torch.nn.PixelShuffle``: o = i·upscale_factor on both axes.

    Args:
        upscale_factor: Factor r, an int of at least 1; r² channels become one.

    Raises:
        ShapeError: The factor is not an int of at least 1.

    >>> PixelShuffle(2).out(17)
    34
    """

    upscale_factor: int
    axes: tuple[ScaleAxis, ScaleAxis] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "upscale_factor", whole(self.upscale_factor, "upscale_factor", 1))
        object.__setattr__(self, "axes", (ScaleAxis(self.upscale_factor), ScaleAxis(self.upscale_factor)))

    def __str__(self) -> str:
        return spell("pixel_shuffle", x=self.upscale_factor)


def _factor(value: object, name: str) -> Factor:
    if hasattr(value, "__index__") and not isinstance(value, bool):  # numpy's ints are ints here as in every layer
        value = index(value)
    known = isinstance(value, int | float | Fraction) and not isinstance(value, bool)
    if not known or not isfinite(value) or value <= 0:  # type: ignore[arg-type, operator]
        raise ShapeError(f"{name} must be an int, a Fraction or a float above 0 and finite, not {value!r}.")
    if isinstance(value, float) and not SMALLEST <= value <= 1 / SMALLEST:
        raise ShapeError(f"{name} as a float must lie from 2**-32 to 2**32, not {value!r}.\n  try: a Fraction.")
    if isinstance(value, Fraction) and value.denominator == 1:
        return value.numerator
    return float(value) if isinstance(value, float) else value  # type: ignore[return-value]
