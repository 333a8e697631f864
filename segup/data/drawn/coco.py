"""Outlines as COCO's JSON holds them: one file for many images, polygons and run lengths, read by pycocotools."""

import importlib
from collections.abc import Hashable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from segup.conform import short
from segup.data.drawn import DrawnMask
from segup.data.drawn.outlines import read_foreign_json
from segup.data.headers import Header
from segup.data.labels import Labels
from segup.data.layout.matching import Matched
from segup.data.layout.patterns import Found, inside
from segup.data.mask_files import MaskPixels
from segup.data.pairs import Pair
from segup.errors import ConfigError, DataError
from segup.overrides import pasted
from segup.tables import counted, first_of

_LEAST = 6
"""Numbers of a polygon: three corners."""


@dataclass(frozen=True)
class Coco(DrawnMask):
    """The annotations of one image, in the order of the file, later ones on top.

    Attributes:
        path: The JSON file.
        shape: (height, width) of the image.
        objects: The class id and the segmentation of each annotation.
    """

    path: Path
    shape: tuple[int, int]
    objects: tuple[tuple[int, Any], ...] = field(hash=False, repr=False)

    def __str__(self) -> str:
        return str(self.path)

    def header(self) -> Header:
        """Return the size that the file gives."""
        return Header(*self.shape, 1, np.dtype(np.uint8))

    def pixels(self) -> MaskPixels:
        """Draw the annotations."""
        drawn = np.zeros(self.shape, np.uint16)
        for index, segmentation in self.objects:
            drawn[_covered(segmentation, self.shape, self.path)] = index
        return MaskPixels(drawn)


def pair_coco(
    images: Sequence[Found], files: Sequence[Found], labels: Labels, root: Path
) -> tuple[list[Pair], Matched]:
    """Pair images with their annotations. A category is the class of its name; what no annotation covers is class 0.

    Args:
        images: Image files.
        files: JSON files.
        labels: The classes.
        root: The folder that no path of the JSON leaves.

    Raises:
        ConfigError: A category is no class, or pycocotools is not installed.
        DataError: A file is no COCO file, or names an image twice; an annotation draws nothing, or is of no image or
            category of the file.
    """
    _pycocotools()
    by_path: dict[str, list[Found]] = {}
    for image in images:
        parts = image.path.relative_to(root).as_posix().split("/")
        for start in range(len(parts)):
            by_path.setdefault("/".join(parts[start:]), []).append(image)
    pairs: dict[Path, Pair] = {}
    left_over = []
    for file in files:
        content = read_foreign_json(file.path)
        listed = _check(content, file.path)
        classes = _classes(content["categories"], labels, file.path)
        _check_annotations(content["annotations"], {"image_id": listed, "category_id": classes}, file.path)
        objects: dict[Any, list[tuple[int, Any]]] = {}
        for one in content["annotations"]:
            objects.setdefault(one["image_id"], []).append((classes[one["category_id"]], one["segmentation"]))
        for number, (name, shape) in listed.items():
            inside(root, name, f"{file.path}: file_name")
            found = by_path.get(str(PurePosixPath(name))) or by_path.get(PurePosixPath(name).name) or []
            if len(found) > 1:
                raise DataError(
                    f"{file.path}: '{name}' may be {found[0].path} or {found[1].path}.\n"
                    f"  try: a narrower data.images=..., or data.images={{train: ..., val: ...}}"
                )
            if not found:
                left_over.append(Found(Path(name), (name,)))
                continue
            image = found[0]
            if image.path in pairs:
                raise DataError(f"{file.path}: '{name}' is listed twice, here or in another file")
            pairs[image.path] = Pair(image.path, Coco(file.path, shape, tuple(objects.get(number, ()))), image.name)
    together = [pairs[image.path] for image in images if image.path in pairs]
    lacking = tuple(image for image in images if image.path not in pairs)
    return together, Matched(
        tuple((image, (image,)) for image in images if image.path in pairs), lacking, tuple(left_over)
    )


def is_coco(content: Any) -> bool:
    """Whether JSON is laid out as COCO's: lists of images, annotations and categories."""
    keys = ("images", "annotations", "categories")
    return isinstance(content, Mapping) and all(isinstance(content.get(key), list) for key in keys)


