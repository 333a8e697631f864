"""The meaning of a data set's class ids: names, colours and the ignored id."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from segup.conform import short
from segup.data.palette import palette
from segup.errors import ConfigError

Color = tuple[int, int, int]
# What the values of a mask file mean: grey values or colours ("#rrggbb") to class ids.
MaskValues = Mapping[int | str, int]


@dataclass(frozen=True)
class Labels:
    """The classes of a data set: id i is ``names[i]`` and is drawn in ``colors[i]``.

    Args:
        names: One name for each class, all different, at least two. A background is a class too.
        colors: One (red, green, blue) in 0…255 for each class. None makes a palette that colour-blind people can read.
        ignore_index: The id of pixels that the loss and the metrics ignore. No class may have it.

    Raises:
        ConfigError: There are fewer than two names, or a name or a colour occurs twice; there is not one colour for
            each class; a colour is not three integers in 0…255; or a class has the ignore_index as its id.

    Example:
        >>> labels = Labels(("background", "cell"))
        >>> labels.num_classes, labels.ignore_index, len(labels.colors)
        (2, 255, 2)
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...] = ()
    ignore_index: int = 255

    def __post_init__(self) -> None:
        names = _names(self.names)
        if self.colors is not None and not isinstance(self.colors, list | tuple):
            raise ConfigError(f"colors must be a list with one colour per class, not {self.colors!r}")
        colors = tuple(_color(color) for color in self.colors or ()) or palette(len(names))
        if len(colors) != len(names):
            raise ConfigError(
                f"{len(colors)} colours for {len(names)} classes: give one for each, or none for a default palette"
            )
        twice = next((color for color in colors if colors.count(color) > 1), None)
        if twice is not None:
            raise ConfigError(f"colours must differ: {list(twice)} is given to {colors.count(twice)} classes")
        if isinstance(self.ignore_index, bool) or not isinstance(self.ignore_index, int):
            raise ConfigError(f"ignore_index must be an integer, not {self.ignore_index!r}")
        if abs(self.ignore_index) > 2**16:
            raise ConfigError(
                f"ignore_index={short(self.ignore_index)} must be from -65536 to 65536.\n"
                f"  try: data.ignore_index={255 if len(names) <= 255 else -1}"
            )
        if 0 <= self.ignore_index < len(names):
            raise ConfigError(
                f"ignore_index {self.ignore_index} is class '{names[self.ignore_index]}': "
                f"it must lie outside 0…{len(names) - 1}.\n"
                f"  try: data.ignore_index={255 if len(names) <= 255 else -1}"
            )
        object.__setattr__(self, "_given", bool(self.colors))
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "colors", colors)

    @property
    def colors_given(self) -> bool:
        """Whether the colours were given. Then the colours of masks mean classes."""
        given: bool = self._given  # type: ignore[attr-defined]
        return given

    @property
    def num_classes(self) -> int:
        """The number of classes. Their ids are 0 … num_classes − 1."""
        return len(self.names)


def _names(names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ConfigError(f"classes must be a list of names, not the word '{names}'")
    if not isinstance(names, Iterable) or getattr(names, "ndim", 1) != 1:
        raise ConfigError(f"classes must be a list of names, not {names!r}")
    checked = tuple(str(name) for name in names)
    if len(checked) < 2:
        raise ConfigError(
            f"{len(checked)} class names: at least two are needed, since a background is a class too "
            "(one sigmoid channel is a choice of the model, not of the data)"
        )
    if "" in checked:
        raise ConfigError(f"class {checked.index('')} has an empty name: every class needs one")
    repeated = sorted({name for name in checked if checked.count(name) > 1})
    if repeated:
        raise ConfigError(f"class names must differ: '{repeated[0]}' occurs {checked.count(repeated[0])} times")
    return checked


def _color(color: Iterable[int]) -> Color:
    values = tuple(color) if isinstance(color, list | tuple) else ()
    if len(values) != 3 or any(isinstance(v, bool) or not isinstance(v, int) or not 0 <= v <= 255 for v in values):
        raise ConfigError(f"a colour is three integers in 0…255, not {color!r}")
    red, green, blue = values
    return red, green, blue
