"""The contract of every neck: an encoder's maps become a pyramid, and all sizes are declared."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar

from torch import Tensor, nn

from segup.calls import CheckedPart, annotated
from segup.conform import Count, Counts
from segup.decoders.arguments import BETWEEN_MAPS, checked_operator
from segup.decoders.ladder import LadderStep
from segup.decoders.rounding import Rounding, Roundings, whole_roundings
from segup.decoders.steps import Encoded
from segup.errors import ConfigError
from segup.registry import Registry
from segup.shapes.law import FloorLaw
from segup.upsamplers.contract import Upsampler, create_upsampler, operator_class
from segup.upsamplers.guided import sharing

SAME, DOUBLED, FOURFOLD = FloorLaw(1, 0, 1), FloorLaw(2, 0, 1), FloorLaw(4, 0, 1)
HALVED = FloorLaw(1, 1, 2)
"""⌈n/2⌉: half a map, counted in cells."""


class Neck(nn.Module, CheckedPart, ABC):
    """Turn an encoder's maps into a pyramid, from high to low resolution.

    Args:
        channels, strides: Of the encoder's maps, from high to low resolution.
        roundings: How they round, see :class:`segup.decoders.Decoder`.
        image_channels: Of the image, for operators that are guided by it.

    Attributes:
        channels, strides, roundings: Of the pyramid. A stride may be a fraction, such as 7/2.
        sources: For each map of the pyramid, the place of the encoder's map that its size follows from.
        laws: How it follows.
        cell: What the image's size has to be a multiple of, so that each cell of the encoder's maps is whole.

    :func:`register_neck` gives a subclass its name. A subclass sets the attributes in its constructor, and runs in
    :meth:`neck`.
    """

    name: ClassVar[str] = "unregistered"
    group: ClassVar[str] = "neck"
    cell: int = 1

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.name == Neck.name:  # until it is registered
            cls.name = cls.__name__

    @annotated
    def __init__(
        self, channels: Counts, strides: Counts, *, roundings: Roundings | None = None, image_channels: Count = 3
    ) -> None:
        super().__init__()
        self.image_channels, self._encoders = image_channels, dict[str, nn.Module]()
        self.channels: tuple[int, ...] = tuple(channels)
        self.strides: tuple[int | Fraction, ...] = tuple(strides)
        self.roundings: tuple[Rounding, ...] = whole_roundings(roundings, len(strides))
        self.sources: tuple[int, ...] = tuple(range(len(strides)))
        self.laws: tuple[FloorLaw, ...] = (SAME,) * len(strides)

    def becomes(self, channels: Sequence[int], laws: Sequence[FloorLaw]) -> None:
        """Say what the pyramid is, where all its maps follow from the encoder's last.

        Args:
            channels: Of the maps, from high to low resolution.
            laws: How the size of each follows from that of the encoder's last map, which counts cells.

        Raises:
            ConfigError: The stride of the first map would be below 1.
        """
        self.cell = int(self.strides[-1])
        reached = [Fraction(self.cell * law.run, law.rise) for law in laws]
        if reached[0] < 1:
            raise ConfigError(
                f"neck '{self.name}' makes a map of stride {reached[0]} of one of stride {self.cell}, and an image has "
                f"none below 1.\n  try: neck=none, or an encoder of a larger stride"
            )
        self.channels = tuple(channels)
        self.strides = tuple(int(one) if one.denominator == 1 else one for one in reached)
        self.roundings = whole_roundings(None, len(laws))
        self.sources, self.laws = (-1,) * len(laws), tuple(laws)

    def forward(self, encoded: Encoded) -> Encoded:
        """Return the pyramid of the encoder's maps, with the guides that flow on."""
        return Encoded(self.neck(encoded), encoded.beside, encoded.encodings)

    @abstractmethod
    def neck(self, encoded: Encoded) -> Sequence[Tensor]:
        """Return the pyramid's maps ``(N, channels[i], h_i, w_i)``."""

    def ladder(self, sizes: Sequence[int]) -> list[LadderStep]:
        """Return the steps up within the neck, on one axis, for the encoder's maps of ``sizes``."""
        return [LadderStep.of(up, low.out(sizes[-1]), high.out(sizes[-1]), "neck ") for low, high, up in self.steps()]

    def steps(self) -> "list[tuple[FloorLaw, FloorLaw, Upsampler]]":
        """Return the steps up in the order in which they run: the laws of the sizes before and after, the operator."""
        return []

    @property
    def requires(self) -> frozenset[str]:
        """The guides that its operators need beside the maps."""
        needed: frozenset[str] = frozenset().union(*(up.requires for _, _, up in self.steps()))
        return needed - {"skip"}

    def map_sizes(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Return the sizes of the pyramid's maps, on one axis, for the encoder's maps of ``sizes``."""
        return tuple(law.out(sizes[place]) for place, law in zip(self.sources, self.laws, strict=True))

    def step(
        self,
        upsampler: str,
        in_channels: int,
        out_channels: int,
        scale: int = 2,
        *,
        options: Mapping[str, Any] | None,
        skip_channels: int | None = None,
        setting: str = "upsampler",
    ) -> Upsampler:
        """Return the operator of a step up within the neck.

        A ``deconv`` without ``kernel_size`` has one of its scale, as the papers' have: its stamps do not overlap.
        Errors call the operator by ``setting``, the neck's option that names it.

        Raises:
            ConfigError: The operator requires a guide that the step does not have, or an option is unknown.
        """
        lacks = BETWEEN_MAPS - ({"skip"} if skip_channels else set())
        missing = operator_class(upsampler).required(**(options or {})) & lacks
        own = checked_operator(
            upsampler, options, "upsampler_options", lacks, f"neck.{setting}={upsampler}",
            f"which neck '{self.name}' does not have at these steps",
            "neck=dpt, or an operator" if missing == {"skip"} and self.name != "dpt" else "an operator",
        )  # fmt: skip
        if upsampler == "deconv" and own.get("kernel_size") is None:
            own["kernel_size"] = scale
        if operator_class(upsampler).takes_rounding and own.get("rounding") is None:
            own["rounding"] = "up"
        given = {"skip_channels": skip_channels, "image_channels": self.image_channels, **own}
        return sharing(create_upsampler(upsampler, in_channels, out_channels, scale, **given), self._encoders)

    def several_of_one_stride(self, count: int | None = None) -> None:
        """Raise a ConfigError unless the encoder's maps are of one stride, and ``count`` of them if that is given."""
        if len(set(self.strides)) > 1:
            raise ConfigError(
                f"neck '{self.name}' takes maps of one stride, as a plain transformer's blocks are, and the encoder's "
                f"have strides {', '.join(map(str, self.strides))}.\n  try: neck=none, which hands a pyramid on"
            )
        if count is not None and len(self.strides) != count:
            raise ConfigError(
                f"neck '{self.name}' takes {count} maps, and the encoder gives {len(self.strides)}.\n"
                f"  try: encoder.out_indices=null, which chooses {count} blocks evenly, or {count} of your own"
            )


necks: Registry[Callable[..., Neck]] = Registry(
    "neck", "segup.necks", place=("channels", "strides", "roundings", "image_channels"), group="neck"
)
register_neck = necks.register
"""Registers a neck under a name: ``@register_neck("mine")`` above its class."""
list_necks = necks.names
"""Returns the names of all necks."""


@annotated
def create_neck(
    name: str,
    channels: Sequence[int],
    strides: Sequence[int],
    roundings: Roundings | None = None,
    image_channels: int = 3,
    **options: Any,
) -> Neck:
    """Build the neck called ``name`` for an encoder's maps.

    Args:
        name: One of :func:`list_necks`.
        channels, strides, roundings: Of the maps, from high to low resolution.
        image_channels: Of the image.
        **options: The neck's own.

    Raises:
        ConfigError: A name or an option is unknown, or the neck does not take such maps.

    >>> neck = create_neck("simple_fpn", [384] * 4, [14] * 4)
    >>> neck.channels, [str(stride) for stride in neck.strides], neck.map_sizes([5, 5, 5, 5])
    ((256, 256, 256, 256), ['7/2', '7', '14', '28'], (20, 10, 5, 3))
    """
    neck = necks.create(
        name, list(channels), list(strides), roundings=roundings, image_channels=image_channels, **options
    )
    if not isinstance(neck, Neck):
        raise ConfigError(f"neck '{name}' makes a {type(neck).__name__}, not a segup.necks.Neck")
    return neck
