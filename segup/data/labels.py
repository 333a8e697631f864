"""The meaning of a data set's class ids: names, colours and the ignored id."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from segup.calls import accepts
from segup.conform import Within, short
from segup.errors import ConfigError

_Byte = Annotated[int, Within(0, 255)]
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
    given = tuple(names)
    for index, name in enumerate(given):
        if isinstance(name, bool) or not isinstance(name, str | int | float):
            raise ConfigError(f"class {index} is {short(name)}, and a name is text: it may need quotes")
    checked = tuple(str(name) for name in given)
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
    if not accepts(tuple[_Byte, _Byte, _Byte], color):
        raise ConfigError(f"a colour is three integers in 0…255, not {color!r}")
    red, green, blue = color
    return red, green, blue


# Okabe & Ito, "Color Universal Design" (2008): black first, for the background.
_FIRST = (
    (0, 0, 0),
    (0, 114, 178),
    (230, 159, 0),
    (86, 180, 233),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
)
# How linear RGB looks to full, protanope and deuteranope vision: Viénot, Brettel & Mollon,
# "Digital video colourmaps for checking the legibility of displays by dichromats" (1999).
_VISIONS = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    ]
)
# Linear sRGB to the cube roots that OKLab mixes, and the mixture: Ottosson, "A perceptual color space" (2020).
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def appearance(colors: np.ndarray) -> np.ndarray:
    """Return (vision, color, 3): each 8-bit colour in OKLab, as full and as red- or green-blind vision sees it."""
    share = np.asarray(colors, dtype=float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.einsum("vij,cj->vci", _VISIONS, linear), 0, 1)
    return np.cbrt(seen @ _TO_CONES.T) @ _TO_LAB.T


def palette(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return ``count`` different colours, the background's black first.

    The first eight are Okabe and Ito's. Each further one is the candidate whose smallest distance to those before,
    over full, red-blind and green-blind vision, is largest.

    >>> palette(3)
    ((0, 0, 0), (0, 114, 178), (230, 159, 0))
    """
    chosen = list(_FIRST[:count])
    if count <= len(chosen):
        return tuple(chosen)
    side = max(8, int(np.ceil((2 * count) ** (1 / 3))))
    steps = np.rint(np.linspace(0, 255, side)).astype(int)
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    looks = appearance(candidates)
    nearest = np.full(len(candidates), np.inf)
    for color in chosen:
        nearest = np.minimum(nearest, _distance(looks, color))
    while len(chosen) < count:
        red, green, blue = (int(value) for value in candidates[int(np.argmax(nearest))])
        chosen.append((red, green, blue))
        nearest = np.minimum(nearest, _distance(looks, chosen[-1]))
    return tuple(chosen)


def _distance(looks: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return np.linalg.norm(looks - appearance(np.array([color])), axis=-1).min(axis=0)
