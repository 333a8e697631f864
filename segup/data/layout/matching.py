"""Images and masks of the same key become pairs; what has no partner, or two, is refused with the way out."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segup.data.layout.patterns import Found
from segup.errors import DataError
from segup.overrides import pasted


@dataclass(frozen=True)
class Matched:
    """Images with what belongs to each.

    Attributes:
        together: An image and its masks, in the order of the images.
        lacking: Images without a mask.
        left_over: Masks without an image.
    """

    together: tuple[tuple[Found, tuple[Found, ...]], ...]
    lacking: tuple[Found, ...] = ()
    left_over: tuple[Found, ...] = ()


def match(images: Sequence[Found], masks: Sequence[Found]) -> Matched:
    """Match images and masks by their keys; where no key is the same, by its last part.

    Numbers are the same with zeros before them or without, as long as all keys stay different by that: 7 and 007.

    Raises:
        DataError: Two images have one key.

    >>> [image, mask] = [Found(Path(f"{name}.png"), (name,)) for name in ("7a", "007a")]
    >>> match([image], [mask]).together == ((image, (mask,)),)
    True
    """
    if not {image.key for image in images} & {mask.key for mask in masks}:
        shorter = [[replace(one, key=one.key[-1:]) for one in found] for found in (images, masks)]
        names, others = ({one.key for one in found} for found in shorter)
        if len(names) == len(images) and len(others) == len(masks) and names & others:
            images, masks = shorter
    check_different(images)
    matched = _by(lambda one: one.key, images, masks)
    if not (matched.lacking and matched.left_over):
        return matched
    if all(len({one.key for one in found}) == len({_numbered(one) for one in found}) for found in (images, masks)):
        by_numbers = _by(_numbered, images, masks)
        return max(matched, by_numbers, key=lambda one: len(one.together))
    return matched


def _by(key: Callable[[Found], tuple[str, ...]], images: Sequence[Found], masks: Sequence[Found]) -> Matched:
    by_key: dict[tuple[str, ...], list[Found]] = {}
    for mask in masks:
        by_key.setdefault(key(mask), []).append(mask)
    known = {key(image) for image in images}
    return Matched(
        tuple((image, tuple(by_key[key(image)])) for image in images if key(image) in by_key),
        tuple(image for image in images if key(image) not in by_key),
        tuple(mask for mask in masks if key(mask) not in known),
    )


def _numbered(one: Found) -> tuple[str, ...]:
    return tuple(unpadded(part) for part in one.key)


def unpadded(text: str) -> str:
    """Return a name without the zeros before its numbers.

    >>> unpadded("scan_007_00"), unpadded("v10")
    ('scan_7_0', 'v10')
    """
    return re.sub(r"0*(\d+)", r"\1", text)


def check_matched(matched: Matched, images: str, masks: str, way_out: str = "") -> None:
    """Raise a DataError for images without masks and masks without images, with counts and examples.

    Args:
        matched: What was found.
        images, masks: Where they are.
        way_out: What leaves them out, if anything does.
    """
    total = len(matched.together)
    lacking, left_over = ([one.path.name for one in found] for found in (matched.lacking, matched.left_over))
    count = sum(len(found) for _, found in matched.together)
    faults = [
        _without_partner(lacking, total + len(lacking), "images", f"no mask in {masks}"),
        _without_partner(left_over, count + len(left_over), "masks", f"no image in {images}"),
    ]
    if any(faults):
        try_it = f"\n  try: {way_out}" if way_out and total else ""
        raise DataError("; ".join(fault for fault in faults if fault) + try_it)


def check_different(found: Sequence[Found]) -> None:
    """Raise a DataError for two files of one key."""
    first: dict[tuple[str, ...], Path] = {}
    for one in found:
        if one.key in first:
            other = first[one.key]
            folder = f"{one.path.parent}: " if one.path.parent == other.parent else ""
            names = (other.name, one.path.name) if folder else (str(other), str(one.path))
            raise DataError(f"{folder}'{names[0]}' and '{names[1]}' share the name '{one.name}'")
        first[one.key] = one.path


def two_masks(image: Found, masks: Sequence[Found]) -> DataError:
    """Return the refusal of an image that has several masks."""
    one, other = masks[:2]
    narrower = f"{one.path.parent.name}/*{one.path.suffix}"
    return DataError(
        f"{image.path} has {len(masks)} masks: '{one.path.name}' and '{other.path.name}' share the name '{image.name}'."
        f"\n  try: a narrower data.masks=..., such as {pasted('data.masks', narrower)}; or "
        f"data.mask_kind=instances (one file for each object) or data.mask_kind=classes (one for each class)."
    )


def _without_partner(names: list[str], total: int, kind: str, what: str) -> str:
    if not names:
        return ""
    examples = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} of {total} {kind} have {what}: {examples}"
