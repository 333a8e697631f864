"""Which options of ``data=folder`` make the most pairs of the images and masks that were found."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from segup.data.discover.names import Rule, pattern, rules, templates
from segup.data.drawn.layers import covered_by, image_key, pair_classes, pair_instances
from segup.data.files import reading
from segup.data.labels import Labels
from segup.data.layout.matching import Matched, match
from segup.data.layout.patterns import Found, Pattern, split_of
from segup.data.mask_files import read_mask_pixels
from segup.data.sets import SPLITS
from segup.errors import SegupError

_MOST_TEMPLATES = 10
_MOST_CLASSES = 40
_OF_OBJECTS = re.compile(r"(?i)^(?!.*semantic).*(SegmentationObject|instance|panoptic)")
_READ = 6
_SAME = 0.5


@dataclass(frozen=True)
class Layout:
    """Options of ``data=folder``, and what they make of a folder.

    Attributes:
        options: Such as ``images`` and ``masks``.
        together: Each image with its masks.
        lacking: Images without a mask.
        left_over: Masks without an image.
        classes: What folders or names call classes, where there is a mask for each.
        numbers_alone: Whether an image and its mask share no more than a number.
    """

    options: Mapping[str, Any]
    together: tuple[tuple[Found, tuple[Found, ...]], ...]
    lacking: tuple[Found, ...] = ()
    left_over: tuple[Found, ...] = ()
    classes: tuple[str, ...] = ()
    kind: str = field(default="files")
    numbers_alone: bool = False

    @property
    def images(self) -> frozenset[Path]:
        """Images that have a mask."""
        return frozenset(image.path for image, _ in self.together)

    @property
    def masks(self) -> frozenset[Path]:
        """Masks that have an image."""
        return frozenset(mask.path for _, masks in self.together for mask in masks)


def layouts(root: Path, images: Sequence[Path], masks: Sequence[Path]) -> list[Layout]:
    """Return layouts that make pairs, the best first; several of them are good where it is ambiguous.

    Args:
        root: The folder.
        images, masks: Its pictures, by what they hold.
    """
    found: list[Layout] = []
    of_images, of_masks = (_folders([_folder(path, root) for path in files]) for files in (images, masks))
    for image_folder in of_images:
        own = _within(root, images, image_folder)
        for mask_folder in of_masks:
            others = _within(root, masks, mask_folder)
            found += _of_names(root, (image_folder, own), (mask_folder, others))
            found += _of_several(root, (image_folder, own), (mask_folder, others))
    total = len(images) + len(masks)
    found = [layout for layout in found if layout.together]
    found += _of_splits(found)
    return sorted(found, key=lambda layout: (-_covered(layout, total), _length(layout)))


def _folders(own: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return patterns of folders, and then those of splits themselves: the masks of train may lie in trainannot.

    >>> _folders([("train",), ("val",)])
    [('*',), ('train',), ('val',)]
    """
    of_splits = [folder for folder in own if any(split_of(part) for part in folder)]
    return list(dict.fromkeys([*templates(own)[:_MOST_TEMPLATES], *list(dict.fromkeys(of_splits))[:_MOST_TEMPLATES]]))


def _of_splits(found: Sequence[Layout]) -> Iterator[Layout]:
    """Yield layouts that join those of folders such as train_images and val_images."""
    alike: dict[tuple[str, str], dict[str, Layout]] = {}
    for layout in found:
        places = [layout.options.get(key, key) for key in ("images", "masks")]
        words = [word for word in re.findall("[A-Za-z]+", places[0]) if split_of(word)]
        if layout.kind == "files" and len(set(words)) == 1 and words[0] in places[1]:
            same = (places[0].replace(words[0], "{}"), places[1].replace(words[0], "{}"))
            alike.setdefault(same, {}).setdefault(str(split_of(words[0])), layout)
    for splits in alike.values():
        if len(splits) > 1 and "train" in splits:
            ordered = {split: splits[split] for split in SPLITS if split in splits}
            keys = ("images", "masks")
            yield Layout(
                {key: {split: one.options.get(key, key) for split, one in ordered.items()} for key in keys},
                tuple(pair for one in ordered.values() for pair in one.together),
                tuple(image for one in ordered.values() for image in one.lacking),
                tuple(mask for one in ordered.values() for mask in one.left_over),
            )


def alternatives(found: Sequence[Layout]) -> list[Layout]:
    """Return the best layout and those that are as good but take other masks, or other images, for the rest."""
    if not found:
        return []
    chosen: list[Layout] = []
    doubtful: list[Layout] = []
    semantic = [layout for layout in found if not _OF_OBJECTS.search(str(layout.options.get("masks", "")))]
    most = len((semantic or found)[0].together)
    good = [layout for layout in semantic or found if len(layout.together) >= 0.8 * most]
    named = [layout for layout in good if not layout.numbers_alone]
    for layout in named or good:
        if any(_alike(layout, other) for other in chosen):
            continue
        if layout.kind != "files":
            alike = likeness_of_masks(layout)
            if alike is None or (layout.kind == "classes" and alike >= _SAME):
                doubtful += [layout] * (alike is not None and not doubtful)
                continue
        chosen.append(layout)
    return [*chosen[:4], *doubtful]


