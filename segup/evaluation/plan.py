"""What a prediction reads and writes, settled before anything is written."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segup.atomic import check_free
from segup.data.files import IMAGE_SUFFIXES
from segup.data.pairs import is_image, skipped
from segup.errors import ConfigError, DataError


@dataclass(frozen=True)
class Task:
    """An image and the two files that are made of it: class ids and overlay."""

    image: Path
    ids: Path
    overlay: Path


def plan(inputs: Sequence[str | Path], out: str | Path, overwrite: bool = False) -> list[Task]:
    """Return what is to be done for images and folders of images.

    An image ``a.jpg`` becomes ``a.png`` and ``a_overlay.png`` in ``out``. Of a folder all images are taken, those of
    its subfolders too, which come back as subfolders of ``out``; hidden files and ``out`` itself are left out.

    Args:
        inputs: Images and folders.
        out: The folder that is written to; it need not exist.
        overwrite: Whether files there may be replaced.

    Raises:
        DataError: An input is missing, or a folder has no images.
        ConfigError: Two images would become one file, a file exists and ``overwrite`` is false, or an image would be
            written over.

    >>> plan(["missing.png"], "out")
    Traceback (most recent call last):
    ...
    segup.errors.DataError: missing.png: no such file or folder
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file: give a folder")
    found: dict[Path, Path] = {}
    for given in inputs:
        for image, place in _images(Path(given), out):
            task = found.setdefault(place, image)
            if task != image and task.resolve() != image.resolve():
                raise ConfigError(_collision(task, image, out / place))
    tasks = [Task(image, *_files(out / place)) for place, image in found.items()]
    _check_targets(tasks, overwrite)
    return tasks


def _images(given: Path, out: Path) -> Iterable[tuple[Path, Path]]:
    """Return images, each with its place in ``out``, without a suffix."""
    if given.is_file():
        return [(given, Path(given.stem))]
    if not given.is_dir():
        raise DataError(f"{given}: no such file or folder")
    images = [file for file in _content(given, out) if is_image(file) and not _hidden(file, given)]
    if not images:
        raise DataError(f"{given}: no image files ({', '.join(IMAGE_SUFFIXES)})")
    return [(file, file.relative_to(given).with_name(file.stem)) for file in images]


def left_out(inputs: Sequence[str | Path], out: str | Path) -> list[str]:
    """Return a line for each folder of which files are left out, with their number and the names of the first.

    What lies in ``out`` is not counted.
    """
    lines = []
    for folder in (Path(given) for given in inputs if Path(given).is_dir()):
        content = [file for file in _content(folder, Path(out)) if not file.is_dir()]
        others = [file for file in content if not is_image(file) or _hidden(file, folder)]
        lines += [f"{folder}: {skipped(others, folder)}"] if others else []
    return lines


def _content(given: Path, out: Path) -> list[Path]:
    """Return all files and folders below a folder, but for those in ``out``."""
    written = out.resolve()
    inside = written != given.resolve() and written.is_relative_to(given.resolve())
    return [file for file in sorted(given.rglob("*")) if not (inside and file.resolve().is_relative_to(written))]


def _hidden(file: Path, given: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(given).parts)


def _files(place: Path) -> tuple[Path, Path]:
    return place.with_name(f"{place.name}.png"), place.with_name(f"{place.name}_overlay.png")


def _check_targets(tasks: Sequence[Task], overwrite: bool) -> None:
    makers: dict[Path, Path] = {}
    for task in tasks:
        for target in (task.ids, task.overlay):
            if target in makers:
                raise ConfigError(_collision(makers[target], task.image, target))
            makers[target] = task.image
    read = {task.image.resolve(): task.image for task in tasks}
    for target in makers:
        if target.resolve() in read:
            raise ConfigError(f"{target} is an image that is read: it is not written over. Give another --out.")
    if not overwrite:
        check_free(makers, "another --out, or --overwrite")


def _collision(first: Path, second: Path, target: Path) -> str:
    ways = "a command for each of the two, with an --out of its own"
    if first.parent != second.parent:
        ways += f"; or {os.path.commonpath([first.parent, second.parent]) or '.'}, the folder that holds both"
    return f"{first} and {second} would both become {target}; nothing was written.\n  try: {ways}."
