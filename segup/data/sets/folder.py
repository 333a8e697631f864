"""A person's own folder of images and masks."""

import logging
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from segup.data.files import IMAGE_SUFFIXES
from segup.data.labels import Labels
from segup.data.layout.lists import check_apart, group_of, listed
from segup.data.layout.matching import Matched, check_matched, match
from segup.data.layout.patterns import Found, content, find, inside, is_pattern, is_wanted, split_of
from segup.data.pairs import VAL_FRACTION, Pair, ValFraction, held_out, image_files, one_each
from segup.data.sets import SPLITS, DataSource, register_dataset
from segup.errors import ConfigError, DataError

_log = logging.getLogger(__name__)

MaskKind = Literal["files", "instances", "classes", "coco", "labelme", "yolo"]
_SUFFIXES = {"coco": (".json",), "labelme": (".json",), "yolo": (".txt",)}
Place = str | int
"""A folder or a pattern; a folder called 2024 comes as a number."""
Places = dict[str, str]
"""A folder or pattern for each split; of the key "" for all."""


@register_dataset("folder")
class Folder(DataSource):
    """Images and masks that have the same name, but for the extension.

    Without further options the folder has one of three layouts. The folders of the splits may be called train or
    training, val, valid or validation, test or testing, in letters of any case.

    - ``images/{train,val,test}/`` and ``masks/{train,val,test}/``;
    - ``{train,val,test}/images/`` and ``{train,val,test}/masks/``;
    - ``images/`` and ``masks/``: ``val_fraction`` of the pairs validates. Only the names decide which, so most pairs
      stay in their split when others are added, on any machine.

    The test split may be left out. A folder with a train and no val split lends ``val_fraction`` of train.

    Args:
        labels: The classes.
        root: The folder.
        images: Where the images are, relative to root: a folder, a pattern such as ``"**/*_img.png"``, or one of
            these for each split. Image and mask belong together if the wildcards stand for the same. None: ``images``.
        masks: Where the masks are, likewise. None: ``masks``; with ``mask_suffix``, where the images are.
        mask_suffix: What the name of a mask has after that of its image, such as ``"_mask"``.
        mask_kind: ``"files"``: one file for each image. ``"instances"``, ``"classes"``: one file for each object, or
            for each class. ``"coco"``, ``"labelme"``, ``"yolo"``: outlines in JSON or text files. None: by the
            extension of ``masks``, or files.
        lists: For each split, a file with the names of its images.
        groups: A regular expression. What its group 1, or all of it, finds in the path of an image names the patient
            or the field. One group is never in two splits.
        skip_unmatched: Leave out images without a mask and masks without an image, and say how many.
        val_fraction: Share of the pairs, or groups, that validates if the folder has no such split; at least one.

    Raises:
        ConfigError: From ``pairs``: an option is wrong, or a path leads out of the root.
        DataError: From ``pairs``: a folder is missing or empty, an image or a mask has no partner, an image has two
            masks, or a group is in two splits.
    """

    def __init__(
        self,
        labels: Labels,
        root: str,
        images: Place | Mapping[str, Place] | None = None,
        masks: Place | Mapping[str, Place] | None = None,
        mask_suffix: str | None = None,
        mask_kind: MaskKind | None = None,
        lists: Mapping[str, Place] | None = None,
        groups: str | None = None,
        skip_unmatched: bool | None = None,
        val_fraction: ValFraction = VAL_FRACTION,
    ) -> None:
        self.labels = labels
        self.root = Path(root)
        own = "images" if mask_suffix is None or (self.root / "images").is_dir() else "."
        self._images = _places("images", images, own)
        self._masks = _places("masks", masks, "masks" if mask_suffix is None else self._images)
        self._lists = _places("lists", lists, {}) if lists not in (None, {}) else {}
        if "" in self._lists:
            raise ConfigError(
                f"data.lists={lists!r} must give the list of each split.\n  try: 'data.lists={{train: train.txt}}'"
            )
        self.mask_suffix, self.mask_kind = mask_suffix, mask_kind
        self.groups, self.skip_unmatched = groups, bool(skip_unmatched)
        self.val_fraction = val_fraction

    def splits(self) -> tuple[str, ...]:
        """Return the splits that exist."""
        own = self._own_splits
        return tuple(split for split in SPLITS if split in own or (split == "val" and "train" in own)) or SPLITS[:2]

    def pairs(self, split: str) -> list[Pair]:
        """Return the images and masks of a split, sorted by name."""
        if not self.root.is_dir():
            raise DataError(f"{self.root}: no such folder")
        own = self._own_splits
        if own and split not in self.splits():
            found = ", ".join(self.splits())
            raise DataError(f"{self.root}: no folder for the split '{split}' beside those for {found}")
        check_apart({name: self._found(name)[0] for name in own if self.groups}, self.root, self.groups)
        if split in own and (split != "train" or "val" in own):
            return self._paired(split)[0]
        return self._divided[split]

    @cached_property
    def _divided(self) -> dict[str, list[Pair]]:
        """The pairs to train and to validate, of those that are in no split or all in train."""
        pairs, images = self._paired("train" if "train" in self._own_splits else "")
        group = {str(image.path): group_of(image, self.root, self.groups) for image in images}
        of_pairs = [group[str(pair.image)] for pair in pairs]
        validating = held_out(sorted(set(of_pairs)), self.val_fraction)
        return {
            split: [pair for pair, own in zip(pairs, of_pairs, strict=True) if (own in validating) == (split == "val")]
            for split in ("train", "val")
        }

    def _paired(self, split: str) -> tuple[list[Pair], list[Found]]:
        images, masks = self._found(split)
        if split in self._lists:
            images = listed(self.root, self._lists[split], images)
            wanted = {image.path for image in images}
        pairs, matched = self._joined(images, masks)
        if self._lists:
            matched = Matched(matched.together, tuple(one for one in matched.lacking if one.path in wanted))
        if self.skip_unmatched and matched.together:
            _say_skipped(matched)
        else:
            said = self._said(self._images, split), self._said(self._masks, split)
            check_matched(matched, *said, "data.skip_unmatched=true, which leaves them out.")
        if self.groups is not None:
            group = {image.path: group_of(image, self.root, self.groups) for image in images}
            pairs = [replace(pair, group=group[pair.image]) for pair in pairs]
        return pairs, images

    def _joined(self, images: list[Found], masks: list[Found]) -> tuple[list[Pair], Matched]:
        if self._kind == "files":
            matched = match(images, masks)
            return one_each(matched), matched

        from segup.data.drawn.coco import pair_coco  # here, so that data sets are listed without torch
        from segup.data.drawn.layers import pair_classes, pair_instances
        from segup.data.drawn.outlines import pair_labelme, pair_yolo

        if self._kind == "coco":
            return pair_coco(images, masks, self.labels, self.root)
        pair = {"instances": pair_instances, "classes": pair_classes, "labelme": pair_labelme, "yolo": pair_yolo}
        return pair[self._kind](images, masks, self.labels)

    @cached_property
    def _kind(self) -> str:
        if self.mask_kind is not None:
            return self.mask_kind
        ends = {Path(place).suffix.lower() for place in self._masks.values()}
        if ends == {".json"}:
            return "labelme" if any(is_pattern(place) for place in self._masks.values()) else "coco"
        return "yolo" if ends == {".txt"} else "files"

    @cached_property
    def _own_splits(self) -> dict[str, tuple[str, str]]:
        """Where images and masks of each split are, of those that there are."""
        if self._lists:
            return {split: (self._images.get("", ""), self._masks.get("", "")) for split in self._lists}
        if "" not in self._images:
            of_split = self._masks
            return {split: (place, of_split.get(split, of_split.get("", ""))) for split, place in self._images.items()}
        images, masks = self._images[""], self._masks.get("", "")
        if is_pattern(images):
            return {split: (images, masks) for split in SPLITS if any(one.split == split for one in self._all[0])}
        named = {place: _by_split(self.root / place) for place in (images, masks, ".")}
        found = {split: self._folders(split, images, masks, named) for split in SPLITS}
        return {split: places for split, places in found.items() if places is not None}

    def _folders(
        self, split: str, images: str, masks: str, named: Mapping[str, Mapping[str, list[str]]]
    ) -> tuple[str, str] | None:
        """Return the folders of a split, within those of images and masks or around them."""
        for within in (True, False):
            for name in named[images if within else "."].get(split, ()):
                places = [f"{place}/{name}" if within else f"{name}/{place}" for place in (images, masks)]
                if (self.root / places[0]).is_dir():
                    if within and not (self.root / places[1]).exists():
                        other = next(iter(named[masks].get(split, ())), None)
                        around = (self.root / name / masks).exists()
                        places[1] = f"{name}/{masks}" if around else f"{masks}/{other or name}"
                    return places[0], places[1]
        return None

    @cached_property
    def _all(self) -> tuple[list[Found], list[Found]]:
        return self._read(self._images[""], self._masks.get("", ""))

    def _found(self, split: str) -> tuple[list[Found], list[Found]]:
        if split in self._lists or not split:
            return self._all
        places = self._own_splits[split]
        if is_pattern(places[0]) and "" in self._images:
            images, masks = self._all
            everywhere = all(mask.split is None for mask in masks)
            own = [mask for mask in masks if mask.split == split or everywhere]
            mine = [image for image in images if image.split == split]
            if everywhere:  # masks of all splits lie together
                keys = {image.key for image in images if image.split != split}
                own = [mask for mask in own if mask.key not in keys]
            return mine, own
        return self._read(*places)

    def _read(self, images: str, masks: str) -> tuple[list[Found], list[Found]]:
        suffixes = _SUFFIXES.get(self._kind, IMAGE_SUFFIXES)
        plain = self._kind == "files" and self.mask_suffix is None
        found = _files(self.root, images, "data.images", IMAGE_SUFFIXES, plain)
        others = _files(self.root, masks, "data.masks", suffixes, plain)
        if self.mask_suffix is not None:
            suffix = self.mask_suffix
            others = [
                Found(mask.path, (*mask.key[:-1], mask.key[-1].removesuffix(suffix)), mask.split)
                for mask in others
                if mask.key[-1].endswith(suffix)
            ]
            if not others:
                raise DataError(f"{self.root / masks}: no file whose name ends in data.mask_suffix={suffix}")
        taken = {str(mask.path) for mask in others}
        if {str(image.path) for image in found} - taken:
            found = [image for image in found if str(image.path) not in taken]
        elif found:
            raise DataError(
                f"{self.root}: data.images={images} and data.masks={masks} are the same files.\n"
                f"  try: data.mask_suffix=_mask, what the names of the masks end in"
            )
        return found, others

    def _said(self, places: Places, split: str) -> str:
        own = self._own_splits.get(split)
        which = 0 if places is self._images else 1
        return str(self.root / (own[which] if own else places.get("", "")))


