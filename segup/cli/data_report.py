"""What ``segup data`` says of a folder, line by line."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segup.data.discover.discovery import Choice, Scanned, examples, near_empty
from segup.data.discover.look import Looked
from segup.tables import counted, first_of

_SHOWN = 12


def lines(root: Path, scanned: Scanned, choice: Choice) -> Iterator[str]:
    """Yield what was found, in lines."""
    layout = choice.layout
    yield f"images: {len(layout.images)} with a mask, from {_places(choice.config.get('images', 'images'))}"
    places = f"{counted(len(layout.masks), 'file')}, from {_places(choice.config.get('masks', 'masks'))}"
    yield f"masks:  {places} ({_KINDS[layout.kind]})"
    for image, masks in layout.together[:2]:
        more = f" and {len(masks) - 1} more" if len(masks) > 1 else ""
        yield f"  {_relative(image.path, root)}  ←  {_relative(masks[0].path, root)}{more}"
    if layout.lacking:
        yield f"left out: {counted(len(layout.lacking), 'image')} without a mask: {examples(layout.lacking, root)}"
    if layout.left_over:
        yield f"left out: {counted(len(layout.left_over), 'mask')} without an image: {examples(layout.left_over, root)}"
    used = layout.images | layout.masks | {one.path for one in (*layout.lacking, *layout.left_over)}
    rest = [path for path in scanned.pictures if path not in used]
    if rest:
        yield f"not used: {counted(len(rest), 'other picture')}, such as {_relative(rest[0], root)}"
    if scanned.others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(scanned.others.items())[:8])
        yield f"skipped (no image files): {kinds}"
    yield from _pictures("images", choice.images, len(layout.images))
    yield from _pictures("masks", choice.masks, len(layout.masks))
    yield from _unequal(choice, root)
    shares = list(choice.meaning.shares.items())
    if shares:
        kind = "colours" if shares[0][0].startswith("#") else "values"
        yield f"{kind} in masks: {first_of((f'{value} {100 * share:.3g} %' for value, share in shares), _SHOWN)}"
    if "classes" in choice.config:
        classes = choice.config["classes"]
        yield f"classes: {len(classes)}: {', '.join(classes[:_SHOWN])}{', …' if len(classes) > _SHOWN else ''}"
    empty = near_empty(choice.masks)
    if empty and layout.kind == "files":
        first = _relative(empty[0], root)
        yield f"nearly empty: {len(empty)} of {counted(len(choice.masks), 'mask')}, such as {first}: one value alone"
    if choice.splits:
        yield f"splits: {', '.join(f'{count} {split}' for split, count in choice.splits.items())}{_from(choice)}"
    if choice.twins:
        one, other = choice.twins[0]
        same_name = all(image.stem == twin.stem for image, twin in choice.twins)  # one picture as two files
        groups = """'data.groups="([^/]+)[.][^./]+$"'""" if same_name else "data.groups"
        yield (
            f"nearly the same in two splits: {counted(len(choice.twins), 'pair')} of images, such as "
            f"{_relative(one, root)} and {_relative(other, root)}; {groups} keeps what belongs together in one split"
        )
    for sentence in (*choice.told, *choice.meaning.told):
        yield f"note: {sentence}"


_KINDS = {
    "files": "one for each image",
    "instances": "one for each object",
    "classes": "one for each class",
    "coco": "outlines, COCO",
    "labelme": "outlines, LabelMe",
    "yolo": "outlines, YOLO",
}


def _pictures(kind: str, looked: Sequence[Looked], total: int) -> Iterator[str]:
    """Yield sizes, channels, types and ranges of what was read, and what could not be."""
    seen = [one for one in looked if one.fault is None]
    if seen:
        sizes = Counter(one.size for one in seen)
        if len(sizes) == 1:
            size = "{}×{}".format(*seen[0].size)
        else:
            least, most = (tuple(end(one.size[side] for one in seen) for side in (0, 1)) for end in (min, max))
            size = f"{len(sizes)} sizes from {least[0]}×{least[1]} to {most[0]}×{most[1]}"
        kinds = Counter((one.channels, one.dtype) for one in seen)
        told = ", ".join(f"{counted(channels, 'channel')} {dtype}" for (channels, dtype), _ in kinds.most_common(3))
        low, high = min(one.low for one in seen), max(one.high for one in seen)
        of = "" if len(looked) == total else f" (of {len(looked)} that were read)"
        yield f"{kind}: {size} (height × width), {told}, values {low:g}…{high:g}{of}"
    broken = [one for one in looked if one.fault is not None]
    if broken:
        yield f"cannot be read: {len(broken)} of {len(looked)} {kind}: {broken[0].fault}"


def _unequal(choice: Choice, root: Path) -> Iterator[str]:
    sizes = {one.path: one.size for one in (*choice.images, *choice.masks) if one.fault is None}
    wrong = [
        (image.path, mask.path)
        for image, masks in choice.layout.together
        for mask in masks
        if image.path in sizes and mask.path in sizes and sorted(sizes[image.path]) != sorted(sizes[mask.path])
    ]
    if wrong:
        image, mask = wrong[0]
        yield (
            f"unequal sizes: {counted(len(wrong), 'mask')} and the image differ, such as {_relative(mask, root)} "
            f"({sizes[mask][0]}×{sizes[mask][1]}, its image {sizes[image][0]}×{sizes[image][1]}): training refuses them"
        )


def _from(choice: Choice) -> str:
    if "lists" in choice.config:
        return " (from lists)"
    own = any(image.split for image, _ in choice.layout.together) or isinstance(choice.config.get("images"), dict)
    return " (from names)" if own else " (data.val_fraction=0.2 of all validates)"


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _places(given: str | Mapping[str, str]) -> str:
    """Return a place, or those of the splits: "train, val".

    >>> _places({"train": "a", "val": "b"})
    'a, b'
    """
    return given if isinstance(given, str) else ", ".join(given.values())
