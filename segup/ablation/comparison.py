"""Runs grouped by decoder, each group against a baseline, and what forbids to compare them."""

import itertools
import json
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import Any

from segup.ablation.block import Block
from segup.ablation.criterion import Criterion, stored_criterion
from segup.ablation.images import OnOthers, decide_on_others, scores_of
from segup.ablation.runs import FOUND, Run
from segup.ablation.study import FILE, Study, read_study
from segup.ablation.times import read_times, spreads
from segup.calls import annotated
from segup.errors import ConfigError, DataError, unknown
from segup.metrics.scores import Score
from segup.statistics import Decision, Difference, Spread, conclusion, decide, decide_in_looks, spread
from segup.stored import visible

TIMED = ("step_seconds", "inference_seconds")
"""Costs that can be compared where they were measured in turns."""
ALL = "all"
"""The baseline that means every pair of rows."""


@dataclass(frozen=True)
class Row:
    """One decoder's runs.

    Args:
        name: The operator, and the settings in which it differs from others of that operator.
        runs: One for each block (seed and fold), in their order.
        versus: The difference in the metric to the baseline over the blocks of both; None for the baseline itself,
            where none is common, and where all pairs are compared.
        times: The seconds of a step and of an image where they were measured in turns, as in a study; None: each run
            measured its own.
    """

    name: str
    runs: tuple[Run, ...]
    versus: Difference | None
    times: Mapping[str, Spread] | None = None

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The seeds, with their folds."""
        return tuple(run.block for run in self.runs)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(run.seed for run in self.runs)

    def score(self, name: str) -> Spread | None:
        """Return the spread of a score or cost over the seeds, each the mean of its folds; None where no run has it.

        Times that were measured in turns have their median, and the deviation over the turns.
        """
        if self.times is not None and name in TIMED:
            return self.times.get(name)
        found = [(run.seed, {**run.scores, **run.costs}.get(name)) for run in self.runs]
        known = [(seed, value) for seed, value in found if value is not None]  # a class that not all runs have
        return spread(by_seed(known)) if known else None


def by_seed(values: Iterable[tuple[int, float]]) -> list[float]:
    """Return one value for each seed: the mean of those that go with it, one for each fold.

    >>> by_seed([(0, 0.5), (1, 0.25), (0, 1.0)])
    [0.75, 0.25]
    """
    found: dict[int, list[float]] = {}
    for seed, value in values:
        found.setdefault(seed, []).append(value)
    return [fmean(of) for of in found.values()]


@dataclass(frozen=True)
class Comparison:
    """Decoders side by side.

    Args:
        rows: One for each decoder, in the order in which they were given.
        baseline: The name of the row that the others are held against; None where all pairs are compared.
        metric: The score by which it is decided.
        decision: What the runs show on the images that they were scored on.
        on_others: What they show of other images of their kind; None where that is not known, see
            :func:`segup.ablation.images.decide_on_others`.
        warnings: What keeps the rows from being compared, or an interval from being known.
        classes: Names of the classes of the first run.
        scores: Those that any of the runs declares.
    """

    rows: tuple[Row, ...]
    baseline: str | None
    metric: Score
    decision: Decision
    warnings: tuple[str, ...]
    classes: tuple[str, ...]
    scores: tuple[Score, ...]
    on_others: OnOthers | None = None

    @property
    def blocks(self) -> list[Block]:
        """The seeds, with their folds, of all rows."""
        return sorted({block for row in self.rows for block in row.blocks}, key=lambda block: block.order)

    @property
    def conclusion(self) -> str:
        """What was decided, in a sentence, what was not, and what holds for other images."""
        said = conclusion(self.decision, self.metric.label)
        return said if self.on_others is None else f"{said} {self.on_others.sentence(self.metric.label)}"


@annotated
def compare(runs: Sequence[Run], baseline: str | None = None, criterion: Criterion | None = None) -> Comparison:
    """Group runs by decoder and hold each group against the baseline.

    Runs of one study with seeds in rounds are decided in its looks. Where other runs are among them, a warning says
    that they are not.

    Args:
        runs: Finished runs, one or more.
        baseline: The name of a row, the first one by default; ``"all"`` for every pair of rows.
        criterion: What is decided by; mIoU with a margin of 0.005 by default.

    Raises:
        ConfigError: No runs, two runs of one decoder and seed, or an unknown baseline or metric.
    """
    groups, folders = _by_decoder(runs), sorted({run.path.resolve().parent.parent for run in runs})
    compared = partial(compare_groups, groups, baseline, criterion, known=True)
    studies, warnings = [], []
    for folder in folders:
        try:
            studies += [read_study(folder)] if (folder / FILE).is_file() else []
        except DataError:
            warnings.append(f"whether seeds came in rounds is not known: {visible(str(folder / FILE))} cannot be read")
    grown = [study for study in studies if study.settings.get("looks")]
    if len(folders) == len(grown) == 1:
        (study,) = grown
        own = compare_study(study)
        taken = 0 if own is None else len(own.decision.looks)
        names = {_label(study, of[0]): name for name, of in groups.items()}
        failed = {names[label]: blocks for label, blocks in study.failed().items() if label in names}
        found = compared(looks=study.settings["looks"], order=_order(study), taken=taken, failed=failed)
        if found.decision.looks or not taken:
            return found
    if grown:
        ways = (f"segup compare {shlex.quote(visible(str(study.path)))}" for study in grown)
        warnings.append(
            "decided as if looked at once, but seeds came in rounds: a difference is called real too often; the "
            f"decision of the rounds: {' and '.join(ways)}"
        )
    found = compared()
    return replace(found, warnings=(*found.warnings, *warnings))


def _label(study: Study, run: Run) -> str | None:
    """Return the row of a study that a run belongs to."""
    return next((member.label for member in study.members if member.path.resolve() == run.path.resolve()), None)


def compare_groups(
    groups: Mapping[str, Sequence[Run]],
    baseline: str | None = None,
    criterion: Criterion | None = None,
    *,
    failed: Mapping[str, Collection[Block]] | None = None,
    known: bool = False,
    looks: Sequence[int] = (),
    order: Sequence[Block] = (),
    taken: int | None = None,
    times: Mapping[str, Mapping[str, Spread]] | None = None,
) -> Comparison:
    """Hold groups of runs against one of them, or against each other.

    Args:
        groups: Finished runs by the name of their row, one for each seed.
        baseline: The name of a row, the first one by default, or ``"all"``; with a name that is no row, no difference
            is known.
        criterion: What is decided by.
        failed: The blocks of runs that failed, by the name of their row.
        known: Whether a baseline that is no row is refused.
        looks: After how many blocks a growing study was looked at; none: it is looked at once.
        order: Of the blocks, for the looks.
        times: Of a study, for each row, see :class:`Row`; None for runs that measured their own.
        taken: How many looks were taken, where another question than this one decided what was run.

    Raises:
        ConfigError: No runs at all, a refused baseline, or an unknown metric.
    """
    if known and baseline is not None and baseline not in (*groups, ALL):
        raise ConfigError(unknown("baseline", baseline, [*groups, ALL]))
    runs = [run for members in groups.values() for run in members]
    if not runs:
        raise ConfigError("there are no runs to compare: name one run folder or more")
    chosen = next(iter(groups)) if baseline is None else baseline
    against = None if chosen == ALL and ALL not in groups else chosen
    declared: dict[str, Score] = {}
    for score in itertools.chain.from_iterable(run.declared for run in runs):
        declared.setdefault(score.name, score)
    criterion = criterion or Criterion()
    metric = criterion.score(declared.values())
    assert metric.better is not None  # a criterion has a direction
    in_looks: dict[str, Any] = {"looks": looks, "blocks": order, "taken": taken} if looks else {}
    again = partial(
        decide_in_looks if looks else decide,
        scores_of(groups, failed or {}, against, metric),
        against,
        **in_looks,
        margin=criterion.margin,
        level=criterion.level,
        better=metric.better,
    )
    decision = again()
    versus = {one.arm: one for one in decision.differences if one.pairs and against is not None}
    rows = tuple(
        Row(name, tuple(members), versus.get(name), None if times is None else times.get(name, {}))
        for name, members in groups.items()
    )
    classes, scores = tuple(runs[0].result["classes"]), tuple(declared.values())
    if decision.looks:
        again = partial(again, taken=len(decision.looks))  # other images are another question: it added no seeds
    others = decide_on_others(groups, decision, metric, again)
    warnings = tuple(_warnings(runs, rows, against, in_rounds=bool(decision.looks), in_turns=times is not None))
    return Comparison(rows, against, metric, decision, warnings, classes, scores, others)


def compare_study(study: Study, baseline: str | None = None, **changes: Any) -> Comparison | None:
    """Return the comparison of a study's finished runs; None while there are none.

    Reports, ``segup compare`` and the rounds of a study all decide by it.

    Args:
        study: The study.
        baseline: The label that the others are held against, the study's own by default; ``"all"`` for all pairs.
        **changes: ``metric``, ``margin`` and ``level`` in place of the study's own.

    Raises:
        ConfigError: It has no such baseline or metric.
    """
    labels = list(dict.fromkeys(member.label for member in study.members))
    if not labels or baseline not in (None, ALL, *labels):
        raise ConfigError(unknown("baseline", baseline, [*labels, ALL]))
    groups, looks = study.finished(), study.settings.get("looks") or ()
    if not groups:
        return None
    order, times = _order(study), spreads(read_times(study.path))
    compared = partial(compare_groups, groups, failed=study.failed(), looks=looks, order=order, times=times)
    criterion, own = stored_criterion(study.settings, **changes), stored_criterion(study.settings)
    if not looks or (criterion == own and baseline in (None, study.baseline)):
        return compared(baseline or study.baseline, criterion)
    taken = len(compared(study.baseline, own).decision.looks)  # which runs there are was decided by the study's own
    return compared(baseline or study.baseline, criterion, taken=taken)


def _order(study: Study) -> list[Block]:
    return list(dict.fromkeys(member.block for member in study.members))


def _by_decoder(runs: Sequence[Run]) -> dict[str, tuple[Run, ...]]:
    alike: dict[str, list[Run]] = {}
    for run in runs:
        alike.setdefault(_text(run.decoder), []).append(run)
    groups = {}
    for members in alike.values():
        members.sort(key=lambda run: run.block.order)
        for one, other in itertools.pairwise(members):
            if one.block == other.block:
                fold = "" if one.block.fold is None else f", on fold {one.block.fold}"
                raise ConfigError(
                    f"{one.path} and {other.path} are one decoder with one seed, {one.seed}{fold}: name one of them"
                )
        others = [run for run in runs if run.upsampler == members[0].upsampler]
        groups[_name(members[0], others)] = tuple(members)
    return groups


def _name(run: Run, others: Sequence[Run]) -> str:
    """Return the operator, with the settings that not all ``others`` of it have."""
    own = run.decoder
    keys = dict.fromkeys(key for other in (run, *others) for key in other.decoder)
    differing = [key for key in keys if len({_text(other.decoder.get(key)) for other in others}) > 1]
    settings = ", ".join(f"{key}={own.get(key)}" for key in differing)
    return f"{run.upsampler} ({settings})" if settings else run.upsampler


def _warnings(
    runs: Sequence[Run], rows: Sequence[Row], baseline: str | None, *, in_rounds: bool, in_turns: bool
) -> list[str]:
    found, own = [], "memory is" if in_turns else "times and memory are"  # what each run measured for itself
    for key, values in _differing(runs, lambda run: run.setting).items():
        found.append(f"not comparable: {key} differs: {' | '.join(values)}")
    for key, values in _differing(runs, lambda run: _place(run.result["environment"])).items():
        found.append(f"{own} not comparable: {key} differs: {' | '.join(values)}")
    if len({row.blocks for row in rows}) > 1 and not in_rounds:
        seeds = "; ".join(f"{row.name}: {', '.join(block.short for block in row.blocks)}" for row in rows)
        found.append(f"seeds differ ({seeds}): differences are over the seeds that both have")
    single = [row.name for row in rows if len(set(row.seeds)) == 1]
    if single:
        found.append(f"one seed alone, so no spread is known: {', '.join(single)}")
    if baseline is None:
        return found
    if baseline not in {row.name for row in rows}:
        return [*found, f"the baseline {baseline} has no finished run: no difference to it is known"]
    unpaired = [row.name for row in rows if row.versus is None and row.name != baseline]
    if unpaired:
        found.append(f"no seed in common with {baseline}: {', '.join(unpaired)}")
    return found


def _place(environment: Mapping[str, Any]) -> dict[str, Any]:
    packages = environment.get("packages") or {}
    return {**{key: environment.get(key) for key in ("processor", "threads", "gpu")}, "torch": packages.get("torch")}


def _differing(runs: Sequence[Run], of: Callable[[Run], Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the keys whose values are not the same in all runs, with the values; nothing of what is not known."""
    seen = [of(run) for run in runs]
    values = {
        key: list(dict.fromkeys(_text(one.get(key)) for one in seen if one.get(key) is not None or not found))
        for key in dict.fromkeys(k for s in seen for k in s)
        for found in [key.startswith(FOUND)]
    }
    return {key: texts for key, texts in values.items() if len(texts) > 1}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