def _check(content: Any, path: Path) -> dict[Any, tuple[str, tuple[int, int]]]:
    """Return the name and the size of each image, by its id."""
    if not is_coco(content):
        raise DataError(f"{path}: no COCO file: it needs lists of images, annotations and categories")
    listed = {}
    for kind in ("images", "annotations", "categories"):
        if not all(isinstance(one, Mapping) for one in content[kind]):
            raise DataError(f"{path}: '{kind}' holds what is no object")
    for one in content["images"]:
        name, shape = one.get("file_name"), (one.get("height"), one.get("width"))
        if not isinstance(name, str) or not all(isinstance(side, int) and 0 < side < 2**20 for side in shape):
            raise DataError(f"{path}: an image needs a file_name, a height and a width: {str(dict(one))[:80]}")
        listed[one.get("id")] = (name, shape)
    return listed


def _classes(categories: Sequence[Mapping[str, Any]], labels: Labels, path: Path) -> dict[Any, int]:
    known = {name.lower(): index for index, name in enumerate(labels.names)}
    found = {}
    absent = []
    for category in categories:
        name = str(category.get("name", "")).strip()
        if name.lower() in known:
            found[category.get("id")] = known[name.lower()]
        else:
            absent.append(name)
    if absent:
        names = [name for name in labels.names if name.lower() == "background"] or ["background"]
        every = [*names, *(str(category.get("name")) for category in categories)]
        raise ConfigError(
            f"{path}: category '{absent[0]}' is none of data.classes ({', '.join(labels.names)}).\n"
            f"  try: {pasted('data.classes', every)}"
        )
    return found


def _check_annotations(
    annotations: Sequence[Mapping[str, Any]], known: Mapping[str, Mapping[Any, Any]], path: Path
) -> None:
    """Raise a DataError for annotations that would be lost: of no image or category, or of nothing that is drawn.

    Args:
        annotations: All of the file.
        known: The ids that "image_id" and "category_id" may have.
        path: The file.
    """
    for key, ids in known.items():
        strange = [one for one in annotations if not _is_one_of(one.get(key), ids)]
        if strange:
            raise DataError(
                f"{path}: the {key} of {len(strange)} of {counted(len(annotations), 'annotation')} is none of the "
                f"file's: {short(strange[0].get(key))} (these are: {first_of(map(short, ids), 3)}).\n"
                f"  try: the same ids in all lists (1 and '1' are two), or the file without these annotations"
            )
    empty = [one for one in annotations if not _draws(one.get("segmentation"))]
    if empty:
        raise DataError(
            f"{path}: there is no outline in {len(empty)} of {counted(len(annotations), 'annotation')}, the first of "
            f"image_id {short(empty[0]['image_id'])}: boxes are none, nor are polygons below {_LEAST} numbers.\n"
            f"  try: an export with polygons or masks, or the file without these annotations"
        )


def _is_one_of(value: Any, ids: Mapping[Any, Any]) -> bool:
    return isinstance(value, Hashable) and value in ids


def _draws(segmentation: Any) -> bool:
    """Whether something may be drawn; whether it can be is found when it is."""
    if not isinstance(segmentation, list):
        return bool(segmentation)
    return any(not isinstance(ring, Sized) or len(ring) >= _LEAST for ring in segmentation)


def _covered(segmentation: Any, shape: tuple[int, int], path: Path) -> np.ndarray:
    """Return where an annotation lies."""
    coco = _pycocotools()
    try:
        if isinstance(segmentation, list):
            runs = coco.merge(coco.frPyObjects([ring for ring in segmentation if len(ring) >= _LEAST], *shape))
        elif isinstance(segmentation["counts"], list):
            runs = coco.frPyObjects(segmentation, *shape)
        else:
            runs = {"size": segmentation["size"], "counts": str(segmentation["counts"]).encode()}
        size = tuple(runs["size"])
        covered: np.ndarray = coco.decode(runs).astype(bool) if size == shape else np.zeros(0, bool)
    except (TypeError, KeyError, ValueError) as cause:
        raise DataError(f"{path}: a segmentation is neither polygons nor run lengths ({cause})") from cause
    if covered.shape != shape:
        raise DataError(f"{path}: run lengths of size {list(size)} for an image of {list(shape)} (height, width)")
    return covered


def _pycocotools() -> Any:
    try:
        return importlib.import_module("pycocotools.mask")
    except ImportError:
        raise ConfigError("COCO files are read by pycocotools.\n  try: pip install 'segup[coco]'") from None
