"""From a folder to the options that read it, and to what is worth knowing about it."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from segup.data.config import create_data
from segup.data.discover.layouts import Layout, alternatives, layouts
from segup.data.discover.look import Looked, clusters, distance, divided, likeness, look_at_all
from segup.data.discover.outlines import outline_layouts
from segup.data.discover.side_files import class_colors, class_names, split_lists
from segup.data.discover.splits import splits_in_names, told_of_folders
from segup.data.discover.values import Meaning, meaning
from segup.data.files import IMAGE_SUFFIXES
from segup.data.headers import read_header
from segup.data.layout.patterns import Found, Pattern, walk
from segup.errors import DataError, SegupError
from segup.overrides import pasted
from segup.tables import counted, first_of

Told = Callable[[str], Callable[[Iterator[Looked], int], Iterator[Looked]]]
"""Of what is done, how it is shown while it goes on."""

_MAY_HOLD_OUTLINES = (".xml", ".json", ".csv", ".mat", ".svg", ".geojson")
_OF_CLUSTER = 4
_MOST_CLUSTERS = 600
_EMPTY = 0.999
_CROP = 256


@dataclass(frozen=True)
class Scanned:
    """The files of a folder: pictures, texts that may say something, and others."""

    pictures: tuple[Path, ...]
    texts: tuple[Path, ...]
    foreign: tuple[Path, ...]

    @property
    def others(self) -> Mapping[str, int]:
        """How many there are of each other extension."""
        return Counter(path.suffix.lower() or "without extension" for path in self.foreign)


@dataclass(frozen=True)
class Choice:
    """One way to read a folder.

    Attributes:
        config: The data configuration, with ``name`` and ``root``.
        layout: Which image has which mask.
        images, masks: What was seen of some of them.
        meaning: What the masks hold.
        splits: The number of pairs of each split.
        twins: Images of different splits that are nearly the same.
        told: What is worth knowing, in sentences.
    """

    config: Mapping[str, Any]
    layout: Layout
    images: tuple[Looked, ...]
    masks: tuple[Looked, ...]
    meaning: Meaning
    splits: Mapping[str, int] = field(default_factory=dict)
    twins: tuple[tuple[Path, Path], ...] = ()
    told: tuple[str, ...] = ()


def scan(root: Path) -> Scanned:
    """Return the files of a folder, at any depth.

    Raises:
        DataError: It is no folder, or holds no picture.
    """
    if not root.is_dir():
        raise DataError(f"{root}: a file, where a folder is wanted" if root.exists() else f"{root}: no such folder")
    pictures, texts, foreign = [], [], []
    for folder, names in walk(root):
        for name in names:
            suffix = os.path.splitext(name)[1].lower()
            if suffix in IMAGE_SUFFIXES:
                pictures.append(folder / name)
            elif suffix in (".json", ".txt", ".csv", ".yaml", ".yml", ".names", ".lst", ".tsv"):
                texts.append(folder / name)
            else:
                foreign.append(folder / name)
    if not pictures:
        raise DataError(f"{root}: no image files ({', '.join(IMAGE_SUFFIXES)})")
    return Scanned(tuple(sorted(pictures)), tuple(sorted(texts)), tuple(sorted(foreign)))


def discover(root: Path, scanned: Scanned, sample: int, processes: int, told: Told) -> list[Choice]:
    """Return the ways in which the folder can be read: one, or several where it is ambiguous.

    Args:
        root: The folder.
        scanned: Its files.
        sample: Of how many images and masks the values are read.
        processes: At most so many read.
        told: Shows how far it is.

    Raises:
        DataError: There are no masks, or none belongs to an image.
    """
    names, colors = class_names(scanned.texts), class_colors(scanned.texts)
    drawn = outline_layouts(root, scanned.pictures, scanned.texts, names)
    found: list[Layout] = []
    if not drawn or len(drawn[0].together) < len(scanned.pictures) // 3:
        images, masks = _roles(root, scanned.pictures, processes, told)
        if masks and images:
            found = alternatives(layouts(root, images, masks))
        elif not drawn:
            raise DataError(f"{root}: {_of_one_kind(root, scanned, 'images' if images else 'masks')}")
    outlines = [layout for layout in drawn if layout.kind == drawn[0].kind]
    found = sorted([*outlines, *found], key=lambda layout: -len(layout.together))
    least = min(2, len(scanned.pictures) // 2)  # one pair among many pictures is no rule
    found = [layout for layout in found if len(layout.together) >= max(least, 0.8 * len(found[0].together))]
    if not found:
        raise DataError(
            f"{root}: {counted(len(images), 'image')}, such as {images[0].relative_to(root)}, and "
            f"{counted(len(masks), 'mask')}, such as {masks[0].relative_to(root)}: "
            f"no rule makes pairs of their names.\n"
            f"  try: 'data.images=PATTERN' 'data.masks=PATTERN', in which * stands for the same"
        )
    return [_chosen(root, layout, scanned, sample, processes, told, names, colors) for layout in found]


def _of_one_kind(root: Path, scanned: Scanned, kind: str) -> str:
    """Return what to do with pictures that all look like images, or all like masks."""
    other = {"images": "masks", "masks": "images"}[kind]
    said = f"{len(scanned.pictures)} pictures, and all look like {kind}: there are no {other}"
    pages = [path for path in scanned.pictures[:9] if path.suffix.lower() in (".tif", ".tiff")]
    several = [(path, count) for path in pages if (count := read_header(path).channels) > 4]
    foreign = [path for path in (*scanned.foreign, *scanned.texts) if path.suffix.lower() in _MAY_HOLD_OUTLINES]
    if several:
        path, count = several[0]
        return (
            f"{said}. {path.relative_to(root)} has {count} pages: they are the channels of one image.\n"
            f"  try: a file for each page, if each is an image: docs/data.md has the lines that write them"
        )
    if foreign:
        return (
            f"{said} that segup reads. Outlines may be in {foreign[0].relative_to(root)} (.xml, .csv, .mat or .json), "
            f"but are read from COCO, LabelMe and YOLO alone.\n"
            f"  try: a mask file for each image, in a folder of its own, or export as COCO, with polygons or masks"
        )
    return f"{said}.\n  try: segup train data=folder {pasted('data.root', root)} data.images=FOLDER data.masks=FOLDER"


def _roles(root: Path, pictures: Sequence[Path], processes: int, told: Told) -> tuple[list[Path], list[Path]]:
    of_cluster = clusters(pictures, root)
    most = _OF_CLUSTER if len(of_cluster) <= _MOST_CLUSTERS // _OF_CLUSTER else 1
    some = {cluster: _evenly(files, most) for cluster, files in of_cluster.items()}
    looked = look_at_all([path for files in some.values() for path in files], processes, told("looking at pictures"))
    seen = {one.path: one for one in looked}
    scores = {cluster: likeness(cluster, [seen[path] for path in files]) for cluster, files in some.items()}
    return divided(scores, of_cluster)


def _chosen(
    root: Path, layout: Layout, scanned: Scanned, sample: int, processes: int, told: Told,
    names: Sequence[str], colors: Mapping[int, str],
) -> Choice:  # fmt: skip
    images = look_at_all(_evenly(sorted(layout.images), sample), processes, told("reading images"))
    masks: list[Looked] = []
    if layout.kind in ("files", "instances", "classes"):
        masks = look_at_all(_evenly(sorted(layout.masks), sample), processes, told("reading masks"))
    meant = _meaning(layout, masks, names, colors)
    config: dict[str, Any] = {"name": "folder", "root": str(root), **layout.options, **meant.options}
    lists = split_lists(root, scanned.texts, [image for image, _ in layout.together])
    one_place = isinstance(config.get("images", ""), str) and not any(image.split for image, _ in layout.together)
    if lists and one_place:
        config["lists"] = lists
    else:
        every = (*(image for image, _ in layout.together), *layout.lacking)
        config |= splits_in_names(every, layout.options) if one_place and layout.kind == "files" else {}
        strays = _strays(root, scanned.pictures, layout, config)
        config |= {"skip_unmatched": True} if layout.lacking or layout.left_over or strays else {}
    config |= _of_images(images)
    choice = Choice(config, layout, tuple(images), tuple(masks), meant)
    if meant.unreadable is not None:
        return choice
    try:  # all that training checks before it begins
        data = create_data({**config, "num_workers": 0})
        data.setup("fit")
        pairs = {split: list(data.samples(split).pairs) for split in ("train", "val")}
    except SegupError as fault:
        return replace(choice, meaning=replace(meant, unreadable=str(fault)))
    if "test" in data.source.splits():
        try:
            pairs["test"] = data.source.pairs("test")
        except SegupError as fault:
            choice = replace(choice, told=(f"the test images cannot be used: {str(fault).splitlines()[0]}",))
    if one_place and not lists and isinstance(config.get("images", ""), str):
        choice = replace(choice, told=(*choice.told, *told_of_folders([image for image, _ in layout.together])))
    prints = {one.path: one.print for one in images if one.print is not None}
    printed = {
        split: [(pair.image, prints[pair.image]) for pair in own if pair.image in prints]
        for split, own in pairs.items()
    }
    near = twins(printed)
    return replace(choice, splits={split: len(own) for split, own in pairs.items()}, twins=tuple(near))


def _strays(root: Path, pictures: Sequence[Path], layout: Layout, config: Mapping[str, Any]) -> list[Path]:
    """Return pictures that are in no pair though a pattern means them, such as a second mask among the images."""
    texts = [text for key in ("images", "masks") if isinstance(text := config.get(key, key), str) and "*" in text]
    used = layout.images | layout.masks
    rest = [path for path in pictures if path not in used]
    return [path for path in rest if any(Pattern(text).key(path.relative_to(root).as_posix()) for text in texts)]


def near_empty(masks: Sequence[Looked]) -> list[Path]:
    """Return masks that hold nearly one value alone."""
    return [
        mask.path for mask in masks if mask.values and max(mask.values.values()) >= _EMPTY * mask.size[0] * mask.size[1]
    ]


def _meaning(layout: Layout, masks: Sequence[Looked], names: Sequence[str], colors: Mapping[int, str]) -> Meaning:
    if layout.kind in ("coco", "labelme", "yolo"):
        named = not any(name.startswith("class_") for name in layout.classes)
        said = () if named else ("the classes have no names here: they are called class_0, class_1, …",)
        return Meaning({"classes": list(layout.classes)}, {}, said)
    if layout.kind == "files":
        return meaning(masks, names, colors)
    seen = meaning(masks)
    if layout.kind == "classes":
        return Meaning({"classes": ["background", *layout.classes]}, seen.shares)
    told = "the files of an image are taken for its objects: what is not black is class 1"
    return Meaning({"classes": ["background", "object"]}, seen.shares, (told,))


def _of_images(images: Sequence[Looked]) -> dict[str, Any]:
    """Return the options that follow from the images: their channels, and crops that are no larger than they."""
    seen = [image for image in images if image.fault is None]
    if not seen:
        return {}
    options: dict[str, Any] = {}
    channels = Counter(image.channels for image in seen).most_common(1)[0][0]
    if channels not in (1, 2, 3, 4) or (channels == 4 and all(image.path.suffix.lower() == ".npy" for image in seen)):
        options["in_channels"] = channels
    height, width = (int(np.median([image.size[side] for image in seen])) for side in (0, 1))
    if min(height, width) < _CROP:
        options["crop_size"] = [min(_CROP, height), min(_CROP, width)]
    return options


def _evenly(files: Sequence[Path], count: int) -> list[Path]:
    """Return at most so many files, evenly spaced."""
    chosen = np.unique(np.linspace(0, len(files) - 1, min(count, len(files))).astype(int))
    return [files[int(number)] for number in chosen]


def examples(found: Sequence[Found], root: Path) -> str:
    """Return the first paths of some files as text."""
    shown = [one.path.relative_to(root).as_posix() if one.path.is_relative_to(root) else str(one.path) for one in found]
    return first_of(shown, 3)


NEAR = 3
"""Bits of 64 in which prints of nearly the same picture differ at most."""


def twins(splits: Mapping[str, Sequence[tuple[Path, int]]]) -> list[tuple[Path, Path]]:
    """Return pairs of images of different splits whose prints are nearly the same.

    Args:
        splits: Of each split, images with their prints.

    >>> twins({"train": [(Path("a"), 7), (Path("b"), 0)], "val": [(Path("c"), 6)]})
    [(PosixPath('a'), PosixPath('c')), (PosixPath('b'), PosixPath('c'))]
    """
    return [
        (image, twin)
        for one, other in combinations(splits.values(), 2)
        for image, own in one
        for twin, print_of_twin in other
        if distance(own, print_of_twin) <= NEAR
    ]
