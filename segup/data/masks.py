"""Read a mask file as class ids, refuse every value that is no class, and count how often each class occurs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from segup.calls import annotated
from segup.data.drawn import MaskSource
from segup.data.labels import Labels, MaskValues
from segup.data.mask_codes import UNKNOWN, MaskCode
from segup.data.mask_files import MaskPixels, mask_pixels
from segup.data.pairs import Pair
from segup.errors import ConfigError, DataError
from segup.tables import first_of


@annotated
def read_mask(
    path: Path | str, labels: Labels, values: MaskValues | None = None, tolerance: int | None = None
) -> torch.Tensor:
    """Read a mask as int64 class ids, (H, W).

    The ids of a grey image (1 to 16 bits, or floats without a fraction) are its values. The ids of an RGB image are
    those of its colours in ``labels.colors``, or its grey values if it is grey. Alpha is dropped. If ``labels.colors``
    were given, the colours of a palette give the ids; an index that is the ``ignore_index`` and has the colour of a
    class is refused, unless other indices contradict their colours, too. Otherwise its indices are the ids, and
    colours that contradict them are refused. ``.npy`` files of whole numbers are read too. An EXIF orientation is not
    followed.

    Args:
        path: The file.
        labels: The classes. Only their ids and ``labels.ignore_index`` may occur.
        values: The meaning of values that are not ids: ``{0: 0, 255: 1}``, or ``{"#ff8000": 2}`` for a colour. Colours
            are added to ``labels.colors``. Grey values replace the ids.
        tolerance: How far a value, or each channel of a colour, may be from the nearest known one. It gets the class of
            that one. Use it for JPEG, which changes values. None is 0.

    Raises:
        DataError: The file is missing, cut short or not an image; a value is no class; or a value means one class as a
            number and another one as a colour.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (3, 2), 1).save(f"{folder}/mask.png")
        ...     mask = read_mask(f"{folder}/mask.png", Labels(("background", "cell")))
        >>> mask.tolist()
        [[1, 1, 1], [1, 1, 1]]
    """
    return torch.from_numpy(decode_mask(Path(path), MaskCode(labels, values, tolerance)).astype(np.int64))


def decode_mask(mask: MaskSource, code: MaskCode) -> np.ndarray:
    """Return the class ids as int32 (H, W); see :func:`read_mask`."""
    return mask_ids(mask_pixels(mask), code, mask)


def mask_ids(mask: MaskPixels, code: MaskCode, path: MaskSource) -> np.ndarray:
    """Return the class ids of a mask's pixels as int32 (H, W); see :func:`read_mask`."""
    if mask.palette is not None:
        return _ids_of_palette(mask, code, path)
    if mask.values.ndim == 3:
        return _ids_of_colors(mask, code, path)
    return _ids_of_numbers(mask.values, code, path, mask.lossy)


def _ids_of_numbers(numbers: np.ndarray, code: MaskCode, path: MaskSource, lossy: bool = False) -> np.ndarray:
    ids = code.of_numbers(numbers)
    if code.colors_decide and code.greys:
        as_colors = code.of_greys(numbers)
        if not np.any(as_colors == UNKNOWN):
            known = ids != UNKNOWN
            if known.all() and np.any(differ := ids != as_colors):
                raise DataError(f"{path}: {_two_meanings(numbers[differ], ids[differ], as_colors[differ], code)}")
            return ids if known.all() else as_colors
    if not np.any(ids == UNKNOWN):
        return ids
    ids = code.near_numbers(numbers, path) if code.tolerance else ids
    return _all_known(ids, numbers, _unknown_numbers, code, path, lossy)


def _ids_of_colors(mask: MaskPixels, code: MaskCode, path: MaskSource) -> np.ndarray:
    packed = code.packed(mask.values)
    ids = code.of_colors(packed)
    known = not np.any(ids == UNKNOWN)
    if known and code.colors_decide:
        return ids
    if _is_grey(mask.values, code.tolerance or 0):
        numbers = mask.values[..., 1]
        as_numbers = code.of_numbers(numbers)
        if not known:
            return _ids_of_numbers(numbers, code, path, mask.lossy)
        if not np.any(as_numbers == UNKNOWN) and np.any(differ := ids != as_numbers):
            raise DataError(f"{path}: {_two_meanings(numbers[differ], as_numbers[differ], ids[differ], code)}")
    if known:
        return ids
    ids = code.near_colors(packed, path) if code.tolerance else ids
    return _all_known(ids, packed, _unknown_colors, code, path, mask.lossy)


