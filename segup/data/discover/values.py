"""What the values of masks may mean: classes, and the options that say so."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from segup.data.discover.look import MOST_VALUES, Looked

IGNORED = 255
_MAY_BE_OBJECTS = (
    "the values of most masks run from 1 on, and not equally far: if they number objects, add "
    "data.mask_kind=instances 'data.classes=[background,object]'"
)
_IDS = 64
"""Values below this are taken for class ids as they are."""


@dataclass(frozen=True)
class Meaning:
    """What masks hold, and the options by which segup reads it.

    Attributes:
        options: ``classes``, and ``mask_values``, ``mask_tolerance`` or ``mask_kind`` where they are needed.
        shares: Of each value or colour, the share of all pixels.
        told: What was taken for granted, in sentences.
        unreadable: Why there are no options; else None.
    """

    options: Mapping[str, Any]
    shares: Mapping[str, float]
    told: tuple[str, ...] = ()
    unreadable: str | None = None


def meaning(masks: Sequence[Looked], names: Sequence[str] = (), colors: Mapping[int, str] | None = None) -> Meaning:
    """Return what masks of one file for each image hold.

    Args:
        masks: What was seen of them.
        names: Of the classes, if something in the folder says them.
        colors: Names of classes by their colour 0xRRGGBB, likewise.
    """
    seen = [mask for mask in masks if mask.fault is None]
    if not seen:
        return Meaning({}, {}, unreadable="no mask can be read")
    lossy, colored = any(mask.lossy for mask in seen), any(mask.colors for mask in seen)
    counts = _counts(seen, colored, lossy)
    total = sum(mask.size[0] * mask.size[1] for mask in seen)
    shares = {f"#{value:06x}" if colored else str(value): count / total for value, count in counts.most_common()}
    if any(mask.different > MOST_VALUES and not mask.lossy for mask in seen) or (
        not colored and _numbers_of_objects(seen, counts)
    ):
        if colored:
            return Meaning({}, shares, unreadable=f"a mask holds more than {MOST_VALUES} colours")
        told = "each value of a mask is taken for the number of an object: what is not 0 is class 1"
        return Meaning({"classes": ["background", "object"], "mask_kind": "instances"}, shares, (told,))
    if lossy:
        return _of_lossy(counts, colored, shares, names, colors)
    if colored:
        return _of_colors(counts, shares, colors, names)
    found = _of_numbers(counts, shares, names, colors)
    if not names and "mask_values" not in found.options and _running(seen) and max(counts) > 3:
        return replace(found, told=(*found.told, _MAY_BE_OBJECTS))
    return found


def named(count: int, names: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return names for classes, and what is said where they are not known."""
    if len(names) == count:
        return list(names), ()
    told = "the classes have no names here: they are called class_0, class_1, …"
    return [f"class_{index}" for index in range(count)], (told,)


def _counts(seen: Sequence[Looked], colored: bool, lossy: bool) -> Counter[int]:
    counts: Counter[int] = Counter()
    for mask in seen:
        for value, count in mask.values.items():
            counts[value if mask.colors or not colored else value * 0x010101] += count
    return _joined(counts, colored) if lossy else counts


def _joined(counts: Counter[int], colored: bool) -> Counter[int]:
    """Return values with those that lie near a commoner one counted as that one."""
    found: Counter[int] = Counter()
    for value, count in counts.most_common():
        near = next((other for other in found if _apart(value, other, colored) <= 48), value)
        found[near] += count
    total = sum(found.values())
    return Counter({value: count for value, count in found.items() if count > 0.002 * total})


def _apart(one: int, other: int, colored: bool) -> int:
    shifts = (0, 8, 16) if colored else (0,)
    return max(abs((one >> shift & 255) - (other >> shift & 255)) for shift in shifts)


def _numbers_of_objects(seen: Sequence[Looked], counts: Counter[int]) -> bool:
    """Whether values count objects: many of them, from 1 on without a gap in most masks."""
    if len(counts) <= 12 or any(mask.palette for mask in seen):
        return False
    return _running(seen)


def _running(seen: Sequence[Looked]) -> bool:
    """Whether the values of most masks run from 1 on without a gap, and not equally far in all."""
    own = [sorted(value for value in mask.values if value) for mask in seen]
    running = [values == list(range(1, len(values) + 1)) for values in own if values]
    return sum(running) > 0.7 * len(running) and len({len(values) for values in own}) > 1


