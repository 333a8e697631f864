"""What the values of masks mean: numbers and colours to class ids, exactly or to the nearest."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from segup.data.labels import Labels, MaskValues
from segup.errors import ConfigError, DataError

_Spread = Callable[[np.ndarray], np.ndarray]
UNKNOWN = np.iinfo(np.int32).min
"""In place of an id: a value that is none."""


@dataclass(frozen=True)
class MaskCode:
    """What numbers and colours in masks mean.

    Args:
        labels: The classes.
        values: What values mean where they are not ids; see :func:`segup.data.masks.read_mask`.
        tolerance: How far a value may lie from the nearest that is known. None is 0.
        official: Whether ``values`` are the data set's own definition, so that colours of palettes say nothing.
    """

    labels: Labels
    values: MaskValues | None = None
    tolerance: int | None = None
    official: bool = False

    def __post_init__(self) -> None:
        check_values(self.values or {}, self.labels)
        if self.tolerance is not None and self.tolerance < 0:
            raise ConfigError(f"mask_tolerance={self.tolerance} must be 0 or more.\n  try: data.mask_tolerance=127")

    @cached_property
    def numbers(self) -> dict[int, int]:
        """The id of each grey value."""
        given = {key: value for key, value in (self.values or {}).items() if isinstance(key, int)}
        return given or {index: index for index in (*range(self.labels.num_classes), self.labels.ignore_index)}

    @cached_property
    def ids(self) -> dict[int, int]:
        """The class ids, and the ignore_index where a picture can hold it, as what they are."""
        ids = [*range(self.labels.num_classes), self.labels.ignore_index]
        return {index: index for index in ids if index >= 0}

    @cached_property
    def colors(self) -> dict[int, int]:
        """The id of each colour, 0xRRGGBB."""
        table = {red << 16 | green << 8 | blue: index for index, (red, green, blue) in enumerate(self.labels.colors)}
        return table | {parsed_color(key): value for key, value in (self.values or {}).items() if isinstance(key, str)}

    @cached_property
    def greys(self) -> dict[int, int]:
        """The id of each grey value whose colour has one."""
        return {color & 255: index for color, index in self.colors.items() if color % 0x010101 == 0}

    @property
    def numbers_given(self) -> bool:
        """Whether ``values`` says what grey values mean."""
        return any(isinstance(key, int) for key in self.values or {})

    @property
    def ids_given(self) -> bool:
        """Whether ``values`` says that grey values are class ids: then so are the indices of palettes."""
        return self.numbers_given and all(number == index for number, index in self.numbers.items())

    @property
    def colors_decide(self) -> bool:
        """Whether colours were given: those of the classes, or some in ``values``."""
        return self.labels.colors_given or any(isinstance(key, str) for key in self.values or {})

    def of_numbers(self, numbers: np.ndarray) -> np.ndarray:
        """Return the id of each number as int32, or :data:`UNKNOWN`."""
        return _looked_up(numbers, self.numbers)

    def of_greys(self, numbers: np.ndarray) -> np.ndarray:
        """Return the id of each grey value, taken for a colour."""
        return np.full(numbers.shape, UNKNOWN, np.int32) if self.numbers_given else _looked_up(numbers, self.greys)

    def of_colors(self, packed: np.ndarray) -> np.ndarray:
        """Return the id of each colour, 0xRRGGBB, as int32, or :data:`UNKNOWN`."""
        return _looked_up(packed, self.colors)

    @staticmethod
    def packed(colors: np.ndarray) -> np.ndarray:
        """Return 8-bit colours (..., 3) as int32, 0xRRGGBB."""
        packed: np.ndarray = colors.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32)
        return packed

    def near_numbers(self, numbers: np.ndarray, path: object) -> np.ndarray:
        """Return the id of the nearest known number within the tolerance."""
        return self._near(numbers, self.numbers, lambda keys: keys[:, np.newaxis], path)

    def near_colors(self, packed: np.ndarray, path: object) -> np.ndarray:
        """Return the id of the nearest known colour, each channel of which is within the tolerance."""
        return self._near(packed, self.colors, _channels, path)

    def safe_tolerance(self, colors: bool) -> int:
        """Return the largest tolerance that tells all known colours, or numbers, from each other."""
        keys = np.array(sorted(self.colors if colors else self.numbers))
        return int(_apart(_channels(keys) if colors else keys[:, np.newaxis]).min() - 1) // 2

    def _near(self, values: np.ndarray, table: Mapping[int, int], spread: _Spread, path: object) -> np.ndarray:
        keys = np.array(sorted(table))
        found, inverse = np.unique(values, return_inverse=True)
        own, others = spread(keys), spread(found)
        apart = _apart(own)
        if 2 * (self.tolerance or 0) >= apart.min():
            one, other = (keys[place] for place in np.unravel_index(apart.argmin(), apart.shape))
            names = (f"#{one:06x}", f"#{other:06x}") if own.shape[1] == 3 else (one, other)
            raise DataError(
                f"{path}: data.mask_tolerance={self.tolerance} cannot tell {names[0]} from {names[1]}: they are "
                f"{apart.min()} apart, and it must be less than half of that. If the masks hold other values, name "
                f"them: 'data.mask_values={{0:0,255:1}}'"
            )
        distance = np.abs(others[:, np.newaxis] - own).max(axis=-1)
        nearest = distance.argmin(axis=1)
        ids = np.array([table[int(key)] for key in keys], dtype=np.int32)[nearest]
        ids[distance.min(axis=1) > (self.tolerance or 0)] = UNKNOWN
        looked_up: np.ndarray = ids[inverse].reshape(values.shape)
        return looked_up


def check_values(values: MaskValues, labels: Labels) -> None:
    """Raise a ConfigError for a table of mask values that cannot be meant."""
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"data.mask_values={values!r} must be a mapping; quote it: 'data.mask_values={{0: 0, 255: 1}}'"
        )
    allowed = {*range(labels.num_classes), labels.ignore_index}
    for key, value in values.items():
        if isinstance(key, str):
            parsed_color(key)
        elif isinstance(key, bool) or not isinstance(key, int):
            raise ConfigError(f"mask_values: {key!r} is neither a grey value nor a colour such as '#ff8000'")
        if value not in allowed:
            raise ConfigError(
                f"mask_values: {key} becomes {value}, which is neither a class (0…{labels.num_classes - 1}) "
                f"nor the ignore_index {labels.ignore_index}"
            )


def parsed_color(text: str) -> int:
    """Return "#rrggbb", or "0xrrggbb" as Hydra takes it for a key, as a number.

    Raises:
        ConfigError: For any other text.
    """
    written = re.fullmatch(r"(?:#|0x)([0-9a-fA-F]{6})", text)
    if written is None:
        raise ConfigError(
            f"mask_values: '{text}' is not a colour: write '#rrggbb', or 0xrrggbb on the command line.\n"
            f"  try: 'data.mask_values={{0xff8000:1}}'."
        )
    return int(written[1], 16)


def _apart(places: np.ndarray) -> np.ndarray:
    """Return how far each place (N, channels) is from each other one, and very far from itself."""
    apart: np.ndarray = np.abs(places[:, np.newaxis] - places).max(axis=-1) + (1 << 20) * np.eye(len(places), dtype=int)
    return apart


def _channels(packed: np.ndarray) -> np.ndarray:
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1)


def _looked_up(numbers: np.ndarray, table: Mapping[int, int]) -> np.ndarray:
    """Return the table's entry for each number, or UNKNOWN."""
    if numbers.dtype == np.uint8:
        entries = np.array([table.get(number, UNKNOWN) for number in range(256)], dtype=np.int32)
        return entries.take(numbers)
    keys = np.array(sorted(table), dtype=np.int64)
    entries = np.array([table[key] for key in keys.tolist()], dtype=np.int32)
    places = np.minimum(np.searchsorted(keys, numbers), len(keys) - 1)
    return np.where(keys[places] == numbers, entries[places], np.int32(UNKNOWN))
