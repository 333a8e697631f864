"""What was run: the command, what differs between the rows, versions, machine, commit and time."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from segup.ablation.runs import Run, experiment
from segup.ablation.study import Study

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


def duration(seconds: float) -> str:
    """Return a time in words.

    >>> duration(42.4), duration(200), duration(9000)
    ('42 s', '3 min 20 s', '2 h 30 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


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
