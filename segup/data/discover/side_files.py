"""What text beside pictures says: names of classes, and which images are in which split."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segup.data.layout.lists import listed
from segup.data.layout.patterns import Found, split_of
from segup.errors import SegupError
from segup.stored import read_text, read_yaml

_CALLED = ("class", "label", "categor", "name", "colormap", "palette", "codes")
_MOST_NAMES = 1000


def class_names(files: Sequence[Path]) -> list[str]:
    """Return the names of classes that a file holds; none if none does.

    They are a line for each, a table of numbers and names, or ``names`` of a YAML. What numbers them says which id each
    has: the numbers are 0, 1, …, in any order, or there are no names.
    """
    for file in files:
        try:
            if file.suffix.lower() in (".yaml", ".yml"):
                names = _names_of_yaml(read_yaml(file))
            elif file.suffix.lower() in (".txt", ".names") and any(word in file.stem.lower() for word in _CALLED):
                lines = [line.strip() for line in read_text(file).splitlines()]
                names = _names_of_lines([line for line in lines if line and not line.startswith("#")])
            elif file.suffix.lower() in (".csv", ".tsv") and any(word in file.stem.lower() for word in _CALLED):
                names = _names_of_table(_rows(file))
            else:
                continue
        except (SegupError, csv.Error):
            continue
        plain = all(name and len(name) < 60 and not re.search(r"[/\\]|\d+[\s,]+\d", name) for name in names)
        if 1 < len(names) == len(set(names)) <= _MOST_NAMES and plain:
            return names
    return []


def class_colors(files: Sequence[Path]) -> dict[int, str]:
    """Return the class of each colour that a table of names and red, green, blue holds; none if there is none.

    They are in the order of the rows, or of the numbers 0, 1, … where each row has one before its colour.
    """
    for file in files:
        if file.suffix.lower() not in (".csv", ".txt", ".tsv"):
            continue
        try:
            rows = _rows(file)
        except (SegupError, csv.Error):
            continue
        found: dict[int, str] = {}
        before: list[tuple[int, int]] = []
        for row in rows:
            cells = [cell.strip() for row_cell in row for cell in ([row_cell] if len(row) > 1 else row_cell.split())]
            numbers = [int(cell) for cell in cells if re.fullmatch(r"\d{1,3}", cell)]
            words = [cell for cell in cells if cell and not re.fullmatch(r"[\d.]+", cell)]
            if len(numbers) >= 3 and max(numbers[-3:]) < 256 and words:
                color = numbers[-3] << 16 | numbers[-2] << 8 | numbers[-1]
                found[color] = words[0]
                before += [(number, color) for number in numbers[:-3]]
        ordered = _in_order(before) if len(before) == len(found) else []
        found = {color: found[color] for color in ordered or found}
        if len(found) > 1 and len(found) >= len(rows) - 1 and len(set(found.values())) == len(found):
            return found
    return {}


def split_lists(root: Path, files: Sequence[Path], images: Sequence[Found]) -> dict[str, str]:
    """Return the file that lists the images of each split, if there is one for train; all lie in one folder.

    Of several folders, that with the most splits counts, then one that is named after segmentation, as in Pascal VOC.
    """
    folders: dict[str, dict[str, str]] = {}
    for file in sorted(files, key=lambda file: (len(file.parts), file)):
        words = re.findall(r"[a-z]+", file.stem.lower())
        split = next((split for word in words if (split := split_of(word))), None)
        relative = file.relative_to(root).as_posix()
        parents = relative.split("/")[:-1]
        found = folders.setdefault("/".join("{}" if split_of(part) else part for part in parents), {})
        if file.suffix.lower() not in (".txt", ".lst", ".csv") or split is None or split in found:
            continue
        try:
            if listed(root, relative, images):
                found[split] = relative
        except SegupError:
            continue
    whole = [(folder, found) for folder, found in folders.items() if "train" in found]
    return max(whole, key=lambda one: (len(one[1]), "seg" in one[0].lower()), default=("", {}))[1]


def _rows(file: Path) -> list[list[str]]:
    """Return the cells of a table; what stands between them is a comma, a semicolon, a colon or a tab."""
    return list(csv.reader(re.sub(r"[;:\t]", ",", read_text(file)).splitlines()))


def _names_of_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the names beside the numbers 0, 1, …; none if a row, but for the first, has more or less.

    >>> _names_of_table([["Pixel Value", " Class"], ["1", " leaf"], ["0", " background"]])
    ['background', 'leaf']
    """
    found = []
    for row in rows:
        cells = sorted((cell.strip() for cell in row if cell.strip()), key=str.isdecimal)
        if len(cells) == 2 and cells[1].isdecimal() and not cells[0].isdecimal():
            found.append((int(cells[1]), cells[0]))
    return _in_order(found) if len(found) >= len(rows) - 1 else []


def _names_of_lines(lines: Sequence[str]) -> list[str]:
    """Return the lines; where each begins with a number, the names after the numbers.

    >>> _names_of_lines(["1: leaf", "0: background"]), _names_of_lines(["1 leaf", "2 stem"])
    (['background', 'leaf'], [])
    >>> _names_of_lines(["3d", "leaf"])
    ['3d', 'leaf']
    """
    numbered = [match for line in lines if (match := re.fullmatch(r"([0-9]+)\s*[:;,\s]\s*(.+)", line))]
    return _in_order([(int(one[1]), one[2]) for one in numbered]) if len(numbered) == len(lines) else list(lines)


def _names_of_yaml(content: Any) -> list[str]:
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict) and all(type(key) is int for key in names):
        names = _in_order(list(names.items()))
    if not isinstance(names, list) or not all(type(name) in (str, int, float) for name in names):
        return []
    return [str(name) for name in names]


def _in_order(numbered: Sequence[tuple[int, Any]]) -> list[Any]:
    """Return what is numbered 0, 1, … in this order; nothing where a number is missing, or there twice."""
    ordered = sorted(numbered, key=lambda one: one[0])
    return [name for _, name in ordered] if [number for number, _ in ordered] == list(range(len(ordered))) else []
