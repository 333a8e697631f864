"""The contract of every upsampler: what it takes, what it returns, and the rule for sizes."""

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from inspect import signature
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from segup.calls import CheckedPart, annotated
from segup.conform import Within
from segup.errors import ConfigError, ShapeError, wrong_map
from segup.registry import Registry
from segup.shapes import Resize
from segup.streams import own_stream
from segup.symbols import is_exporting
from segup.upsamplers.arguments import checked_size
from segup.upsamplers.fitting import Size, fit_to, refuse_below_zero
from segup.upsamplers.guide import GuidedStep, listed_guides

Fit = Literal["correct", "strict"]
MOST = 2**31 - 1
"""Which torch takes of anything that is counted."""
Channels = Annotated[int, Within(1, MOST)]
Scale = Annotated[int, Within(2, MOST)]
AnyScale = Scale | Annotated[Fraction, Within(above=1)]
"""Of an operator that resizes, which may do so by a fraction, such as 7/2."""
AXES = ("height", "width")
ANY_SIZE = 1024
OPTIONS_OF_ALL = ("in_channels", "out_channels", "scale", "skip_channels", "image_channels", "fit")


class Arithmetic(Protocol):
    """A ``segup.shapes`` object: it says what an operator reaches from a size, without running the operator."""

    def out(self, size: int, /) -> int:
        """Return the output size for one axis."""
        ...


