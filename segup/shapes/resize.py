"""Layers that resize by a factor: interpolation and pixel shuffle."""

from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor, isfinite
from operator import index

from segup.errors import ShapeError
from segup.shapes.arguments import one_or_pair, spell, whole
from segup.shapes.law import FloorLaw
from segup.shapes.layer import LawAxis, Layer

MODES = ("nearest", "nearest-exact", "bilinear", "bicubic")

Factor = int | Fraction | float
SMALLEST = 2.0**-32
LARGEST = 2**53
"""Up to here a float64 holds every size."""


KEYS_A = Fraction(-3, 4)
"""The constant of torch's bicubic kernel (Keys 1981)."""


def kernel_weights(mode: str, centre: Fraction) -> list[tuple[int, Fraction]]:
    """Return the inputs that a bilinear or bicubic output with this centre reads, with weights that sum to 1.

    >>> kernel_weights("bilinear", Fraction(1, 4))
    [(0, Fraction(3, 4)), (1, Fraction(1, 4))]
    """
    below = floor(centre)
    rest = centre - below
    if mode == "bilinear":
        pairs = [(below, 1 - rest), (below + 1, rest)]
    else:
        pairs = [(below + step, _cubic(abs(rest - step))) for step in (-1, 0, 1, 2)]
    return [(index, weight) for index, weight in pairs if weight]


def _cubic(distance: Fraction) -> Fraction:
    if distance <= 1:
        return (KEYS_A + 2) * distance**3 - (KEYS_A + 3) * distance**2 + 1
    return KEYS_A * (distance**3 - 5 * distance**2 + 8 * distance - 4)


@dataclass(frozen=True)
class ScaleAxis(LawAxis):
    """One axis of a resize or a pixel shuffle: n ↦ ⌊n·factor⌋."""

    factor: Factor
    mode: str = "nearest"

    @property
    def law(self) -> FloorLaw:
        """The law of an exact factor; a ShapeError for a float."""
        if isinstance(self.factor, float):
            near = self.fraction or Fraction(self.factor)
            raise ShapeError(
                f"nothing can be proved about a resize by the float {self.factor}: torch rounds size·factor before it "
                f"takes the floor, so no law holds for all sizes (⌊0.29·100⌋ = 28).\n"
                f"  try: Fraction({near.numerator}, {near.denominator}), or x{near} in words."
            )
        exact = Fraction(self.factor)
        return FloorLaw(rise=exact.numerator, offset=0, run=exact.denominator)

    def out(self, size: int) -> int:
        """Return ⌊size·factor⌋, for a float with torch's rounding of the product."""
        return self.by_torch(size) if isinstance(self.factor, float) else self.law.out(size)

    def by_torch(self, size: int) -> int:
        """Return what torch's ``scale_factor`` gives, a float: the floor of the product in float64."""
        return floor(float(size) * float(self.factor))

    @property
    def fraction(self) -> Fraction | None:
        """The exact factor, of a float the fraction of a denominator up to 1000 that rounds to it; None without one."""
        near = Fraction(self.factor).limit_denominator(1000)
        return near if float(near) == float(self.factor) else None

    def rounding(self, size: int) -> str:
        """Return what there is to say where the exact fraction and torch's float give different sizes; else nothing.

        >>> print(ScaleAxis(Fraction(7, 5)).rounding(45))
        7/5 is meant exactly and gives 63; torch's scale_factor=1.4 gives 62, since 45·1.4 is 62.99999999999999 in \
float64 (size=63 gives 63)
        >>> print(ScaleAxis(0.29).rounding(100))
        the float 0.29 is meant, as torch takes it, and gives 28, since 100·0.29 is 28.999999999999996 in float64; the \
exact fraction 29/100 gives 29
        """
        exact = self.fraction
        if exact is None or size >= LARGEST:
            return ""
        wanted, given, factor = floor(size * exact), self.by_torch(size), float(self.factor)
        if wanted == given:
            return ""
        product = f"since {size}·{factor!r} is {size * factor!r} in float64"
        if isinstance(self.factor, float):
            return (
                f"the float {factor!r} is meant, as torch takes it, and gives {given}, {product}; the exact fraction "
                f"{exact} gives {wanted}"
            )
        return (
            f"{exact} is meant exactly and gives {wanted}; torch's scale_factor={factor!r} gives {given}, {product} "
            f"(size={wanted} gives {wanted})"
        )

    def inputs_of_at_least(self, out: int) -> int:
        """Return the smallest size that gives at least ``out``."""
        return self._first(out) if isinstance(self.factor, float) else self.law.first(out)

    def _first(self, out: int) -> int:
        """Return the smallest size with a float factor that gives at least ``out``: the rounded product never falls."""
        low, high = 0, int(2 * (out + 1) / Fraction(self.factor)) + 2
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

    def reads(self, out: int) -> list[tuple[int, Fraction]]:
        """Return the input indices that output ``out`` reads, beyond the ends included, each with its weight.

        The nearest modes copy ⌊out/factor⌋ and ⌊(out + ½)/factor⌋; the others look around (out + ½)/factor − ½.
        """
        half = Fraction(1, 2)
        if self.mode.startswith("nearest"):
            return [(floor((out + half if self.mode == "nearest-exact" else out) * self.pitch), Fraction(1))]
        return kernel_weights(self.mode, (out + half) * self.pitch - half)

    @property
    def symbols(self) -> str:
        """The size rule in symbols; a product of whole numbers has nothing to round."""
        return "n·factor" if isinstance(self.factor, int) else "⌊n·factor⌋"

    def size_rule(self, size: int) -> str:
        """Return the arithmetic in figures."""
        return f"{self.symbols.replace('n·factor', f'{size}·{self.factor}')} = {self.out(size)}"


@dataclass(frozen=True)
class Resize(Layer[ScaleAxis]):
    """A resize by a factor, as ``torch.nn.Upsample(scale_factor=…)``: o = ⌊i·factor⌋.

    Args:
        scale_factor: Factor, or a (height, width) pair of them, above 0. An int or a Fraction is exact and takes
            part in proofs; a float, from 2**-32 to 2**32, follows torch, which rounds the product first, and proofs
            refuse it. Where the two give different sizes, the axis' ``rounding`` says so.
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
        self._set_axes(ScaleAxis, self.scale_factor, self.mode)

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
        self._set_axes(ScaleAxis, self.upscale_factor)

    def __str__(self) -> str:
        return spell("pixel_shuffle", x=self.upscale_factor)


def _factor(value: object, name: str) -> Factor:
    if hasattr(value, "__index__") and not isinstance(value, bool):  # numpy's ints are ints here as in every layer
        with suppress(TypeError):  # of an array
            value = index(value)
    known = isinstance(value, int | float | Fraction) and not isinstance(value, bool)
    if not known or not isfinite(value) or value <= 0:  # type: ignore[arg-type, operator]
        raise ShapeError(f"{name} must be an int, a Fraction or a float above 0 and finite, not {value!r}.")
    if isinstance(value, float) and not SMALLEST <= value <= 1 / SMALLEST:
        raise ShapeError(f"{name} as a float must lie from 2**-32 to 2**32, not {value!r}.\n  try: a Fraction.")
    if isinstance(value, Fraction) and value.denominator == 1:
        return value.numerator
    return float(value) if isinstance(value, float) else value  # type: ignore[return-value]
