"""Images and their masks, matched by name and checked before training starts."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segup.data.files import IMAGE_SUFFIXES, check_whole, image_size
from segup.errors import ConfigError, DataError


@dataclass(frozen=True)
class Pair:
    """An image, its mask (None where there is none) and the name that reports and predictions use."""

    image: Path
    mask: Path | None
    name: str


def image_files(folder: Path) -> list[Path]:
    """Return the image files of a folder, sorted by name; hidden files are left out.

    Raises:
        DataError: When the folder is missing or holds no image file.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    files = [f for f in folder.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and not f.name.startswith(".")]
    if not files:
        raise DataError(f"{folder}: no image files ({', '.join(IMAGE_SUFFIXES)})")
    return sorted(files, key=lambda file: file.name)


def match_by_stem(images: Path, masks: Path) -> list[Pair]:
    """Pair the images of one folder with the masks of another whose name without extension is the same.

    Args:
        images: The folder of images.
        masks: The folder of masks.

    Raises:
        DataError: When images lack masks or masks lack images (counts and examples), or two files share a stem.
    """
    image_of = _by_stem(image_files(images))
    mask_of = _by_stem(image_files(masks))
    lacking = [path.name for stem, path in image_of.items() if stem not in mask_of]
    left_over = [path.name for stem, path in mask_of.items() if stem not in image_of]
    faults = [
        _fault(lacking, len(image_of), "images", f"no mask in {masks}"),
        _fault(left_over, len(mask_of), "masks", f"no image in {images}"),
    ]
    if any(faults):
        raise DataError("; ".join(fault for fault in faults if fault))
    return [Pair(path, mask_of[stem], stem) for stem, path in image_of.items()]


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
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction < 1:
        raise ConfigError(f"data.val_fraction must lie between 0 and 1, not {fraction!r}")
    if len(names) < 2:
        raise DataError(f"{len(names)} image cannot be split into training and validation images; two are needed")
    count = min(max(1, round(fraction * len(names))), len(names) - 1)
    return set(sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:count])


def check_sizes(pairs: Sequence[Pair]) -> list[tuple[int, int]]:
    """Return each image's (height, width), read from the headers.

    Raises:
        DataError: When a file is missing, unreadable or cut short, or a mask's size differs from its image's.
    """
    sizes = []
    for pair in pairs:
        size = image_size(pair.image)
        for file in filter(None, (pair.image, pair.mask)):
            check_whole(file)
        if pair.mask is not None and (other := image_size(pair.mask)) != size:
            raise DataError(
                f"{pair.mask}: the mask is {other[0]}×{other[1]} (height × width), "
                f"its image {pair.image} is {size[0]}×{size[1]}; they must be equal"
            )
        sizes.append(size)
    return sizes


def _by_stem(files: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in files:
        if file.stem in found:
            raise DataError(f"{file.parent}: '{found[file.stem].name}' and '{file.name}' share the name '{file.stem}'")
        found[file.stem] = file
    return found


def _fault(names: list[str], total: int, kind: str, what: str) -> str:
    if not names:
        return ""
    examples = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} of {total} {kind} have {what}: {examples}"
