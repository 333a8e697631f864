"""What a report tells, before it is written in any form."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segup.ablation.comparison import ALL, Comparison, Row, compare_study
from segup.ablation.floor import floor_text
from segup.ablation.report.facts import Facts, facts_of
from segup.ablation.study import Member, Study, read_study
from segup.ablation.tables import Column, cost_columns, score_columns
from segup.ablation.times import Times, read_times
from segup.metrics.scores import MIOU

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
class Report:
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
) -> Report:
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
    return Report(study, comparison, shown or "", facts_of(study), told, read_times(study.path), floor)


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
    runs = f"{len(members)} run{'' if len(members) == 1 else 's'}"
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