class _OperatorType(ABCMeta):
    """Builds an operator from a stream of its own, and works out :attr:`Upsampler.excess` so that no forward has to."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        with own_stream():
            operator = super().__call__(*args, **options)
        operator.excess = operator.arithmetic.out(ANY_SIZE) - operator.grid(ANY_SIZE)
        return operator


class Upsampler(nn.Module, GuidedStep, CheckedPart, metaclass=_OperatorType):
    """Bring a map ``(N, in_channels, h, w)`` to ``(N, out_channels, H, W)``.

    All operators follow one rule for sizes. The operator multiplies the size by its scale. Then ``fit="correct"`` cuts
    or repeats the last rows and columns, at the bottom and right, at most ``scale - 1`` of each, until the result has
    the size asked for. So all operators stay on one grid. ``fit="strict"`` refuses a size that needs a correction.

    Args:
        in_channels: Channels of the low-resolution map.
        out_channels: Channels of the result.
        scale: Factor between the two, an int of 2 or more; of operators that resize, a fraction above 1 too. They take
            maps whose sides are multiples of its denominator.
        skip_channels: Channels of the skip, for operators that are guided by it.
        image_channels: Channels of the image, for operators that are guided by it.
        fit: ``"correct"`` or ``"strict"``.

    Raises:
        ConfigError: A value is not an int in the range above, or ``fit`` or an option is unknown.
        ShapeError: In ``forward``, the input has the wrong shape, or the size is out of reach.

    A subclass defines :meth:`upsample` and :attr:`arithmetic`. :func:`register_upsampler` gives it a name.
    """

    name: ClassVar[str] = "unregistered"
    requires: frozenset[str] = frozenset()
    """The guides that it needs, of :data:`GUIDES`. :meth:`upsample` takes them as keywords."""
    reaches_any: ClassVar[bool] = False
    """Whether it reaches every size from ``h × w`` on, beyond what a correction of the grid gives."""
    final_options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Default options in a decoder's step to the image, which joins no skip."""
    averages: bool = False
    """Whether results are weighted means of ``x``, or of a convolution of it where channels change."""
    projects: ClassVar[Literal["nowhere", "first", "last"]] = "nowhere"
    """Where its 1×1 convolution ``project`` stands, which changes the channels: before it brings a map up, or after."""
    takes_fractions: ClassVar[bool] = False
    """Whether it may multiply by a fraction."""
    takes_rounding: ClassVar[bool] = False
    """Whether it has an option ``rounding``: the size rule of the encoder's stage that it inverts."""
    excess: int
    """Rows that :attr:`arithmetic` gives beyond ``scale·h``. The number is the same for every ``h``."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.name == Upsampler.name:  # until it is registered
            cls.name = cls.__name__

    @annotated
    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: AnyScale = 2,
        *,
        skip_channels: Channels | None = None,
        image_channels: Channels = 3,
        fit: Fit = "correct",
    ) -> None:
        super().__init__()
        if "skip" in self.requires and skip_channels is None:
            raise ConfigError(
                f"'{self.name}' is guided by the skip: it needs skip_channels, and a topology with skips\n"
                f"  try: skip_channels=skip.shape[1], or an operator that requires nothing, such as 'carafe'"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.scale: Any = int(scale) if scale.denominator == 1 else scale  # an int, but for operators that resize
        self.rise, self.run = scale.numerator, scale.denominator
        self.most = (self.rise - 1) // self.run  # rows that a correction may be of
        self.skip_channels, self.fit = skip_channels, fit
        self.image_channels = image_channels if "image" in self.requires else None
        self.correction: Size = (0, 0)

    @property
    def arithmetic(self) -> Arithmetic:
        """The ``segup.shapes`` object that says what this operator reaches from ``h`` before any correction."""
        return Resize(self.scale)

    @property
    def convex(self) -> bool:
        """Whether every result is a convex combination of values of ``x`` in its channel.

        Then a constant stays a constant, and no result lies beyond the smallest and the largest value.
        """
        return self.averages and self.in_channels == self.out_channels

    @property
    def fixed(self) -> bool:
        """Whether it is one linear map of each channel by itself, without parameters.

        Then it commutes with sums and with 1×1 convolutions: they may be done on the smaller map.
        """
        return False

    @classmethod
    def required(cls, **options: Any) -> frozenset[str]:  # noqa: ARG003
        """Return :attr:`requires` of an operator with these options, where one of them chooses its guide."""
        return cls.requires

    if TYPE_CHECKING:  # an operator names the guides that it requires, and takes no others
        upsample: Callable[..., Tensor]
    else:

        @abstractmethod
        def upsample(self, x: Tensor, **guides: Tensor) -> Tensor:
            """Return ``x`` at the size that :attr:`arithmetic` gives.

            Args:
                x: The map.
                **guides: What :attr:`requires` names, as keywords: ``def upsample(self, x, *, image)``.
            """

    def upsample_to(self, x: Tensor, size: Size, **guides: Tensor) -> Tensor:
        """Return ``x`` at ``size``, which is within reach: run :meth:`upsample`, then cut or repeat.

        An operator that must know the size before it runs overrides this method too.
        """
        made = self.upsample(x, **guides)
        if not torch.compiler.is_compiling() and not torch.jit.is_tracing():
            self._check_made(x.shape[-2:], made.shape[-2:])
        return fit_to(made, size, most=self.most)

    def _check_made(self, low: Sequence[int], made: Sequence[int]) -> None:
        """Refuse a size that :attr:`arithmetic` does not say: proofs, ladders and :attr:`correction` rely on it."""
        for axis, side, size in zip(AXES, low, made, strict=True):
            least, most = self.own(side)
            if not least <= size <= most:
                said = f"{least}" if least == most else f"{least} … {most}"
                raise ShapeError(
                    f"{self.describe()}: upsample made {axis} {size} of {side}, and its arithmetic says {said}.\n"
                    f"  try: cut the result to {most} in upsample, or let arithmetic say what upsample gives"
                )

    def forward(self, x: Tensor, size: Size | None = None, **guides: Tensor | None) -> Tensor:
        """Return ``(N, out_channels, *size)``, or exactly ``scale·h × scale·w`` without ``size``.

        After the call, :attr:`correction` holds the rows and columns that were added (positive) or cut (negative). An
        exported module does not record it.

        Args:
            x: ``(N, in_channels, h, w)``.
            size: (height, width).
            **guides: The guides that the operator requires, see :data:`GUIDES`. It ignores the other guides.
        """
        wanted, given = self.checked(x, size, guides)
        return self.upsample_to(x, wanted, **given)

    def with_skip(self, x: Tensor, size: Size | None = None, **guides: Any) -> tuple[Tensor, Tensor]:
        """Return the map at ``size``, and the skip as a topology joins it: ``skip=`` as it is, or as changed.

        Args:
            x: ``(N, in_channels, h, w)``.
            size: (height, width).
            **guides: ``skip=``, and whatever else the operator requires.

        Raises:
            ShapeError: There is no skip.
        """
        if "skip" not in guides:
            raise ShapeError(
                f"{self.describe()}: with_skip joins a skip (N, C, H, W), and got none.\n  try: up(x), without a skip"
            )
        return self(x, size, **guides), guides["skip"]

    def checked(
        self, x: Tensor, size: Size | None, guides: Mapping[str, Tensor | None]
    ) -> tuple[Size, dict[str, Tensor]]:
        """Return the size to make and the guides that are required, and record :attr:`correction`."""
        if not isinstance(x, Tensor) or x.dim() != 4 or not self.takes(x.shape[1]) or 0 in x.shape[-2:]:
            raise ShapeError(wrong_map(self.describe(), self.in_channels, x))
        low = x.shape[-2:]
        wanted = (self.grid(low[0]), self.grid(low[1])) if size is None else checked_size(size)
        given = self.checked_guides(guides, x, wanted)
        if is_exporting():
            for axis in (0, 1):
                least, most = self.span(low[axis])
                message = f"{self.describe()}: the {AXES[axis]} asked for is out of its reach"
                refuse_below_zero(-(low[axis] % self.run), message)
                refuse_below_zero(wanted[axis] - least, message)
                refuse_below_zero(most - wanted[axis], message)
        else:
            rows, columns = (_counted(low[axis], wanted[axis]) for axis in (0, 1))
            reached = self.reach(*rows, AXES[0]), self.reach(*columns, AXES[1])
            self.correction = (rows[1] - reached[0], columns[1] - reached[1])
        return wanted, given

    def takes(self, channels: int) -> bool:
        """Return whether a map may have so many channels."""
        return channels == self.in_channels

    @classmethod
    def multiple(cls, **options: Any) -> int:  # noqa: ARG003
        """Return the number that should divide the channels, so that the operator keeps all its groups."""
        return 1

    def grid(self, low: int) -> int:
        """Return ``scale·low``, rounded down."""
        return low * self.rise // self.run

    def own(self, low: int) -> Size:
        """Return the smallest and the largest size that the operator makes of ``low`` without a correction.

        The operator may give or keep a row beyond ``scale·low``.
        """
        grid = self.grid(low)
        return grid + min(self.excess, 0), grid + self.excess

    def span(self, low: int) -> Size:
        """Return the smallest and the largest size that can be reached from ``low``, with corrections."""
        if self.reaches_any and not is_exporting():
            return low, MOST
        smallest, largest = self.own(low)
        if self.fit == "strict":
            return smallest, largest
        grid, most = self.grid(low), self.most
        return min(smallest, grid - most), max(largest, min(largest, grid) + most)

    def reach(self, low: int, wanted: int, axis: str = "size") -> int:
        """Return what the operator makes of ``low`` without a correction; ``wanted`` minus this is the correction.

        Raises:
            ShapeError: ``wanted`` is out of reach.
        """
        if self.run > 1 and low % self.run:
            raise ShapeError(
                f"{self.describe()} takes maps whose sides are multiples of {self.run}, and this {axis} is {int(low)}\n"
                f"  try: a map of {int(low) + self.run - int(low) % self.run}, or a whole scale"
            )
        least, most = self.span(low)
        if not least <= wanted <= most:
            raise ShapeError(self.out_of_reach(int(low), int(wanted), axis))
        if self.reaches_any and (self.fit == "strict" or abs(wanted - low * self.scale) >= self.scale):
            return wanted
        smallest, largest = self.own(low)
        return min(max(wanted, smallest), largest)  # not a branch: torch.compile would make one program for each side

    def out_of_reach(self, low: int, wanted: int, axis: str) -> str:
        """Return the message for a size that is out of reach: the value, the rule, the way out."""
        grid, most = self.grid(low), self.most
        least, largest = self.span(low)
        way_out = f"a scale near {wanted}/{low}, or the size of the next skip"
        if self.reaches_any:
            statement, way_out = f"to {low} and every larger size, not to {wanted}", f"a size of {low} or more"
        elif self.fit == "strict":
            reached = f"{largest}" if least == largest else f"{least} … {largest}"
            statement = f'to {reached}, not to {wanted} (fit="strict")'
            if abs(wanted - grid) <= most:
                rounding = "up" if wanted < grid else "down"
                change = f"cuts {least - wanted}" if wanted < least else f"repeats {wanted - largest}"
                way_out = (
                    f"decoder=deconv_matched (rounding={rounding} reaches {wanted}), or decoder.fit=correct "
                    f"({change} at the end)"
                )
        else:
            statement = f"to {grid} and corrects at most {most}, so it reaches {least} … {largest}, not {wanted}"
        return f"{self.describe()} brings {axis} {low} {statement}.\n  {self.size_rule(low)}.\n  try: {way_out}."

    def size_rule(self, low: int) -> str:
        """Return the operator's arithmetic for ``low`` in figures, as errors show it."""
        return f"{low}·{self.scale} = {self.grid(low)}"

    def extra_repr(self) -> str:
        """Return the channels, the scale, and the options that the operator keeps, for ``print``."""
        keywords = [p.name for p in signature(type(self)).parameters.values() if p.kind is p.KEYWORD_ONLY]
        options = {name: getattr(self, name, None) for name in keywords}
        shown = [f"{name}={value!r}" for name, value in options.items() if isinstance(value, int | float | str)]
        return ", ".join([f"{self.in_channels}, {self.out_channels}, scale={self.scale}", *shown])

    def describe(self) -> str:
        """Return the name and the layer parameters as errors show them."""
        return f"'{self.name}' (scale {self.scale})"

    def label(self) -> str:
        """Return the name and the layer parameters in few letters, as ladders show them."""
        return self.with_projection(f"{self.name} ×{self.scale}")

    def with_projection(self, words: str) -> str:
        """Return a label with the 1×1 convolution, where one changes the channels, on its side of ``words``."""
        if self.projects == "nowhere" or isinstance(self.project, nn.Identity):
            return words
        return f"1×1, {words}" if self.projects == "first" else f"{words}, 1×1"


