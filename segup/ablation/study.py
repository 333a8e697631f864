"""A study as it lies on disk: ``study.yaml``, which says what was asked for, and its runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from segup.ablation.block import Block
from segup.ablation.member import Member, read_member
from segup.ablation.runs import Amount, Run
from segup.calls import annotated
from segup.conform import Count, Name, Within
from segup.errors import DataError
from segup.statistics.decision import Level, Margin
from segup.statistics.looks import Most
from segup.stored import all_visible, as_written, read_yaml, visible
from segup.training.config import Fold, Seed
from segup.training.run_folder import write_yaml

FILE = "study.yaml"


class Chosen(TypedDict, total=False):
    """What was chosen for one decoder."""

    widths: list[Count] | None
    budget: Amount | None
    difference: Annotated[float, Within(-1e9, 1e9)] | None
    start: str | None


class Settings(TypedDict):
    """What ``study.yaml`` holds."""

    command: NotRequired[str | None]
    baseline: NotRequired[Name | None]
    match: NotRequired[Name | None]
    start: NotRequired[Name | None]
    metric: NotRequired[Name | None]
    margin: NotRequired[Margin | None]
    level: NotRequired[Level | None]
    until: NotRequired[Literal["decided"] | None]
    looks: NotRequired[Annotated[list[Most], Within(0, 500)] | None]
    config: NotRequired[dict[str, Any] | None]
    decoders: NotRequired[dict[str, Chosen] | None]
    members: list[tuple[Name, Seed] | tuple[Name, Seed, Fold]]


@dataclass(frozen=True)
class Study:
    """The runs that one command asked for.

    Args:
        path: Its folder.
        settings: The content of ``study.yaml``, its text fit to be shown: ``command``, ``baseline`` (a label),
            ``match``, ``start``, ``metric``, ``margin``, ``level``, ``config`` (what all runs share), ``decoders`` and
            ``members``; ``until`` and ``looks`` where seeds are added in rounds. ``decoders[label]`` says of each
            decoder what was chosen for it: ``widths`` with ``budget`` and ``difference`` (relative to the baseline's)
            where widths were matched, and ``start``, where one was asked for: ``"interpolate"``, or why the operator
            cannot.
        members: Its runs, in the order in which they were asked for.
    """

    path: Path
    settings: Mapping[str, Any]
    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        """The folder's name, fit to be shown."""
        return visible(self.path.resolve().name)

    @property
    def baseline(self) -> str | None:
        """The label that the others are held against: the one asked for, or else the first."""
        labels = dict.fromkeys(member.label for member in self.members)
        own = self.settings.get("baseline")
        return str(own) if own in labels else next(iter(labels), None)

    def finished(self) -> dict[str, list[Run]]:
        """Return the finished runs by label, in the order of their seeds; a label without one is left out."""
        found: dict[str, list[Run]] = {}
        for member in sorted(self.members, key=lambda member: member.block.order):
            if member.run is not None:
                found.setdefault(member.label, []).append(member.run)
        return {label: found[label] for label in dict.fromkeys(m.label for m in self.members) if label in found}

    def failed(self) -> dict[str, list[Block]]:
        """Return the seeds and folds of the runs that failed, by label."""
        found: dict[str, list[Block]] = {}
        for member in self.members:
            if member.state == "failed":
                found.setdefault(member.label, []).append(member.block)
        return found


@annotated
def read_study(path: str | Path) -> Study:
    """Read a study, finished or not.

    Args:
        path: Its folder.

    Raises:
        DataError: There is no folder, no ``study.yaml`` in it, or a file that is not segup's.
    """
    path = Path(path)
    settings = read_settings(path)
    members = tuple(read_member(path, *member) for member in settings["members"])
    return Study(path, all_visible(settings), members)


def stored_settings(path: Path) -> dict[str, Any] | None:
    """Return the content of ``study.yaml``, or None where there is none; see :func:`read_settings`."""
    return read_settings(path) if (path / FILE).exists() else None


def read_settings(path: Path) -> dict[str, Any]:
    """Return the content of ``study.yaml``.

    Raises:
        DataError: As :func:`read_study`.
    """
    file = path / FILE
    if not path.is_dir():
        raise DataError(f"no study folder at {path}")
    if not file.is_file():
        raise DataError(f"{path} has no {FILE}: {_instead(path)}")
    settings: dict[str, Any] = as_written(Settings, read_yaml(file), file)
    seen: set[tuple[Any, ...]] = set()
    for label, *block in settings["members"]:
        if Path(label).parts != (label,) or label == ".." or "\0" in label:
            raise DataError(f"{file} is not what segup writes: '{visible(label)}' is no name of a folder in it")
        if (label, *block) in seen:
            twice = f"'{visible(label)}' with {Block(*block)} is there twice"
            raise DataError(f"{file} is not what segup writes: {twice}")
        seen.add((label, *block))
    return settings


def _instead(path: Path) -> str:
    if (path / "result.json").is_file():
        return "it is a single run.\n  try: segup compare"
    held = sorted(file.parent for file in path.glob(f"*/{FILE}"))
    return f"it is no study, but holds {len(held)}.\n  try: {held[0]}" if held else "it is no study"


def write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Write ``study.yaml``, whole or not at all."""
    write_yaml(path / FILE, settings)
