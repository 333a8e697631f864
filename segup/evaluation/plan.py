"""Which files predictions become: all is settled before a model is opened."""

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segup.atomic import check_folder, check_free
from segup.data.files import IMAGE_SUFFIXES
from segup.data.layout.patterns import is_wanted, walk
from segup.data.pairs import skipped
from segup.errors import ConfigError, DataError


@dataclass(frozen=True)
class Task:
    """An image and the two files that are made of it, class ids and overlay, and whether they may replace others."""

    image: Path
    ids: Path
    overlay: Path
    replace: bool = False


def plan(inputs: Sequence[str | Path], out: str | Path, overwrite: bool = False) -> list[Task]:
    """Return what is to be done for images and folders of images.

    An image ``a.jpg`` becomes ``a.png`` and ``a_overlay.png`` in ``out``. Of a folder all images are taken, those of
    its subfolders too, which come back as subfolders of ``out``; hidden files and ``out`` itself are left out. If two
    images would become one file, all keep what tells them apart: their place below the folder that holds all inputs
    (``x/a.png``, ``y/a.png``), their extension (``a.jpg.png``), or both.

    Args:
        inputs: Images and folders.
        out: The folder that is written to; it need not exist.
        overwrite: Whether files there may be replaced.

    Raises:
        DataError: An input is missing, or a folder has no images.
        ConfigError: A file exists and ``overwrite`` is false, ``out`` can be no folder, or results would lie among the
            images that are read.

    >>> plan(["missing.png"], "out")
    Traceback (most recent call last):
    ...
    segup.errors.DataError: missing.png: no such file or folder
    """
    out = Path(out)
    check_folder(out, f"--out {out}", lambda file: f"--out {_beside(file) if file else 'predicted'}")
    found: dict[str, tuple[Path, Path]] = {}
    for given in inputs:
        for image, place in _images(Path(given), out):
            found.setdefault(os.path.abspath(image), (image, place))  # two links to one file are two images
    tasks = [replace(task, replace=overwrite) for task in _named_apart(list(found.values()), out)]
    _check_apart(tasks, [Path(given) for given in inputs], out)
    if not overwrite:
        check_free([target for task in tasks for target in (task.ids, task.overlay)], "another --out, or --overwrite")
    return tasks


def _named_apart(found: Sequence[tuple[Path, Path]], out: Path) -> list[Task]:
    """Return the tasks with the shortest names of which no two are the same."""
    resolved = [image.absolute() for image, _ in found]
    shared = Path(os.path.commonpath([image.parent for image in resolved]))
    below = [image.relative_to(shared) for image in resolved]
    places = [place for _, place in found]
    tasks: list[Task] = []
    for names in (
        [place.with_name(place.stem) for place in places],
        [place.with_name(place.stem) for place in below],
        places,
        below,
    ):
        tasks = [Task(image, *_files(out / name)) for (image, _), name in zip(found, names, strict=True)]
        if len({target for task in tasks for target in (task.ids, task.overlay)}) == 2 * len(tasks):
            break
    return tasks


def _images(given: Path, out: Path) -> Iterable[tuple[Path, Path]]:
    """Return images, each with its place in ``out``."""
    if given.is_file():
        return [(given, Path(given.name))]
    if not given.is_dir():
        raise DataError(f"{given}: no such file or folder")
    images = [file for file in _content(given, out) if is_wanted(file) and not _hidden(file, given)]
    if not images:
        raise DataError(f"{given}: no image files ({', '.join(IMAGE_SUFFIXES)})")
    return [(file, file.relative_to(given)) for file in images]


def left_out(inputs: Sequence[str | Path], out: str | Path) -> list[str]:
    """Return a line for each folder of which files are left out, with their number and the names of the first.

    What lies in ``out`` is not counted.
    """
    lines = []
    for folder in (Path(given) for given in inputs if Path(given).is_dir()):
        others = [file for file in _content(folder, Path(out)) if not is_wanted(file) or _hidden(file, folder)]
        lines += [f"{folder}: {skipped(others, folder)}"] if others else []
    return lines


def _content(given: Path, out: Path) -> list[Path]:
    """Return all files below a folder, also where links lead, but for those in ``out``."""
    written = out.resolve()
    inside = written != given.resolve() and written.is_relative_to(given.resolve())
    files = (folder / name for folder, names in walk(given, hidden=True) for name in names)
    return sorted(file for file in files if not (inside and file.resolve().is_relative_to(written)))


def _hidden(file: Path, given: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(given).parts)


def _files(place: Path) -> tuple[Path, Path]:
    return place.with_name(f"{place.name}.png"), place.with_name(f"{place.name}_overlay.png")


def _check_apart(tasks: Sequence[Task], inputs: Sequence[Path], out: Path) -> None:
    """Raise a ConfigError where results would lie among images that are read, or images among results that are left."""
    folders = {place for task in tasks for place in (task.image.resolve().parent, task.image.parent.resolve())}
    folders |= {one.resolve() for one in inputs if one.is_dir()}
    for task in tasks:
        if task.ids.parent.resolve() in folders:
            raise ConfigError(
                f"--out {out} puts {task.ids.name} among the images of {task.ids.parent}: results have a folder of "
                f"their own.\n  try: --out {_beside(out)}"
            )
    for given in inputs:
        if given.is_dir() and out.is_dir() and out.resolve().is_relative_to(given.resolve()):
            files = {file for file in _content(out, given) if is_wanted(file) and not _hidden(file, out)}
            results = {one for file in files if (pair := _files(file.with_suffix("")))[1] in files for one in pair}
            if strange := sorted(files - results):
                raise ConfigError(
                    f"--out {out} lies in {given} and holds images, such as {strange[0].name}, which would be taken "
                    f"for results.\n  try: --out {_beside(given)}"
                )


def _beside(folder: Path) -> str:
    """Return a new folder for results, as it is typed here."""
    here, name = Path(os.path.relpath(folder.resolve().parent)), f"{folder.resolve().name}_predicted"
    places = (here / name, *(here / f"{name}_{number}" for number in range(2, 1000)))
    return shlex.quote(str(next(place for place in places if not os.path.lexists(place))))