def _counted(low: int, wanted: int) -> Size:
    """Return sizes to calculate with: torch.jit.trace hands out tensors, whose numbers are those of its example."""
    return (int(low), int(wanted)) if torch.jit.is_tracing() else (low, wanted)


upsamplers: Registry[type[Upsampler]] = Registry("upsampler", "segup.upsamplers", place=OPTIONS_OF_ALL, base=Upsampler)
register_upsampler = upsamplers.register
"""Registers an operator under a name, which then works everywhere: ``@register_upsampler("mine")`` above its class."""
operator_class = upsamplers.get
"""Returns the class of a name; a ConfigError where the name is unknown, or no :class:`Upsampler` from outside."""
list_upsamplers = upsamplers.names
"""Returns the names of all operators."""


def create_upsampler(
    name: str, in_channels: int, out_channels: int, scale: int | Fraction = 2, **options: Any
) -> Upsampler:
    """Build the operator called ``name``; :class:`Upsampler` lists the arguments of all operators.

    Raises:
        ConfigError: The name or an option is unknown (the message has the nearest match), or a value is out of range.

    >>> import torch
    >>> up = create_upsampler("deconv", in_channels=8, out_channels=4, scale=2)
    >>> up(torch.zeros(1, 8, 17, 24)).shape, up(torch.zeros(1, 8, 17, 24), size=(33, 47)).shape
    (torch.Size([1, 4, 34, 48]), torch.Size([1, 4, 33, 47]))
    """
    return upsamplers.create(name, in_channels, out_channels, scale, **options)


def refuse_guides(missing: frozenset[str], said: str, why: str, way_out: str = "") -> None:
    """Raise a ConfigError where an operator requires what its place does not have.

    Args:
        missing: The guides that are missing.
        said, why, way_out: How the operator was asked for, what is missing, and what begins the list of the operators
            that require nothing beside the map that they bring up.
    """
    if missing:
        unguided = ", ".join(name for name in list_upsamplers() if not operator_class(name).requires)
        raise ConfigError(f"{said} requires {listed_guides(missing)}, {why}.\n  try: {way_out}{unguided}.")
