"""What a report tells, before it is written in any form: what was run, and what came out."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segup.ablation.comparison import ALL, Comparison, Row, compare_study
from segup.ablation.runs import Run, experiment
from segup.ablation.study import Member, Study, read_study
from segup.ablation.tables import Column, cost_columns, score_columns
from segup.ablation.times import Times, floor_text, read_times
from segup.metrics.scores import MIOU
from segup.tables import counted

_IN_COMMON = (
    ("data", "data.name"),
    ("crop", "data.crop_size"),
    ("folds", "data.folds"),
    ("batch", "data.batch_size"),
    ("encoder", "encoder.name"),
    ("topology", "decoder.topology"),
    ("loss", "loss.name"),
    ("optimizer", "optimizer.name"),
    ("learning rate", "optimizer.lr"),
    ("scheduler", "scheduler.name"),
    ("epochs", "trainer.max_epochs"),
)


@dataclass(frozen=True)
class Facts:
    """What was run.

    Args:
        command: As it was typed.
        shared: A few settings that all rows have in common.
        seeds: The seeds that were asked for.
        differences: For each row its settings that are not the same in all rows.
        matched: For each row what was matched to the baseline, in words; empty where nothing was.
        start: For each row how it started, where the study asked for one start.
        environment: Versions, machine and commit, each with all values that occur.
        wall_seconds: Of all runs together.
    """

    command: str
    shared: Mapping[str, str]
    seeds: tuple[int, ...]
    differences: Mapping[str, Mapping[str, str]]
    matched: Mapping[str, str]
    start: Mapping[str, str]
    environment: Mapping[str, str]
    wall_seconds: float


def facts_of(study: Study) -> Facts:
    """Return what was run in a study."""
    first: dict[str, Run] = {}
    for member in study.members:
        if member.run is not None:
            first.setdefault(member.label, member.run)
    configs = {label: experiment(run.result["config"]) for label, run in first.items()}
    keys = dict.fromkeys(key for config in configs.values() for key in config)
    differing = {key for key in keys if len({text(config.get(key)) for config in configs.values()}) > 1}
    shared = next(iter(configs.values()), experiment(study.settings.get("config") or {}))
    chosen: Mapping[str, Mapping[str, Any]] = study.settings.get("decoders") or {}
    return Facts(
        command=str(study.settings.get("command") or ""),
        shared={
            name: text(shared[key]) for name, key in _IN_COMMON if shared.get(key) is not None and key not in differing
        },
        seeds=tuple(sorted({member.seed for member in study.members})),
        differences={
            label: {key: text(config[key]) for key in keys if key in differing and config.get(key) is not None}
            for label, config in configs.items()
        },
        matched=_matched(study.settings.get("match"), chosen),
        start={label: str(values["start"]) for label, values in chosen.items() if values and values.get("start")},
        environment=_environment([member.run for member in study.members if member.run is not None]),
        wall_seconds=sum(member.wall_seconds or 0.0 for member in study.members),
    )


def text(value: Any) -> str:
    """Return a setting as a person writes it.

    >>> text("adamw"), text(None), text([128, 64]), text(0.002), text(True)
    ('adamw', 'null', '[128, 64]', '0.002', 'true')
    """
    return value if isinstance(value, str) else json.dumps(value)


def _matched(match: object, chosen: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    if match in (None, "none"):
        return {}
    found = {}
    for label, values in chosen.items():
        if not values or values.get("widths") is None:
            continue
        words = [f"widths {text(list(values['widths']))}"]
        if values.get("budget") is not None:
            words.append(f"{match} {values['budget']:,}")
        if values.get("difference") is not None:
            words.append(f"{values['difference']:+.2%} to the baseline's".replace("-", "−"))
        found[label] = ", ".join(words)
    return found


def _environment(runs: Iterable[Run]) -> dict[str, str]:
    """Return versions, machine and commit; where runs differ, each value once."""
    places: list[Mapping[str, Any]] = [run.result.get("environment") or {} for run in runs]
    packages = _every({"python": place.get("python"), **(place.get("packages") or {})} for place in places)
    named = {"commit": "git_commit", "processor": "processor", "threads of a run": "threads"}
    machines = _every(
        {**{name: place.get(key) for name, key in named.items()}, "GPU": place.get("gpu") or "none"} for place in places
    )
    versions = ", ".join(f"{name} {every}" for name, every in packages.items())
    return {**({"versions": versions} if versions else {}), **machines}


def _every(places: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return for each name all its values that occur, each once."""
    found: dict[str, dict[str, None]] = {}
    for place in places:
        for name, value in place.items():
            if value is not None:
                found.setdefault(name, {})[str(value)] = None
    return {name: " | ".join(values) for name, values in found.items()}


_MATCHED = 0.02  # the relative difference up to which budgets count as equal
SHOWN = 12
"""Rows that figures and pictures show at most; the table has all."""
_NAMED = 6
WORST = "worst-"
"""How the names of figures begin that show a row's worst images; a place among the drawn rows follows."""
STATES = ("finished", "running", "interrupted", "failed", "waiting")


