"""A mask file becomes class ids, and every value in it is accounted for."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from segup.data.files import read_array, reading
from segup.data.labels import Labels, MaskValues
from segup.errors import ConfigError, DataError

# Grey PNGs of 2 and 4 bits, which Pillow stretches to 0…255 on reading: the stretch is undone.
_STRETCHED = {"L;2": 85, "L;4": 17}
_UNKNOWN = np.iinfo(np.int32).min


def read_mask(path: Path | str, labels: Labels, values: MaskValues | None = None) -> torch.Tensor:
    """Read a mask as int64 class ids, (H, W).

    A palette image gives its palette's indices, a grey one (1 to 16 bits) its values, an RGB one the ids of its
    colours in ``labels.colors``; alpha is dropped. ``.npy`` files of integers are read too.

    Args:
        path: The file.
        labels: The classes; besides their ids only ``labels.ignore_index`` may occur.
        values: What values in the file mean, where they are not ids: ``{0: 0, 255: 1}``, or ``{"#ff8000": 2}`` for
            a colour. Colours listed here come on top of ``labels.colors``; grey values replace the ids.

    Raises:
        DataError: When the file is missing, cut short or not an image, or holds a value that is no class.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (3, 2), 1).save(f"{folder}/mask.png")
        ...     mask = read_mask(f"{folder}/mask.png", Labels(("background", "cell")))
        >>> mask.tolist()
        [[1, 1, 1], [1, 1, 1]]
    """
    return torch.from_numpy(decode_mask(Path(path), labels, values).astype(np.int64))


def decode_mask(path: Path, labels: Labels, values: MaskValues | None = None) -> np.ndarray:
    """Return the class ids as int32 (H, W); see :func:`read_mask`."""
    pixels = reading(path, _read_pixels)
    if pixels.ndim == 3:
        packed = pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32)
        ids = _looked_up(packed, _color_table(labels, values))
        if np.any(ids == _UNKNOWN):
            raise DataError(f"{path}: {_unknown_colors(packed[ids == _UNKNOWN])}")
        return ids
    ids = _looked_up(pixels, _number_table(labels, values))
    if np.any(ids == _UNKNOWN):
        raise DataError(f"{path}: {_unknown_numbers(pixels[ids == _UNKNOWN], labels, values)}")
    return ids


def check_values(values: MaskValues, labels: Labels) -> None:
    """Raise a ConfigError for a table of mask values that cannot be meant."""
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"data.mask_values={values!r} must be a mapping; quote it: 'data.mask_values={{0: 0, 255: 1}}'"
        )
    allowed = {*range(labels.num_classes), labels.ignore_index}
    for key, value in values.items():
        if isinstance(key, str):
            _parsed_color(key)
        elif isinstance(key, bool) or not isinstance(key, int):
            raise ConfigError(f"mask_values: {key!r} is neither a grey value nor a colour such as '#ff8000'")
        if value not in allowed:
            raise ConfigError(
                f"mask_values: {key} becomes {value}, which is neither a class (0…{labels.num_classes - 1}) "
                f"nor the ignore_index {labels.ignore_index}"
            )


def check_foreground(paths: Iterable[Path], labels: Labels) -> None:
    """Raise a DataError when masks of two classes hold 0 and 255 alone, and 255 is the ignore_index.

    Such masks are black and white; without this check every white pixel would silently be left out. Reads masks until
    one holds the second class, which is mostly the first.
    """
    if labels.num_classes != 2 or labels.ignore_index != 255:
        return
    white: Path | None = None
    for path in paths:
        ids = decode_mask(path, labels)
        if np.any(ids == 1):
            return
        white = path if white is None and np.any(ids == 255) else white
    if white is not None:
        raise DataError(
            f"{white}: no mask holds class 1 ('{labels.names[1]}'), but 255, which is the ignore_index; "
            f"if 255 means '{labels.names[1]}', set data.ignore_index=-1 'data.mask_values={{0:0,255:1}}'"
        )


def check_labelled(paths: Iterable[Path], labels: Labels, values: MaskValues | None = None) -> None:
    """Raise a DataError when there are masks and each is the ignore_index throughout: nothing could be learnt.

    Reads masks until one holds a class, which is mostly the first.
    """
    count, path = 0, None
    for count, path in enumerate(paths, 1):  # noqa: B007
        if np.any(decode_mask(path, labels, values) != labels.ignore_index):
            return
    if count:
        raise DataError(
            f"{path}: no mask of {count} holds a class: every pixel is {labels.ignore_index}, the ignore_index.\n"
            f"  try: data.mask_values={{VALUE:CLASS,...}}, what the values in the files mean, or data.ignore_index=-1 "
            f"where {labels.ignore_index} is a class."
        )


def _read_pixels(path: Path) -> np.ndarray:
    """Return whole numbers (H, W), or colours (H, W, 3) as uint8."""
    if path.suffix.lower() == ".npy":
        array = read_array(path)
        if array.shape[2] != 1 or array.dtype.kind not in "ui":
            raise DataError(f"{path}: {array.dtype} of shape {array.shape}: a mask array holds integers of (H, W)")
        return array[..., 0]
    with Image.open(path) as file:
        pages = getattr(file, "n_frames", 1)
        if pages > 1:
            raise DataError(f"{path}: {pages} pages, where a mask is one; save the class ids as a single image")
        if file.mode in ("P", "PA"):
            return np.asarray(file.getchannel(0))
        rawmode = str(file.tile[0][3]) if file.tile else ""
        if file.mode in ("1", "L", "I;16", "I;16L", "I;16B", "I"):
            pixels = np.asarray(file)
            return pixels.astype(np.uint8) if pixels.dtype == bool else pixels // _STRETCHED.get(rawmode, 1)
        if file.mode == "LA":
            return np.asarray(file.getchannel(0))
        if file.mode in ("RGB", "RGBA", "RGBX"):
            return np.asarray(file.convert("RGB"))
        raise DataError(f"{path}: a mask is a palette, grey or RGB image; this one has Pillow's mode '{file.mode}'")


def _number_table(labels: Labels, values: MaskValues | None) -> dict[int, int]:
    numbers = {key: value for key, value in (values or {}).items() if isinstance(key, int)}
    return numbers or {index: index for index in (*range(labels.num_classes), labels.ignore_index)}


def _color_table(labels: Labels, values: MaskValues | None) -> dict[int, int]:
    table = {_packed(*color): index for index, color in enumerate(labels.colors)}
    named = {_parsed_color(key): value for key, value in (values or {}).items() if isinstance(key, str)}
    return table | named


def _packed(red: int, green: int, blue: int) -> int:
    return red << 16 | green << 8 | blue


def _parsed_color(text: str) -> int:
    try:
        if len(text) != 7 or text[0] != "#":
            raise ValueError
        return int(text[1:], 16)
    except ValueError:
        raise ConfigError(f"mask_values: '{text}' is not a colour: write '#rrggbb', such as '#ff8000'") from None


def _looked_up(numbers: np.ndarray, table: Mapping[int, int]) -> np.ndarray:
    """Return the table's entry for each number, or _UNKNOWN."""
    if numbers.dtype == np.uint8:
        entries = np.array([table.get(number, _UNKNOWN) for number in range(256)], dtype=np.int32)
        return entries[numbers]
    keys = np.array(sorted(table), dtype=np.int64)
    entries = np.array([table[key] for key in keys.tolist()], dtype=np.int32)
    places = np.minimum(np.searchsorted(keys, numbers), len(keys) - 1)
    return np.where(keys[places] == numbers, entries[places], np.int32(_UNKNOWN))