def _all_known(
    ids: np.ndarray, values: np.ndarray, said: Callable[..., str], code: MaskCode, path: MaskSource, lossy: bool = False
) -> np.ndarray:
    if np.any(ids == UNKNOWN):
        raise DataError(f"{path}: {said(values[ids == UNKNOWN], code, lossy)}")
    return ids


def _ids_of_palette(mask: MaskPixels, code: MaskCode, path: MaskSource) -> np.ndarray:
    """Return the ids of a palette image, decided index by index over those that occur."""
    assert mask.palette is not None
    used = np.unique(mask.values)
    entries = mask.palette[used]
    if code.official or (entries == used[:, np.newaxis]).all():  # a grey image in all but name
        return _ids_of_numbers(mask.values, code, path)
    table = np.full(256, UNKNOWN, dtype=np.int32)
    table[used] = _palette_ids(used, entries, code, path, mask.ordered)
    ids: np.ndarray = table[mask.values]
    return ids


def _palette_ids(used: np.ndarray, entries: np.ndarray, code: MaskCode, path: MaskSource, ordered: bool) -> np.ndarray:
    colors = code.packed(entries)
    by_color, by_index = code.of_colors(colors), code.of_numbers(used)
    ignored = by_index == code.labels.ignore_index
    either = (by_color != UNKNOWN) & (by_index != UNKNOWN) & (by_color != by_index)
    if code.colors_decide:
        if ordered:
            # A palette is padded with black up to 255. Where all else agrees, its order is that of the ids.
            padded = bool((either & ignored).any()) and not (either & ~ignored).any()
            if padded or (code.numbers_given and either.any()):
                raise DataError(f"{path}: {_disagreement(used, colors, by_index, by_color, either, code)}")
            listed = code.numbers_given | ignored
            by_color = np.where((by_color == UNKNOWN) & listed, by_index, by_color)
        return _all_known(by_color, colors, _unknown_colors, code, path)
    grey = _is_grey(entries) and entries.min() >= 0
    by_level = code.of_numbers(entries[:, 0]) if grey else np.full_like(by_index, UNKNOWN)
    if not ordered:
        known = by_level if grey and not np.any(by_level == UNKNOWN) else by_color
        if np.any(known == UNKNOWN):
            raise DataError(
                f"{path}: {_unknown_numbers(entries[:, 0], code) if grey else _unknown_colors(colors, code)} "
                f"(the order of a GIF's palette is its writer's)"
            )
        return known
    either &= ~ignored  # where no colours were given, what is ignored may have any
    if not code.numbers_given and either.any():
        raise DataError(f"{path}: {_disagreement(used, colors, by_index, by_color, either, code)}")
    if np.any(by_index == UNKNOWN) and not np.any(by_level == UNKNOWN):
        return by_level
    _all_known(by_index, used, _unknown_numbers, code, path)
    white = (by_level == code.labels.ignore_index) & ~ignored & (not code.numbers_given)
    differ = (by_level != by_index) & ~ignored & (not code.ids_given)
    if not np.any((by_level == UNKNOWN) | white) and differ.any():
        raise DataError(f"{path}: {_disagreement(used, colors, by_index, by_level, differ, code)}")
    return by_index


def _is_grey(colors: np.ndarray, spread: int = 0) -> bool:
    return bool((np.ptp(colors, axis=-1) <= spread).all() if spread else (colors == colors[..., :1]).all())


def _two_meanings(numbers: np.ndarray, as_ids: np.ndarray, as_colors: np.ndarray, code: MaskCode) -> str:
    value, one, other = int(numbers.flat[0]), int(as_ids.flat[0]), int(as_colors.flat[0])
    return (
        f"the grey value {value} is {_class(one, code)} as a class id, and {_class(other, code)} as a colour. "
        f"If colours decide, set {mask_values(code.greys)}. If class ids decide, set {mask_values(code.ids)}"
    )


def _disagreement(
    used: np.ndarray, colors: np.ndarray, by_index: np.ndarray, by_color: np.ndarray, where: np.ndarray, code: MaskCode
) -> str:
    index, color = int(used[where][0]), int(colors[where][0])
    one, other = int(by_index[where][0]), int(by_color[where][0])
    typed = ["data.mask_values=null"] if code.numbers_given else []
    typed += ["data.ignore_index=-1"] if np.any(by_index[where] == code.labels.ignore_index) else []
    by_colors = f"set {' '.join(typed)}" if code.colors_decide else "give those of the classes in data.colors"
    return (
        f"the colours and the class ids of its palette disagree: index {index} is {_class(one, code)}, and its "
        f"colour #{color:06x} is {_class(other, code)}. If colours decide, {by_colors}. "
        f"If indices decide, set data.colors=null {mask_values(code.ids)}"
    )


