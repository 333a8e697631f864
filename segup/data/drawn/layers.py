"""One mask file for each object of an image, or one for each class."""

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from segup.data.drawn import DrawnMask
from segup.data.files import check_whole, reading
from segup.data.headers import Header, read_header
from segup.data.labels import Labels
from segup.data.layout.matching import Matched, match
from segup.data.layout.patterns import Found
from segup.data.mask_files import MaskPixels, read_mask_pixels
from segup.data.pairs import Pair
from segup.errors import ConfigError, DataError


@dataclass(frozen=True)
class Layers(DrawnMask):
    """Files of one size, one over the other: what is not black in a file has the file's class.

    Attributes:
        layers: The class id and the file, the lowest first.
    """

    layers: tuple[tuple[int, Path], ...]

    def __str__(self) -> str:
        first = self.layers[0][1]
        return str(first) if len(self.layers) == 1 else f"{first} and {len(self.layers) - 1} more"

    def header(self) -> Header:
        """Return the header that all files share."""
        headers = [read_header(path) for _, path in self.layers]
        for (_, path), header in zip(self.layers, headers, strict=True):
            check_whole(path)
            if header.size != headers[0].size:
                sizes = [f"{one.size[0]}×{one.size[1]}" for one in (headers[0], header)]
                raise DataError(
                    f"{path}: the mask is {sizes[1]} (height × width), and {self.layers[0][1]} of the same image is "
                    f"{sizes[0]}; they must be equal"
                )
        return headers[0]

    def pixels(self) -> MaskPixels:
        """Draw the files one over the other."""
        drawn: np.ndarray | None = None
        for index, path in self.layers:
            covered = covered_by(reading(path, read_mask_pixels))
            drawn = np.zeros(covered.shape, np.uint16) if drawn is None else drawn
            if covered.shape != drawn.shape:
                raise DataError(f"{path}: the mask is {covered.shape}, others of its image are {drawn.shape}")
            drawn[covered] = index
        assert drawn is not None
        return MaskPixels(drawn)


def pair_instances(images: Sequence[Found], masks: Sequence[Found], labels: Labels) -> tuple[list[Pair], Matched]:
    """Pair each image with the files of its objects; what is not black in any of them is class 1.

    A mask belongs to the image that has its name, to the image that its folder is called after or that is alone in the
    place of its folder, or to the image whose name it has before a number (``7_1.png`` to ``7.png``).

    Raises:
        ConfigError: There are more classes than a background and one object.
    """
    if labels.num_classes != 2:
        raise ConfigError(
            f"data.mask_kind=instances draws every object as class 1, and there are {labels.num_classes} classes: "
            f"{', '.join(labels.names)}.\n  try: data.classes=[background,object]"
        )
    folders: dict[tuple[str, ...], list[Found]] = {}
    for image in images:
        folders.setdefault(image.key[:-1], []).append(image)
    alone = {folder: found[0].key for folder, found in folders.items() if folder and len(found) == 1}
    names = {image.key for image in images}
    moved = [replace(mask, key=_image_of(mask.key, names, alone)) for mask in masks]
    matched = match(images, moved)
    return [_pair(image, [(1, mask.path) for mask in found]) for image, found in matched.together], matched


def pair_classes(images: Sequence[Found], masks: Sequence[Found], labels: Labels) -> tuple[list[Pair], Matched]:
    """Pair each image with a file for each class, which a folder or an end of the name (``7_leaf.png``) names.

    In a folder of a class, the name may have a word after its image's.

    Where files of two classes cover a pixel, the later one of ``data.classes`` is on top.

    Raises:
        DataError: A file names no class, or two files of an image name the same.
    """
    known = {name.lower(): index for index, name in enumerate(labels.names)}
    names = {image.key for image in images}
    classed = [_classed(mask, known, names) for mask in masks]
    of_path = {mask.path: index for mask, index in classed}
    matched = match(images, [mask for mask, _ in classed])
    pairs = []
    for image, found in matched.together:
        layers = sorted((of_path[mask.path], mask.path) for mask in found)
        for (one, first), (other, second) in pairwise(layers):
            if one == other:
                raise DataError(
                    f"{image.path} has two masks of class '{labels.names[one]}': {first} and {second}.\n"
                    f"  try: a narrower data.masks=..."
                )
        pairs.append(_pair(image, layers))
    return pairs, matched


def image_key(key: tuple[str, ...], names: Container[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the key of a mask's image where the mask's name has a word more: ``7_EX`` for the image ``7``."""
    if key in names:
        return key
    shorter = (*key[:-1], re.sub(r"[_\-. ][A-Za-z]+$", "", key[-1]))
    return shorter if shorter in names else key


def _pair(image: Found, layers: Iterable[tuple[int, Path]]) -> Pair:
    return Pair(image.path, Layers(tuple(layers)), image.name)


def _image_of(
    key: tuple[str, ...], names: set[tuple[str, ...]], alone: dict[tuple[str, ...], tuple[str, ...]]
) -> tuple[str, ...]:
    if key in names:
        return key
    if key[:-1] in names:
        return key[:-1]
    if key[:-1] in alone:
        return alone[key[:-1]]
    stem = key[-1].rstrip("0123456789").rstrip("_- ")
    return (*key[:-1], stem)


def _classed(mask: Found, known: dict[str, int], names: Container[tuple[str, ...]]) -> tuple[Found, int]:
    """Return a mask without what names its class in its key, and the class id."""
    *folders, name = mask.key
    for place, folder in enumerate(folders):
        if folder.lower() in known:
            key = image_key((*folders[:place], *folders[place + 1 :], name), names)
            return replace(mask, key=key), known[folder.lower()]
    for word, index in sorted(known.items(), key=lambda item: -len(item[0])):
        for sign in "_-. ":
            if name.lower().endswith(f"{sign}{word}"):
                return replace(mask, key=(*folders, name[: -len(word) - 1])), index
    if name.lower() in known and folders:
        return replace(mask, key=tuple(folders)), known[name.lower()]
    raise DataError(
        f"{mask.path}: neither a folder in place of a wildcard nor the end of the name is one of data.classes "
        f"({', '.join(known)}).\n  try: 'data.masks=masks/*/*' for masks/leaf/7.png, and data.classes=[...] "
        f"as they are called there."
    )


def covered_by(mask: MaskPixels) -> np.ndarray:
    """Return where a mask is not black."""
    colors = mask.values if mask.palette is None else mask.palette[mask.values]
    lit: np.ndarray = np.asarray(colors > (127 if mask.lossy else 0))
    return lit if lit.ndim == 2 else np.asarray(lit.any(axis=-1))