@dataclass(frozen=True)
class Figure:
    """One picture of a report.

    Args:
        name: Of its files, without a suffix.
        title: Its heading.
        caption: What it shows and how to read it.
        png: The picture.
        svg: The same as SVG; None where it is made of pixels.
        width, height: In CSS pixels.
        alt: What is seen, for who does not see it; the title where it is empty.
        of_row: The row that alone it is of, if it is.
    """

    name: str
    title: str
    caption: str
    png: bytes
    svg: bytes | None
    width: int
    height: int
    alt: str = ""
    of_row: str = ""

    @property
    def seen(self) -> str:
        """The text in place of the picture."""
        return self.alt or self.title


@dataclass(frozen=True)
class StudyReport:
    """A study and what is to be told of it.

    Args:
        study: The study.
        comparison: Of its finished runs; None while there are none.
        baseline: The label that the others are held against; the study's own where all pairs are compared.
        facts: What was run.
        warnings: What keeps rows from being compared, or an interval from being known.
        times: Those of the study, once they were measured.
        floor: By how much a run that was trained twice differs from itself, in words; empty where none was.
    """

    study: Study
    comparison: Comparison | None
    baseline: str
    facts: Facts
    warnings: tuple[str, ...]
    times: Times | None = None
    floor: str = ""

    @property
    def title(self) -> str:
        """The heading: the study, and what is compared in it."""
        return f"Ablation {self.study.name}: {self.compared}"

    @property
    def compared(self) -> str:
        """Which decoders are compared, and on which data where all share it."""
        labels = list(dict.fromkeys(member.label for member in self.study.members))
        named = " and ".join([", ".join(labels[:-1]), labels[-1]] if len(labels) > 1 else labels)
        data = self.facts.shared.get("data")
        return (named if len(labels) <= _NAMED else f"{len(labels)} decoders") + (f" on {data}" if data else "")

    @property
    def columns(self) -> list[Column]:
        """The columns of the table: scores, IoU class by class, costs."""
        return [] if self.comparison is None else [*score_columns(self.comparison), *cost_columns(self.comparison)]

    @property
    def unfinished(self) -> list[Member]:
        """The runs that have no result."""
        return [member for member in self.study.members if member.run is None]

    @property
    def progress(self) -> str:
        """How many runs are in which state, in words."""
        return progress(self.study.members)

    @property
    def verdict(self) -> str:
        """What was decided, in a sentence, and what was not."""
        said = "There is nothing to compare yet." if self.comparison is None else self.comparison.conclusion
        return f"{said} {self.progress[0].upper()}{self.progress[1:]}."


def read_report(
    path: str | Path,
    baseline: str | None = None,
    *,
    metric: str | None = None,
    margin: float | None = None,
    level: float | None = None,
) -> StudyReport:
    """Read a study for its report.

    Args:
        path: Its folder.
        baseline: The label that the others are held against, the study's own by default; ``"all"`` for all pairs.
        metric, margin, level: What is decided by, see :class:`segup.ablation.criterion.Criterion`; the study's own by
            default.

    Raises:
        DataError: It is no study.
        ConfigError: It has no such baseline or metric.
    """
    study = read_study(path)
    comparison = compare_study(study, baseline, metric=metric, margin=margin, level=level)
    warnings = ("no run has finished: there is nothing to compare yet",) if comparison is None else comparison.warnings
    shown = baseline if baseline not in (None, ALL) else study.baseline
    floor = "" if comparison is None else floor_text(study, comparison.metric)
    told = (*warnings, *_unmatched(study))
    return StudyReport(study, comparison, shown or "", facts_of(study), told, read_times(study.path), floor)


def _unmatched(study: Study) -> list[str]:
    """Return a warning of the decoders that no widths bring near the baseline's budget."""
    match = study.settings.get("match")
    chosen = {} if match in (None, "none") else study.settings.get("decoders") or {}
    apart = {label: values.get("difference") or 0.0 for label, values in chosen.items()}
    far = [f"{label} " + f"{apart[label]:+.1%}".replace("-", "−") for label in apart if abs(apart[label]) > _MATCHED]
    what = {"params": "parameters", "macs": "MACs"}.get(str(match), match)
    return [f"{what} could not be matched to within {_MATCHED:.0%}: {', '.join(far)}"] if far else []


def progress(members: Sequence[Member]) -> str:
    """Return how many runs are in which state: "17 of 18 runs finished, 1 failed"."""
    counts = {state: sum(member.state == state for member in members) for state in STATES}
    rest = [f"{count} {state}" for state, count in counts.items() if count and state != "finished"]
    runs = counted(len(members), "run")
    return ", ".join([f"{counts['finished']} of {runs} finished", *rest])


def shown_rows(comparison: Comparison) -> list[Row]:
    """Return the rows that are drawn: all, or the baseline and the best by mIoU, in the table's order."""
    if len(comparison.rows) <= SHOWN:
        return list(comparison.rows)

    def rank(row: Row) -> tuple[bool, float]:
        score = row.score(MIOU.name)
        return row.name == comparison.baseline, -1.0 if score is None else score.mean

    best = {row.name for row in sorted(comparison.rows, key=rank, reverse=True)[:SHOWN]}
    return [row for row in comparison.rows if row.name in best]