def mask_values(table: Mapping[int, int]) -> str:
    """Return the override that gives values their ids, as it is typed.

    >>> mask_values({0: 0, 255: 1})
    "'data.mask_values={0:0,255:1}'"
    """
    return f"'data.mask_values={{{','.join(f'{value}:{index}' for value, index in table.items())}}}'"


def _class(index: int, code: MaskCode) -> str:
    if index == code.labels.ignore_index:
        return f"the ignore_index {index}"
    return f"class {index} ('{code.labels.names[index]}')"


def _unknown_numbers(numbers: np.ndarray, code: MaskCode, lossy: bool = False) -> str:
    labels = code.labels
    found = np.unique(numbers).tolist()
    message = f"the mask holds {first_of(found, 5)}"
    hint = f"; {_nearest_taken(code, colors=False)}" if lossy else ""
    if code.numbers_given:
        return f"{message}, which mask_values does not list ({first_of(sorted(code.numbers), 5)}){hint}"
    message += f", where 0…{labels.num_classes - 1} and the ignore_index {labels.ignore_index} are allowed"
    if labels.num_classes == 2 and (found == [255] or (lossy and max(found) > 127)):
        tolerance = " data.mask_tolerance=127" if lossy else ""
        return f"{message}; if 255 means '{labels.names[1]}', set 'data.mask_values={{0:0,255:1}}'{tolerance}"
    return f"{message}; 'data.mask_values={{value:id,...}}' says what other values mean"


def _unknown_colors(packed: np.ndarray, code: MaskCode, lossy: bool = False) -> str:
    names = [f"#{color:06x}" if color >= 0 else "an index beyond its palette" for color in np.unique(packed).tolist()]
    message = f"the mask holds colours that are in no class: {first_of(names, 5)}"
    if lossy:
        return f"{message}; {_nearest_taken(code, colors=code.colors_decide or not code.numbers_given)}"
    meant = ",".join(f"0x{color:06x}:CLASS" for color in np.unique(packed).tolist()[:2] if color >= 0) or "VALUE:CLASS"
    return (
        f"{message}.\n"
        f"  try: 'data.mask_values={{{meant}}}', what the colours mean; or data.colors=[...], the classes' own."
    )


def _nearest_taken(code: MaskCode, colors: bool) -> str:
    safe = code.safe_tolerance(colors)
    if safe <= (code.tolerance or 0):
        return "compression changed them further than classes are apart: save the masks as PNG, from what they were"
    return f"compression changed them: data.mask_tolerance={safe} takes the nearest known value"


@annotated
@dataclass(frozen=True)
class ClassFrequencies:
    """Counts over a set of masks, without ignored pixels.

    Attributes:
        pixels: Pixels of each class.
        image_pixels: Counted pixels of all images in which the class occurs.
    """

    pixels: tuple[int, ...]
    image_pixels: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.pixels) != len(self.image_pixels):
            raise ConfigError(
                f"pixels has {len(self.pixels)} classes and image_pixels {len(self.image_pixels)}: one number for each "
                f"class in both"
            )

    @property
    def frequencies(self) -> tuple[float, ...]:
        """The share pixels / image_pixels of each class, 0 for a class that never occurs.

        These are the frequencies of median-frequency balancing: Eigen & Fergus, "Predicting depth, surface normals
        and semantic labels with a common multi-scale convolutional architecture" (2015), section 6.3.2.

        >>> ClassFrequencies(pixels=(30, 10, 0), image_pixels=(40, 20, 0)).frequencies
        (0.75, 0.5, 0.0)
        """
        return tuple(own / whole if whole else 0.0 for own, whole in zip(self.pixels, self.image_pixels, strict=True))


def count_classes(pairs: Sequence[Pair], code: MaskCode) -> ClassFrequencies:
    """Read each mask once and count its classes.

    Raises:
        DataError: When a mask cannot be read or holds a value that is no class.
    """
    labels = code.labels
    pixels = np.zeros(labels.num_classes, dtype=np.int64)
    image_pixels = np.zeros(labels.num_classes, dtype=np.int64)
    for pair in pairs:
        if pair.mask is None:
            continue
        ids = decode_mask(pair.mask, code)
        counts = np.bincount(ids[ids != labels.ignore_index], minlength=labels.num_classes)
        pixels += counts
        image_pixels[counts > 0] += counts.sum()
    return ClassFrequencies(tuple(pixels.tolist()), tuple(image_pixels.tolist()))
