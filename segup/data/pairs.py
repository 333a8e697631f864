"""Images and their masks, matched by name and checked before training starts."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from segup.calls import check
from segup.conform import Within
from segup.data.drawn import DrawnMask
from segup.data.files import IMAGE_SUFFIXES
from segup.data.headers import MAX_PIXELS, Header, turned_size
from segup.data.index import read_headers
from segup.data.layout.matching import Matched, check_matched, match, two_masks
from segup.data.layout.patterns import Found, content, is_wanted
from segup.errors import DataError

_log = logging.getLogger(__name__)
ValFraction = Annotated[float, Within(above=0, below=1), "the share that validates"]
VAL_FRACTION = 0.2


@dataclass(frozen=True)
class Pair:
    """An image, its mask (or None), and the name that reports and predictions use.

    The mask is a file, or is drawn from others: see :class:`segup.data.drawn.DrawnMask`. ``group`` names the sequence,
    patient or field that the image belongs to; None: the image stands for itself.
    """

    image: Path
    mask: Path | DrawnMask | None
    name: str
    group: str | None = None


def image_files(folder: Path) -> list[Path]:
    """Return the image files of a folder, sorted by name; what is left out is counted and named in a warning.

    Raises:
        DataError: When the folder is missing or holds no image file.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    entries = content(folder)
    files = [folder / entry.name for entry in entries if is_wanted(entry)]
    if not files:
        raise DataError(f"{folder}: no image files ({', '.join(IMAGE_SUFFIXES)})")
    if len(files) < len(entries):
        left_out = [folder / entry.name for entry in entries if not is_wanted(entry)]
        _log.warning("%s: %s", folder, skipped(left_out, folder))
    return files


def skipped(left_out: Sequence[Path], folder: Path) -> str:
    """Return how many files and folders were left out of a folder, and the names of the first.

    >>> skipped([Path("a/notes.txt"), Path("a/b.psd")], Path("a"))
    '2 skipped (no image files): notes.txt, b.psd'
    """
    names = [f"{file.relative_to(folder)}{'/' if file.is_dir() else ''}" for file in left_out]
    return f"{len(names)} skipped (no image files): {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"


def match_by_stem(images: Path, masks: Path) -> list[Pair]:
    """Pair the images of one folder with the masks of another whose name without extension is the same.

    Args:
        images: The folder of images.
        masks: The folder of masks.

    Raises:
        DataError: Images have no masks or masks have no images (with counts and examples), or two files have the same
            stem.
    """
    found = [[Found(file, (file.stem,)) for file in image_files(folder)] for folder in (images, masks)]
    matched = match(*found)
    pairs = one_each(matched)
    check_matched(matched, str(images), str(masks))
    return pairs


def one_each(matched: Matched, read: Callable[[Path, Path], Path | DrawnMask] = lambda _, file: file) -> list[Pair]:
    """Return pairs of an image and its one mask file.

    Args:
        matched: Images with their files.
        read: From the paths of an image and its file to the mask; it is the file by default.

    Raises:
        DataError: An image has two masks.
    """
    for image, masks in matched.together:
        if len(masks) > 1:
            raise two_masks(image, masks)
    return [Pair(image.path, read(image.path, masks[0].path), image.name) for image, masks in matched.together]


def held_out(names: Sequence[str], fraction: float) -> set[str]:
    """Return the share of the names that validates: at least one, and not all.

    The names are put in the order of their SHA-256, so that the choice depends on them alone and most stay where they
    are when others are added.

    >>> sorted(held_out(["a", "b", "c", "d", "e"], 0.4))
    ['c', 'd']

    Raises:
        ConfigError: For a fraction that is not between 0 and 1.
        DataError: For fewer than two names.
    """
    check("data.val_fraction", ValFraction, fraction, usual=VAL_FRACTION)
    if len(names) < 2:
        raise DataError(f"{len(names)} image cannot be split into training and validation images; two are needed")
    count = min(max(1, round(fraction * len(names))), len(names) - 1)
    return set(sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:count])


@dataclass(frozen=True)
class Checked:
    """What the headers of a pair say.

    Attributes:
        image: The image's header.
        turn: The EXIF orientation by which the mask's pixels are turned, so that they lie on the turned image's.
    """

    image: Header
    turn: int


def check_pairs(
    pairs: Sequence[Pair], max_pixels: int = MAX_PIXELS, mask_orientation: str | None = None
) -> list[Checked]:
    """Return what the headers of images and masks say, which nothing is decoded for.

    Args:
        pairs: Images and masks.
        max_pixels: The most pixels of a picture.
        mask_orientation: By whose EXIF note masks are turned: their "own" (without one they stay as they are), or that
            of their "image". None: by their sizes, where these tell.

    Raises:
        DataError: When a file is missing, unreadable, too large or cut short, when a mask's size differs from its
            image's, and when nothing tells whether a mask is to be turned as its image is.
    """
    files = [file for pair in pairs for file in (pair.image, pair.mask) if isinstance(file, Path)]
    headers = iter(read_headers(files, max_pixels))
    checked, lossy = [], []
    for pair in pairs:
        image, turn = next(headers), 1
        if pair.mask is not None:
            mask = next(headers) if isinstance(pair.mask, Path) else pair.mask.header()
            lossy += [pair.mask] if mask.lossy else []
            if not image.orientation == mask.orientation == 1 or image.size != mask.size:  # nearly never: spares a call
                turn = _turn(pair, image, mask, mask_orientation)
        checked.append(Checked(image, turn))
    if lossy:
        _log.warning(
            "%d of %d masks are JPEG files, such as %s: compression changed their values, so that labels are uncertain "
            "along the borders of classes; PNG keeps them",
            *(len(lossy), len(pairs), lossy[0]),
        )
    return checked


def _turn(pair: Pair, image: Header, mask: Header, wanted: str | None) -> int:
    """Return the orientation by which the mask is turned; see :func:`check_pairs`."""
    turns = {"own": mask.orientation, "image": image.orientation}
    fitting = {
        whose: turn for whose, turn in turns.items() if turned_size((mask.height, mask.width), turn) == image.size
    }
    if wanted is not None:
        fitting = {whose: turn for whose, turn in fitting.items() if whose == wanted}
    if not fitting:
        own = mask.size if wanted != "image" else turned_size((mask.height, mask.width), image.orientation)
        notes = "" if image.orientation == mask.orientation == 1 else f" ({_notes(image, mask)})"
        height, width = image.size
        same_shape = isinstance(pair.mask, Path) and not notes and own[0] * width == own[1] * height
        raise DataError(
            f"{pair.mask}: the mask is {own[0]}×{own[1]} (height × width), its image {pair.image} is "
            f"{height}×{width}{notes}; they must be equal"
            + (
                f".\n  try: copies of such masks in another folder, by Pillow's resize(({width}, {height}), 0)"
                if same_shape
                else ""
            )
        )
    if len(set(fitting.values())) > 1:
        raise DataError(
            f"{pair.image} must be turned. Its mask {pair.mask} may lie on the turned picture or on the stored "
            f"pixels, and nothing says which: {_notes(image, mask)}.\n  try: data.mask_orientation=own (the mask lies "
            f"on the turned picture, unless it has its own note), or data.mask_orientation=image (the mask lies on "
            f"the stored pixels, and is turned too)."
        )
    return next(iter(fitting.values()))


def _notes(image: Header, mask: Header) -> str:
    return f"the image's EXIF orientation is {image.orientation}, the mask's {mask.orientation}"