def _files(root: Path, place: str, option: str, suffixes: tuple[str, ...], plain: bool) -> list[Found]:
    folder = inside(root, place, option) if not is_pattern(place) else None
    if plain and folder is not None and not folder.is_file():
        with os.scandir(folder) if folder.is_dir() else nullcontext(()) as entries:
            inner = any(entry.is_dir() for entry in entries)
        if not inner or any(is_wanted(entry, suffixes) for entry in content(folder)):
            return [Found(file, (file.stem,)) for file in image_files(folder)]  # which says what it leaves out
    return find(root, place, suffixes, option)


def _places(option: str, given: Place | Mapping[str, Place] | None, default: Place | Mapping[str, Place]) -> Places:
    """Return a folder or a pattern for each split, or one for all of them."""
    value = default if given is None else given
    if isinstance(value, str | int) and not isinstance(value, bool):
        return {"": str(value)}
    if not isinstance(value, Mapping) or not value or any(type(place) not in (str, int) for place in value.values()):
        raise ConfigError(
            f"data.{option}={value!r} must be a path below data.root, or one for each split.\n"
            f"  try: 'data.{option}={{train: {option}_train, val: {option}_val}}'"
        )
    if "" in value:
        return {split: str(place) for split, place in value.items()}
    for split in value:
        if split_of(str(split)) is None:
            raise ConfigError(
                f"data.{option}: '{split}' is no split: {', '.join(SPLITS)}.\n"
                f"  try: 'data.{option}={{train: ..., val: ...}}'"
            )
    return {str(split_of(str(split))): str(place) for split, place in value.items()}


def _by_split(folder: Path) -> dict[str, list[str]]:
    """Return the subfolders that are called after a split, by split."""
    found: dict[str, list[str]] = {}
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for name in sorted(entry.name for entry in entries if split_of(entry.name) and entry.is_dir()):
                found.setdefault(str(split_of(name)), []).append(name)
    return found


def _say_skipped(matched: Matched) -> None:
    for kind, what, found in (("images", "mask", matched.lacking), ("masks", "image", matched.left_over)):
        if found:
            names = ", ".join(one.path.name for one in found[:3]) + (", …" if len(found) > 3 else "")
            _log.warning("%d %s without %s left out (data.skip_unmatched): %s", len(found), kind, what, names)