def _of_numbers(
    counts: Counter[int],
    shares: Mapping[str, float],
    names: Sequence[str],
    colors: Mapping[int, str] | None = None,
) -> Meaning:
    values = sorted(value for value in counts if value >= 0)
    colors = colors or {}
    greys = {color & 255: name for color, name in colors.items() if color % 0x010101 == 0}
    if len(values) > 1 and set(values) <= set(greys):
        return Meaning({"classes": list(greys.values()), "mask_values": {v: k for k, v in enumerate(greys)}}, shares)
    if set(values) in ({0, IGNORED}, {IGNORED}, {0, 65535}):
        called, told = named(2, names)
        white = max(values)
        return Meaning({"classes": called, "mask_values": {0: 0, white: 1}}, shares, told)
    rest = [value for value in values if value != IGNORED] or values
    ignored = (f"{IGNORED} is taken for pixels that are ignored (data.ignore_index)",) if IGNORED in values else ()
    in_order: tuple[str, ...] = ()
    if not names and max(rest) < len(colors):
        names, in_order = (
            list(colors.values()),
            ("the classes are named after the rows of the table of colours",),
        )
    if max(rest) < _IDS or len(rest) > 0.6 * (max(rest) + 1) or (names and max(rest) < len(names)):
        count = max(2, len(names) if len(names) > max(rest) else max(rest) + 1)
        called, told = named(count, names)
        absent = [str(value) for value in range(count) if value not in counts]
        gaps = (f"no mask that was read holds {', '.join(absent[:5])}",) if absent and not names else ()
        return Meaning({"classes": called}, shares, (*told, *in_order, *ignored, *gaps))
    if len(rest) < 2:
        return Meaning({}, shares, unreadable=f"every mask holds {rest[0]} alone: there is nothing to tell apart")
    called, told = named(len(rest), names)
    table = {value: index for index, value in enumerate(rest)} | ({IGNORED: IGNORED} if ignored else {})
    return Meaning({"classes": called, "mask_values": table}, shares, (*told, *ignored))


def _of_colors(
    counts: Counter[int], shares: Mapping[str, float], colors: Mapping[int, str] | None, names: Sequence[str]
) -> Meaning:
    if colors and set(counts) <= set(colors):
        return Meaning({"classes": list(colors.values()), "colors": [_parts(color) for color in colors]}, shares)
    grey = all(color % 0x010101 == 0 for color in counts)
    if grey:
        return _of_numbers(Counter({color & 255: count for color, count in counts.items()}), shares, names)
    if len(counts) < 2:
        return Meaning({}, shares, unreadable="every mask holds one colour: there is nothing to tell apart")
    ordered = [0] * (0 in counts) + sorted(color for color in counts if color)
    called, told = named(len(ordered), names)
    return Meaning({"classes": called, "colors": [_parts(color) for color in ordered]}, shares, told)


def _of_lossy(
    counts: Counter[int],
    colored: bool,
    shares: Mapping[str, float],
    names: Sequence[str],
    colors: Mapping[int, str] | None,
) -> Meaning:
    values = sorted(counts)
    if len(values) < 2:
        return Meaning({}, shares, unreadable="every mask holds one value: there is nothing to tell apart")
    snapped = {value: _snapped(value, colored, colors) for value in values}
    known = sorted(set(snapped.values()))
    colored = colored and any(value % 0x010101 for value in known)
    known = known if colored else sorted({value & 255 for value in known})
    from_table = colors is not None and set(known) <= set(colors)
    called, told = named(len(known), [colors[value] for value in known] if colors and from_table else names)
    least = min(_apart(one, other, colored) for place, one in enumerate(known) for other in known[:place])
    meant = (
        {"colors": [_parts(value) for value in known]}
        if colored
        else {"mask_values": {value: index for index, value in enumerate(known)}}
    )
    said = "the masks are JPEG files, whose values are changed: each pixel takes the nearest class"
    options = {"classes": called, **meant, "mask_tolerance": (least - 1) // 2}
    return Meaning(options, shares, (*told, said))


def _snapped(value: int, colored: bool, colors: Mapping[int, str] | None) -> int:
    """Return what a value was before compression: a known colour, or black, full or half of a channel."""
    if colors:
        return min(colors, key=lambda color: _apart(color, value, True))
    shifts = (16, 8, 0) if colored else (0,)
    levels = (0, 64, 128, 192, 255)
    return sum(
        min(levels, key=lambda level: abs(level - (value >> shift & 255))) << shift
        if min(abs(level - (value >> shift & 255)) for level in levels) <= 8
        else (value >> shift & 255) << shift
        for shift in shifts
    )


def _parts(color: int) -> list[int]:
    return [color >> 16, color >> 8 & 255, color & 255]
