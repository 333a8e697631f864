"""Paths below the root of the data: what wildcards stand for, which folders are of a split, and what leads out."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from segup.data.files import IMAGE_SUFFIXES
from segup.errors import ConfigError, DataError


def inside(root: Path, text: str, where: str) -> Path:
    """Return ``root / text``, where ``text`` does not lead out of the root.

    Args:
        root: The folder of the data.
        text: A relative path; a backslash is taken for a slash.
        where: What names the path, for the message.

    Raises:
        ConfigError: An absolute path, or one that leads out of the root.

    >>> inside(Path("data"), "images/../masks", "data.masks").as_posix()
    'data/masks'
    >>> inside(Path("data"), "../secret", "data.masks")
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: data.masks: '../secret' leads out of data: paths are relative to data.root and stay in it.
      try: a data.root that holds all files.
    """
    plain = os.path.normpath(text.replace("\\", "/"))
    out = plain in ("..", "~") or plain.startswith(("../", "/", "~/")) or plain[1:2] == ":" or "\0" in plain
    if out or Path(plain).is_absolute():
        raise ConfigError(
            f"{where}: '{text}' leads out of {root}: paths are relative to data.root and stay in it.\n"
            f"  try: a data.root that holds all files."
        )
    return root / plain


SPLIT_NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""Of each split; the case of letters does not matter."""

_SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}


def split_of(folder: str) -> str | None:
    """Return the split that a folder's name stands for, or None.

    >>> split_of("Training"), split_of("valid"), split_of("train_images")
    ('train', 'val', None)
    """
    return _SPLIT_OF.get(folder.lower())


_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Found:
    """A file, and by what it is matched with others.

    Attributes:
        path: The file.
        key: What the wildcards stand for, folders first, without extension and without the folder of a split.
        split: The split that a folder in place of a wildcard names; or None.
    """

    path: Path
    key: tuple[str, ...]
    split: str | None = None

    @property
    def name(self) -> str:
        """The key as one text."""
        return "/".join(self.key) or self.path.stem


