"""Outlines of objects beside images: COCO's and LabelMe's JSON, YOLO's text."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from segup.data.discover.layouts import Layout
from segup.data.discover.names import templates
from segup.data.drawn.coco import is_coco
from segup.data.drawn.outlines import read_foreign_json
from segup.data.layout.matching import match
from segup.data.layout.patterns import Found, Pattern, split_of
from segup.data.sets import SPLITS
from segup.errors import SegupError
from segup.stored import read_text

_TRIED = 5


def outline_layouts(root: Path, images: Sequence[Path], files: Sequence[Path], names: Sequence[str]) -> list[Layout]:
    """Return the layout of outlines that are found, if any.

    Args:
        root: The folder.
        images: All pictures in it.
        files: JSON and text files.
        names: Of classes, if something in the folder says them.
    """
    jsons = [file for file in files if file.suffix.lower() == ".json"]
    texts = [file for file in files if file.suffix.lower() == ".txt"]
    found = [*_cocos(root, images, jsons), _labelme(root, images, jsons), _yolo(root, images, texts, names)]
    return [layout for layout in found if layout is not None and layout.together]


def _cocos(root: Path, images: Sequence[Path], files: Sequence[Path]) -> Iterator[Layout | None]:
    """Yield the layout of each file of COCO, files of several splits as one: instances_train and instances_val."""
    alike: dict[str, dict[Path, Any]] = {}
    for file in files if len(files) <= 3 * _TRIED else ():
        try:
            content = read_foreign_json(file)
        except SegupError:
            continue
        some = content["annotations"][:50] if is_coco(content) else []
        if any("segmentation" in one for one in some if isinstance(one, dict)):
            name = re.sub("[A-Za-z]+", lambda word: "{}" if split_of(word[0]) else word[0], str(file.relative_to(root)))
            alike.setdefault(name, {})[file] = content
    for found in alike.values():
        yield _coco(root, images, found)


def _coco(root: Path, images: Sequence[Path], found: Mapping[Path, Any]) -> Layout | None:
    classes: list[str] = []
    by_name: dict[str, list[Path]] = {}
    for image in images:
        by_name.setdefault(image.name, []).append(image)
    together: list[tuple[Found, tuple[Found, ...]]] = []
    folders: dict[Path, set[str]] = {}
    for file, content in found.items():
        used = {one.get("category_id") for one in content["annotations"]}
        ordered = sorted(content["categories"], key=lambda one: (not isinstance(one.get("id"), int), one.get("id")))
        every = [str(one.get("name")) for one in ordered if one.get("id") in used or len(ordered) < 30]
        every += [str(one.get("name")) for one in ordered if str(one.get("name")) not in every]
        classes += [name for name in every if name not in classes]
        for one in content["images"]:
            name = PurePosixPath(str(one.get("file_name"))).name
            chosen = _image(by_name.get(name, []), str(one.get("file_name")), file, root)
            if chosen is not None:
                together.append((Found(chosen, (name,)), (Found(file, (name,)),)))
                folders.setdefault(file, set()).add(chosen.parent.relative_to(root).as_posix())
    names = ["background", *(name for name in classes if name.lower() != "background")]
    splits = {_split(file, root): file for file in found}
    options: dict[str, Any]
    if len(found) > 1 and len(splits) == len(found) and None not in splits and all(file in folders for file in found):
        ordered_splits = {split: splits[split] for split in SPLITS if split in splits}
        options = {
            "images": {split: _common(folders[file]) for split, file in ordered_splits.items()},
            "masks": {split: file.relative_to(root).as_posix() for split, file in ordered_splits.items()},
        }
    elif len(found) == 1:
        file = next(iter(found))
        options = {"images": _common(folders.get(file, {"."})), "masks": file.relative_to(root).as_posix()}
    else:
        return None
    taken = {one.path for one, _ in together}
    places = {place for some in folders.values() for place in some}
    inside = [path for path in images if path.parent.relative_to(root).as_posix() in places]
    lacking = tuple(Found(path, (path.stem,)) for path in inside if path not in taken)
    return Layout(options, tuple(together), lacking, (), tuple(names), "coco")


def _image(named: Sequence[Path], path: str, file: Path, root: Path) -> Path | None:
    """Return the image that a file of COCO means, of those with its name: one beside it, of its split, at its path."""
    split = _split(file, root)
    return max(
        named,
        key=lambda image: (
            image.is_relative_to(file.parent),
            _split(image.parent, root) == split,
            image.as_posix().endswith(f"/{path}"),
        ),
        default=None,
    )


def _labelme(root: Path, images: Sequence[Path], files: Sequence[Path]) -> Layout | None:
    labels: set[str] = set()
    chosen = []
    for file in files:
        try:
            content = read_foreign_json(file)
        except SegupError:
            continue
        if isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imageHeight" in content:
            chosen.append(file)
            labels |= {str(shape.get("label")) for shape in content["shapes"] if isinstance(shape, dict)}
    layout = _beside(root, images, chosen, ".json", "labelme")
    names = tuple(sorted(name for name in labels if name.lower() not in ("background", "_background_")))
    return None if layout is None else replace(layout, classes=("background", *names))


def _yolo(root: Path, images: Sequence[Path], files: Sequence[Path], names: Sequence[str]) -> Layout | None:
    highest, chosen = -1, []
    stems = {image.stem for image in images}
    for file in files:
        if file.stem not in stems:
            continue
        found = _yolo_classes(file)
        if found is not None:
            chosen.append(file)
            highest = max([highest, *found])
    if highest < 0:
        return None
    layout = _beside(root, images, chosen, ".txt", "yolo")
    objects = list(names) if len(names) > highest else [f"class_{index}" for index in range(highest + 1)]
    if layout is None:
        return None
    return replace(layout, options={**layout.options, "mask_kind": "yolo"}, classes=("background", *objects))


def _yolo_classes(file: Path) -> set[int] | None:
    """Return the classes of a YOLO file, or None for any other text."""
    found = set()
    try:
        for line in read_text(file).splitlines():
            words = line.split()
            if words:
                numbers = [float(word) for word in words[1:]]
                if not words[0].isdecimal() or len(numbers) < 6 or len(numbers) % 2 or max(map(abs, numbers)) > 1.5:
                    return None
                found.add(int(words[0]))
    except (SegupError, ValueError):
        return None
    return found


def _beside(root: Path, images: Sequence[Path], files: Sequence[Path], extension: str, kind: str) -> Layout | None:
    """Return the best layout of one text file for each image."""
    best: Layout | None = None
    for image_place in _places(root, images):
        for file_place in _places(root, files):
            found = []
            for paths, place in ((images, image_place), (files, file_place)):
                own = Pattern(place)
                keys = [(path, own.key(path.relative_to(root).as_posix())) for path in paths]
                found.append([Found(path, (key[1] or "", *key[0]), key[1]) for path, key in keys if key is not None])
            try:
                matched = match(*found)
            except SegupError:
                continue
            if best is None or len(matched.together) > len(best.together):
                options = {
                    "images": image_place,
                    "masks": file_place.removesuffix(".*").removesuffix(extension) + extension,
                }
                best = Layout(options, matched.together, matched.lacking, matched.left_over, (), kind)
    return best


def _places(root: Path, paths: Sequence[Path]) -> Iterator[str]:
    extensions = {path.suffix for path in paths}
    for folder in templates(path.parent.relative_to(root).parts for path in paths):
        yield "/".join((*folder, f"*{next(iter(extensions)) if len(extensions) == 1 else '.*'}"))


def _split(file: Path, root: Path) -> str | None:
    words = re.findall(r"[a-z]+", file.relative_to(root).as_posix().lower())
    return next((split for word in reversed(words) if (split := split_of(word))), None)


def _common(folders: set[str]) -> str:
    """Return the one folder, or a pattern of all files below what several share."""
    return next(iter(folders)) if len(folders) == 1 else str(PurePosixPath(os.path.commonpath(folders), "**", "*"))