def _unknown_numbers(numbers: np.ndarray, labels: Labels, values: MaskValues | None) -> str:
    found = np.unique(numbers).tolist()
    message = f"the mask holds {_first(found)}"
    if values:
        return f"{message}, which mask_values does not list ({_first(sorted(k for k in values if isinstance(k, int)))})"
    message += f", where 0…{labels.num_classes - 1} and the ignore_index {labels.ignore_index} are allowed"
    if labels.num_classes == 2 and found == [255]:
        return f"{message}; if 255 means '{labels.names[1]}', set 'data.mask_values={{0:0,255:1}}'"
    return f"{message}; 'data.mask_values={{value:id,...}}' says what other values mean"


def _unknown_colors(packed: np.ndarray) -> str:
    found = np.unique(packed).tolist()
    message = f"the mask holds colours that are in no class: {_first([f'#{color:06x}' for color in found])}"
    if all(color % 0x010101 == 0 for color in found):
        return f"{message}; if its grey values are class ids, save it with one channel instead of three"
    return (
        f"{message}; give the classes' colours in data.colors, "
        f"or list more in data.mask_values ('#rrggbb': id) of your YAML"
    )


def _first(found: list) -> str:
    shown = ", ".join(str(value) for value in found[:5])
    return f"{shown} and {len(found) - 5} more" if len(found) > 5 else shown
