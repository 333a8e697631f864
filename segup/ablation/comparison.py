"""Runs grouped by decoder, each group against a baseline, and what forbids to compare them."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segup.ablation.runs import Run
from segup.ablation.statistics import Difference, Spread, differences, spread
from segup.calls import annotated
from segup.errors import ConfigError, unknown
from segup.metrics.scores import MIOU, Score


@dataclass(frozen=True)
class Row:
    """One decoder's runs.

    Args:
        name: The operator, and the settings in which it differs from others of that operator.
        runs: One for each seed, in the order of the seeds.
        versus: The difference in mIoU to the baseline over the seeds of both; None for the baseline itself, and where
            no seed is common.
    """

    name: str
    runs: tuple[Run, ...]
    versus: Difference | None

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(run.seed for run in self.runs)

    def score(self, name: str) -> Spread | None:
        """Return the spread of a score or cost over the seeds; None where no run has it."""
        return _spread([{**run.scores, **run.costs}.get(name) for run in self.runs])  # a class that not all runs have


@dataclass(frozen=True)
class Comparison:
    """Decoders side by side.

    Args:
        rows: One for each decoder, in the order in which they were given.
        baseline: The name of the row that the others are held against.
        warnings: What keeps the rows from being compared, or an interval from being known.
        classes: Names of the classes of the first run.
        scores: Those that any of the runs declares.
    """

    rows: tuple[Row, ...]
    baseline: str
    warnings: tuple[str, ...]
    classes: tuple[str, ...]
    scores: tuple[Score, ...]


@annotated
def compare(runs: Sequence[Run], baseline: str | None = None) -> Comparison:
    """Group runs by decoder and hold each group against the baseline.

    Args:
        runs: Finished runs, one or more.
        baseline: The name of a row; the first one by default.

    Raises:
        ConfigError: No runs, two runs of one decoder and seed, or an unknown baseline.
    """
    return compare_groups(_by_decoder(runs), baseline, known=True)


def compare_groups(
    groups: Mapping[str, Sequence[Run]], baseline: str | None = None, *, known: bool = False
) -> Comparison:
    """Hold groups of runs against one of them.

    Args:
        groups: Finished runs by the name of their row, one for each seed.
        baseline: The name of a row, the first one by default; with a name that is no row, no difference is known.
        known: Whether such a name is refused.

    Raises:
        ConfigError: No runs at all, or a refused baseline.
    """
    if known and baseline is not None and baseline not in groups:
        raise ConfigError(unknown("baseline", baseline, groups))
    runs = [run for members in groups.values() for run in members]
    if not runs:
        raise ConfigError("there are no runs to compare: name one run folder or more")
    chosen = next(iter(groups)) if baseline is None else baseline
    paired = {
        name: pairs
        for name, members in groups.items()
        if name != chosen and (pairs := _pairs(members, groups.get(chosen, ())))
    }
    versus = differences(paired)
    rows = tuple(Row(name, tuple(members), versus.get(name)) for name, members in groups.items())
    declared: dict[str, Score] = {}
    for score in itertools.chain.from_iterable(run.declared for run in runs):
        declared.setdefault(score.name, score)
    classes, scores = tuple(runs[0].result["classes"]), tuple(declared.values())
    return Comparison(rows, chosen, tuple(_warnings(runs, rows, chosen)), classes, scores)


def _by_decoder(runs: Sequence[Run]) -> dict[str, tuple[Run, ...]]:
    alike: dict[str, list[Run]] = {}
    for run in runs:
        alike.setdefault(_text(run.decoder), []).append(run)
    groups = {}
    for members in alike.values():
        members.sort(key=lambda run: run.seed)
        for one, other in itertools.pairwise(members):
            if one.seed == other.seed:
                raise ConfigError(
                    f"{one.path} and {other.path} are one decoder with one seed, {one.seed}: name one of them"
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


def _pairs(members: Sequence[Run], baseline: Sequence[Run]) -> list[float]:
    theirs = {run.seed: run.scores[MIOU.name] for run in baseline}
    mine = {run.seed: run.scores[MIOU.name] for run in members}
    return [
        score - other for seed, score in mine.items() if score is not None and (other := theirs.get(seed)) is not None
    ]


def _warnings(runs: Sequence[Run], rows: Sequence[Row], baseline: str) -> list[str]:
    found = []
    for key, values in _differing(runs, lambda run: run.setting).items():
        found.append(f"not comparable: {key} differs: {' | '.join(values)}")
    for key, values in _differing(runs, lambda run: _place(run.result["environment"])).items():
        found.append(f"times and memory are not comparable: {key} differs: {' | '.join(values)}")
    if len({row.seeds for row in rows}) > 1:
        seeds = "; ".join(f"{row.name}: {', '.join(map(str, row.seeds))}" for row in rows)
        found.append(f"seeds differ ({seeds}): differences are over the seeds that both have")
    single = [row.name for row in rows if len(row.runs) == 1]
    if single:
        found.append(f"one seed alone, so no spread is known: {', '.join(single)}")
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
    """Return the keys whose values are not the same in all runs, with the values."""
    seen = [of(run) for run in runs]
    values = {
        key: list(dict.fromkeys(_text(one.get(key)) for one in seen))
        for key in dict.fromkeys(k for s in seen for k in s)
    }
    return {key: texts for key, texts in values.items() if len(texts) > 1}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return spread(known) if known else None