def likeness_of_masks(layout: Layout) -> float | None:
    """Return the mean IoU of two masks of an image, which is high if they are two opinions and not two parts.

    None where a mask holds more than black and one value, so that it is no part either.
    """
    several = [masks for _, masks in layout.together if len(masks) > 1]
    shares = []
    for masks in several[:: max(1, len(several) // _READ)][:_READ]:
        covered = []
        for mask in masks[:_READ]:
            pixels = reading(mask.path, read_mask_pixels)
            if len(np.unique(pixels.values.reshape(-1, *pixels.values.shape[2:]), axis=0)) > 2 and not pixels.lossy:
                return None
            covered.append(covered_by(pixels))
        for one, other in pairwise(covered):
            if one.shape != other.shape:
                return None
            either = (one | other).sum()
            shares.append(float((one & other).sum() / either) if either else 0.0)
    return float(np.mean(shares)) if shares else None


def _alike(one: Layout, other: Layout) -> bool:
    """Whether two layouts do not contradict each other: neither has an image or a mask for another partner."""
    if one.kind != other.kind:
        return True
    mine = {image.path: {mask.path for mask in masks} for image, masks in one.together}
    theirs = {image.path: {mask.path for mask in masks} for image, masks in other.together}
    if any(mine[path] != theirs[path] for path in mine.keys() & theirs.keys()):
        return False
    return not (one.masks & other.masks) or bool(one.images & other.images)


def _covered(layout: Layout, total: int) -> float:
    """Return the share of files that the pairs take, with less for what is left without a partner."""
    used = len(layout.images) + len(layout.masks)
    return round((used - 0.25 * (len(layout.lacking) + len(layout.left_over))) / max(1, total), 3)


def _length(layout: Layout) -> tuple[int, int]:
    text = "".join(str(value) for value in layout.options.values())
    of_splits = sum(isinstance(value, Mapping) for value in layout.options.values())
    wordy = 1000 * of_splits + 100 * text.count("*") + len(text)
    return ["files", "classes", "instances"].index(layout.kind), wordy


Place = tuple[tuple[str, ...], list[Path]]


def _of_names(root: Path, images: Place, masks: Place) -> Iterator[Layout]:
    """Yield layouts with one mask file for each image."""
    ways = [
        ({"images": _simple(root, images, rule.image), "masks": _simple(root, masks, rule.mask)}, rule)
        for rule in _rules(root, images, masks)
    ]
    for options, rule in [*ways, *((single, Rule()) for single in [_alone(images, masks)] if single is not None)]:
        matched = _matched(root, options, images[1], masks[1])
        if matched is not None and all(len(found) == 1 for _, found in matched.together):
            numbers = "" not in (rule.image[0], rule.mask[0]) and all(
                re.search(r"[^\W\d_]", image.key[-1]) is None for image, _ in matched.together
            )
            yield Layout(_plain(options), **vars(matched), numbers_alone=numbers)


def _of_several(root: Path, images: Place, masks: Place) -> Iterator[Layout]:
    """Yield layouts with several mask files for each image: one for each class, or for each object."""
    if len(masks[1]) < 2 or len(masks[1]) <= len(images[1]) // 2:
        return
    options = {"images": _simple(root, images, ("", "")), "masks": _simple(root, masks, ("", ""))}
    keyed = _keyed(root, options, images[1], masks[1])
    if keyed is None or options["images"] == options["masks"]:
        return
    own, others = keyed
    for classes in [*_class_names({image.key for image in own}, others), ()]:
        try:
            if classes:
                kind, (_, matched) = "classes", pair_classes(own, others, Labels(("background-of-all", *classes)))
            else:
                kind, (_, matched) = "instances", pair_instances(own, others, Labels(("background", "object")))
        except SegupError:
            continue
        if any(len(found) > 1 for _, found in matched.together):
            yield Layout({**_plain(options), "mask_kind": kind}, **vars(matched), classes=classes, kind=kind)


def _class_names(images: set[tuple[str, ...]], masks: Sequence[Found]) -> Iterator[tuple[str, ...]]:
    """Yield what may be names of classes: a folder that varies while the rest is an image's, or an end of the name."""
    depth = max((len(mask.key) for mask in masks), default=0)
    for place in range(depth - 1):
        found = [mask.key for mask in masks if len(mask.key) == depth]
        if all(image_key((*key[:place], *key[place + 1 :]), images) in images for key in found):
            words = sorted({key[place] for key in found})
            if 1 < len(words) <= _MOST_CLASSES:
                yield tuple(words)
    ends: set[str] = set()
    for mask in masks:
        parts = [mask.key[-1][place:] for place in range(1, len(mask.key[-1])) if mask.key[-1][place] in "_-. "]
        end = next((part for part in parts if (*mask.key[:-1], mask.key[-1].removesuffix(part)) in images), None)
        if end is None or end[1:].isdecimal():
            ends.clear()
            break
        ends.add(end[1:])
    if 1 < len(ends) <= _MOST_CLASSES:
        yield tuple(sorted(ends))
    if masks and all(mask.key[:-1] in images for mask in masks):
        words = sorted({mask.key[-1] for mask in masks})
        if 1 < len(words) <= _MOST_CLASSES and not all(word.isdecimal() for word in words) and len(words) < len(masks):
            yield tuple(words)


def _rules(root: Path, images: Place, masks: Place) -> list[Rule]:
    places: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}
    for which, (folder, files) in enumerate((images, masks)):
        for path in files:
            places.setdefault(_captured(_folder(path, root), folder), ([], []))[which].append(path.stem)
    return rules(list(islice((names for names in places.values() if all(names)), 50)))


def _alone(images: Place, masks: Place) -> dict[str, str] | None:
    """Return patterns without a wildcard in the name, where each folder has one image and one mask of fixed names."""
    stems = [{path.stem for path in files} for _, files in (images, masks)]
    if any(len(found) != 1 for found in stems) or "*" not in "".join(images[0]) or len(images[1]) < 2:
        return None
    places = []
    for folder, files in (images, masks):
        extensions = {path.suffix for path in files}
        name = next(iter(files)).stem + (next(iter(extensions)) if len(extensions) == 1 else ".*")
        places.append("/".join((*folder, name)))
    return {"images": places[0], "masks": places[1]}


def _simple(root: Path, place: Place, affixes: tuple[str, str]) -> str:
    """Return a folder where that says it all, else a pattern."""
    folder, files = place
    extensions = {path.suffix for path in files}
    if "*" not in "".join(folder) and affixes == ("", ""):
        inside = {path for path in (root / Path(*folder)).iterdir() if path.is_file() and not path.name.startswith(".")}
        pictures = {path for path in inside if path.suffix.lower() in {one.lower() for one in extensions}}
        if pictures == set(files) and len(pictures) == len(inside):
            return "/".join(folder) or "."
    return pattern(folder, affixes, next(iter(extensions)) if len(extensions) == 1 else ".*")


def _plain(options: Mapping[str, str]) -> dict[str, Any]:
    """Leave out what is the default."""
    return {key: value for key, value in options.items() if value != key}


def _matched(root: Path, options: Mapping[str, str], images: list[Path], masks: list[Path]) -> Matched | None:
    keyed = _keyed(root, options, images, masks)
    if keyed is None:
        return None
    try:
        return match(*keyed)
    except SegupError:
        return None


def _keyed(
    root: Path, options: Mapping[str, str], images: list[Path], masks: list[Path]
) -> tuple[list[Found], list[Found]] | None:
    found = []
    for place, files in ((options["images"], images), (options["masks"], masks)):
        own = Pattern(place if "*" in place else f"{place}/*".removeprefix("./"))
        keys = [(path, own.key(path.relative_to(root).as_posix())) for path in files]
        # the split is part of the key here: what is matched in each split is matched
        found.append([Found(path, (*filter(None, key[1:]), *key[0]), key[1]) for path, key in keys if key is not None])
    splits = [{one.split for one in some} for some in found]
    if splits[0] != {None} and splits[1] == {None}:
        found[0] = [Found(one.path, one.key[1:], one.split) for one in found[0]]
    return (found[0], found[1]) if all(found) else None


def _within(root: Path, files: Sequence[Path], folder: tuple[str, ...]) -> list[Path]:
    return [
        path
        for path in files
        if len(parts := _folder(path, root)) == len(folder)
        and all(_stands_for(*both) is not None for both in zip(folder, parts, strict=True))
    ]


def _captured(parts: tuple[str, ...], folder: tuple[str, ...]) -> tuple[str, ...]:
    wild = [_stands_for(one, part) or "" for one, part in zip(folder, parts, strict=True) if "*" in one]
    return tuple(split_of(part) or part for part in wild)


def _stands_for(one: str, part: str) -> str | None:
    """Return what a star in a folder's name stands for, all of it where there is none; None for another folder.

    >>> _stands_for("*_GT", "01_GT"), _stands_for("a", "a"), _stands_for("*_GT", "01")
    ('01', 'a', None)
    """
    before, star, after = one.partition("*")
    if not star:
        return part if one == part else None
    fits = part.startswith(before) and part.endswith(after) and len(part) > len(before) + len(after)
    return part[len(before) : len(part) - len(after)] if fits else None


def _folder(path: Path, root: Path) -> tuple[str, ...]:
    return path.parent.relative_to(root).parts