@dataclass(frozen=True)
class Pattern:
    """A path with wildcards: ``*`` and ``?`` within a name, ``**`` for any number of folders.

    A name that ends in ``*`` or ``.*`` means any extension.

    >>> Pattern("**/rgb/*_img.png").key("a/b/rgb/7_img.png")
    (('a', 'b', '7'), None)
    >>> Pattern("*/*").key("Training/7.tif"), Pattern("*/*.png").key("7.png")
    ((('7',), 'train'), None)
    """

    text: str

    @cached_property
    def base(self) -> str:
        """The folders before the first wildcard."""
        parts = self.text.split("/")
        wild = next((place for place, part in enumerate(parts) if _WILD.search(part)), len(parts) - 1)
        return "/".join(parts[:wild])

    @property
    def any_extension(self) -> bool:
        """Whether files of any extension are meant."""
        return self.text.endswith("*")

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        text = self.text.removesuffix(".*") if self.text.endswith(".*") else self.text
        parts = text.split("/")
        written = ["((?:[^/]+/)*)" if part == "**" else _part(part) + "/" for part in parts[:-1]]
        return re.compile("".join(written) + _part(parts[-1]))

    @cached_property
    def _captures_of_folders(self) -> int:
        return sum(1 if part == "**" else len(_pieces(part)) // 2 for part in self.text.split("/")[:-1])

    def key(self, path: str) -> tuple[tuple[str, ...], str | None] | None:
        """Return what the wildcards stand for in a relative path, and the split among it; None where it is not meant.

        Args:
            path: With slashes.
        """
        if self.any_extension:
            folder, slash, name = path.rpartition("/")
            path = f"{folder}{slash}{os.path.splitext(name)[0]}"
        match = self._regex.fullmatch(path)
        if match is None:
            return None
        groups = match.groups()
        folders = [part for group in groups[: self._captures_of_folders] for part in group.split("/") if part]
        splits = [split for part in folders if (split := split_of(part)) is not None]
        kept = [part for part in folders if split_of(part) is None]
        return (*kept, *groups[self._captures_of_folders :]), splits[0] if splits else None


def is_pattern(text: str) -> bool:
    """Whether a path has wildcards."""
    return _WILD.search(text) is not None


def find(root: Path, text: str, suffixes: Sequence[str], option: str) -> list[Found]:
    """Return the files that a folder or a pattern means, sorted by path.

    A folder means the files in it; where it has none, those of its subfolders at any depth.

    Args:
        root: The folder of the data.
        text: Relative to the root: a folder, a pattern or one file.
        suffixes: Of the files that are wanted, in lower case.
        option: What holds the text, for messages.

    Raises:
        ConfigError: The text leads out of the root.
        DataError: Nothing is there.
    """
    place = inside(root, text, option)
    if not is_pattern(text):
        if place.is_file():
            return [Found(place, (place.stem,))]
        if not place.is_dir():
            raise DataError(f"{place}: no such folder")
        files = [place / entry.name for entry in content(place) if is_wanted(entry, suffixes)]
        kept = [Found(file, (file.stem,)) for file in files]
        return kept or _matching(place, Pattern("**/*"), suffixes) or _nothing(place, suffixes)
    pattern = Pattern(os.path.normpath(text.replace("\\", "/")))
    if pattern.any_extension and not _matching(root, pattern, suffixes):
        pattern = Pattern(f"{pattern.text}/**/*")  # it means folders
    return _matching(root, pattern, suffixes) or _nothing(place, suffixes)


def content(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, sorted by name; the disk is not asked again whether it is a file or a folder."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def is_wanted(file: Path | os.DirEntry[str], suffixes: Sequence[str] = IMAGE_SUFFIXES) -> bool:
    """Whether a file has one of the extensions, of images unless others are given; hidden files do not count."""
    return file.name.lower().endswith(tuple(suffixes)) and not file.name.startswith(".") and file.is_file()


def walk(folder: Path, *, hidden: bool = False, above: tuple[Path, ...] = ()) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder from here on with the names of its files, sorted; nothing where there is no folder.

    Links are followed, since large data are often linked from another disk, but for one to a folder that it lies in:
    there is no end to that.

    Args:
        folder: Where to begin.
        hidden: Whether hidden files and folders, and what macOS adds, come, too.
        above: The folders that it lies in, without links.
    """
    real = folder.resolve()
    if not folder.is_dir() or real in above:
        return
    entries = [one for one in content(folder) if hidden or (not one.name.startswith(".") and one.name != "__MACOSX")]
    yield folder, [entry.name for entry in entries if not entry.is_dir()]
    for entry in entries:
        if entry.is_dir():
            yield from walk(folder / entry.name, hidden=hidden, above=(*above, real))


def _matching(root: Path, pattern: Pattern, suffixes: Sequence[str]) -> list[Found]:
    found = []
    for folder, names in walk(root / pattern.base):
        for name in names:
            if os.path.splitext(name)[1].lower() in suffixes:
                file = folder / name
                keyed = pattern.key(file.relative_to(root).as_posix())
                if keyed is not None:
                    found.append(Found(file, *keyed))
    return sorted(found, key=lambda one: one.path)


def _nothing(place: Path, suffixes: Sequence[str]) -> list[Found]:
    kind = "image files" if ".png" in suffixes else "files"
    raise DataError(f"{place}: no {kind} ({', '.join(suffixes)})")


def _pieces(part: str) -> list[str]:
    """Return a name's literal and wild pieces in turn, a literal one first and last; ``[*]`` is a literal star."""
    return re.split(r"((?<!\[)\*+|(?<!\[)\?|\[[^\]]{2,}\])", part)


def _part(part: str) -> str:
    pieces = _pieces(part)
    wild = {"*": "([^/]*)", "?": "([^/])"}
    return "".join(
        re.escape(re.sub(r"\[(.)\]", r"\1", piece)) if place % 2 == 0 else wild.get(piece[0]) or _choice(piece)
        for place, piece in enumerate(pieces)
    )


def _choice(piece: str) -> str:
    return f"([{'^' if piece[1] == '!' else ''}{re.escape(piece[1:-1].removeprefix('!')).replace(chr(92) + '-', '-')}])"
