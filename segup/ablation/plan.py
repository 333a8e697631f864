"""A study is asked for: its decoders get equal budgets and starts, and its folder is made or continued."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from segup.ablation.block import Block
from segup.ablation.criterion import Criterion
from segup.ablation.member import Status, member_path, stored_status, write_status
from segup.ablation.runs import meant
from segup.ablation.study import FILE, stored_settings, write_settings
from segup.errors import ConfigError, unknown
from segup.lock import LOCK, lock
from segup.training.config import PLACE, RunConfig, in_fold
from segup.training.run_folder import read_config, write_yaml

MATCHES = ("none", "params", "macs")
INTERPOLATE = "interpolate"
STARTS = (None, INTERPOLATE)
_MAY_CHANGE = PLACE | {"name"}


@dataclass(frozen=True)
class RunSpec:
    """One run that a study asks for.

    Args:
        label: Of its decoder.
        seed: The seed.
        config: Its whole configuration, as :class:`segup.training.config.RunConfig` takes it.
    """

    label: str
    seed: int
    config: Mapping[str, Any]

    @property
    def block(self) -> Block:
        """The seed, and the fold that it validates on where the data is in folds."""
        return Block(self.seed, in_fold(self.config.get("data") or {}, self.seed).get("fold"))

    @property
    def member(self) -> tuple[Any, ...]:
        """Label, seed and fold, as a study names its runs."""
        return self.label, *self.block.stored


@dataclass(frozen=True)
class StudySpec:
    """What a study holds all its runs to.

    Args:
        command: As it was typed.
        baseline: The label that the others are held against.
        match: ``"none"``, ``"params"`` or ``"macs"``: what all decoders are to have in common with the baseline.
        start: ``"interpolate"``: every operator that can starts as the same interpolation; None: each its own way.
        config: What all runs share, as it was composed without what was swept.
        decoders: What was chosen for each label, see :class:`segup.ablation.study.Study`.
        criterion: What its report decides by.
        looks: After how many seeds it is looked at, where it goes on until it is decided.
    """

    command: str
    baseline: str
    match: str
    start: str | None
    config: Mapping[str, Any]
    decoders: Mapping[str, Mapping[str, Any]]
    criterion: Criterion = field(default_factory=Criterion)
    looks: tuple[int, ...] = ()


def check_choice(key: str, value: object, known: Sequence[str | None]) -> None:
    """Raise a ConfigError unless ``value`` is one of ``known``."""
    if value not in known:
        names = ["null" if name is None else name for name in known]
        raise ConfigError(f"{key}={value}: {unknown(key, value, names)}")


def baseline_of(stored: Mapping[str, Any] | None, labels: Sequence[str], wanted: str | None) -> str:
    """Return the label that a study's decoders are held against: the one asked for, the study's, or the first.

    Args:
        stored: The content of the study's ``study.yaml``, where it has been begun.
        labels: Of the decoders that are asked for.
        wanted: The label asked for, if any.

    Raises:
        ConfigError: A label that neither the sweep nor the study has.
    """
    before = stored or {}
    known = list(dict.fromkeys([*labels, *(str(label) for label, *_ in before.get("members", []))]))
    baseline = wanted or before.get("baseline") or labels[0]
    if baseline not in known:
        raise ConfigError(f"ablation.baseline={baseline}: {unknown('decoder of the study', baseline, known)}")
    return str(baseline)


def equalized(
    study: Path, stored: Mapping[str, Any] | None, asked: Sequence[RunSpec], terms: StudySpec
) -> tuple[tuple[RunSpec, ...], StudySpec]:
    """Return the runs with the widths and starts that the study's terms ask for, and the terms with what was chosen.

    Args:
        study: The study's folder, where the baseline's configuration lies if it is not among the runs.
        stored: The content of its ``study.yaml``, where it has been begun.
        asked: The runs, as they were typed.
        terms: Of the study.

    Raises:
        ConfigError: A decoder that cannot be matched: unknown parts, or widths that its operator cannot have.
    """
    configs = {run.label: dict(run.config) for run in asked}
    chosen: dict[str, dict[str, Any]] = {label: {} for label in configs}
    if terms.start == INTERPOLATE:
        for label, config in configs.items():
            config["decoder"], chosen[label]["start"] = interpolating(config)
    if terms.match != "none":
        from segup.ablation.match import match_decoders

        baseline = configs.get(terms.baseline)
        if baseline is None:
            member = next(member for member in (stored or {})["members"] if member[0] == terms.baseline)
            baseline = read_config(member_path(study, *member))
        for label, found in match_decoders(configs, baseline, terms.match).items():
            config = configs[label]
            if label != terms.baseline and found.widths:
                config["decoder"] = {**config["decoder"], "widths": list(found.widths)}
            chosen[label] |= {"widths": list(found.widths), "budget": found.budget, "difference": found.difference}
    runs = tuple(replace(run, config={**run.config, "decoder": configs[run.label]["decoder"]}) for run in asked)
    return runs, replace(terms, decoders={label: values for label, values in chosen.items() if values})


def interpolating(config: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return a run's decoder settings with its operator starting as bilinear interpolation, where it can.

    Args:
        config: The run's.

    Returns:
        The settings, and ``"interpolate"``; or the settings as they were, and why not.
    """
    from segup.ablation.match import stages_of
    from segup.decoders.contract import topology_class
    from segup.upsamplers.contract import operator_class

    decoder = dict(config["decoder"])
    chosen = topology_class(str(decoder["topology"])).filled(decoder)
    name, options = str(chosen["upsampler"]), {**chosen["upsampler_options"], "init": INTERPOLATE}
    operator = operator_class(name)
    if "init" not in inspect.signature(operator).parameters:
        return decoder, f"'{name}' has no choice of how it starts"
    try:
        for scale, rounding in stages_of(config):
            own = dict(options)
            if operator.takes_rounding and own.get("rounding") is None:
                own["rounding"] = rounding
            operator(8, 4, scale, skip_channels=4, **own)
    except ConfigError as cause:
        return decoder, str(cause).partition("\n")[0]
    return {**decoder, "upsampler_options": options}, INTERPOLATE


def plan_study(path: Path, asked: Sequence[RunSpec], terms: StudySpec) -> list[Path]:
    """Make the study's folder with a folder for each run, or add to the one that is there, and return the run folders.

    A run that was trained already stays as it is; where and how fast the others are trained may be said anew.

    Args:
        path: The study's folder.
        asked: The runs, in order.
        terms: What they are held to.

    Raises:
        ConfigError: A run's configuration is wrong, two runs have one folder, or the folder holds another study (the
            message shows the difference, and nothing was written).
        DataError: The folder holds what segup did not write.
    """
    for run in asked:
        RunConfig.of(run.config)
    _check_distinct(asked)
    asked = [
        replace(run, config={**run.config, "data": in_fold(run.config.get("data") or {}, run.seed)}) for run in asked
    ]
    if not (path / LOCK).exists():  # nobody has begun a study here
        _check_no_others(path)
    path.mkdir(parents=True, exist_ok=True)
    with lock(path):
        _check_no_others(path)
        before = stored_settings(path)  # read under the lock: another sweep may have begun it since
        changes = {} if before is None else {**_changed_runs(path, asked), **_changed_terms(before, terms)}
        if changes:
            told = [f"{change} in {'; '.join(labels)}" if labels else change for change, labels in changes.items()]
            lines = "\n  ".join(told)
            raise ConfigError(
                f"the study {path} was begun with another configuration; nothing in it was touched:\n  {lines}\n"
                f"  try: the values from before to continue it, or ablation.name=another_name for a study of its own."
            )
        folders = [_prepare(path, run) for run in asked]
        write_settings(path, _settings(terms, asked, before))
    return folders


def _check_no_others(path: Path) -> None:
    """Raise a ConfigError where a folder is no study's and not empty."""
    content = path.iterdir() if path.is_dir() else [path]
    if path.exists() and not (path / FILE).exists() and any(file.name != LOCK for file in content):
        raise ConfigError(f"{path} exists and is no study; nothing in it was touched.\n  try: another ablation.name")


def _check_distinct(asked: Sequence[RunSpec]) -> None:
    seen: set[tuple[Any, ...]] = set()
    for run in asked:
        if run.member in seen:
            raise ConfigError(f"two runs of the sweep are '{run.label}' with {run.block}: name each once")
        seen.add(run.member)


def _settings(terms: StudySpec, asked: Sequence[RunSpec], before: Mapping[str, Any] | None) -> dict[str, Any]:
    members = [] if before is None else [list(member) for member in before["members"]]
    members += [member for run in asked if (member := list(run.member)) not in members]
    decoders = {} if before is None else before.get("decoders", {})
    return {
        "command": terms.command,
        "baseline": terms.baseline,
        "match": terms.match,
        "start": terms.start,
        **asdict(terms.criterion),
        **({"until": "decided", "looks": list(terms.looks)} if terms.looks else {}),
        "config": dict(terms.config),
        "decoders": {**decoders, **{label: dict(chosen) for label, chosen in terms.decoders.items()}},
        "members": members,
    }


def _prepare(study: Path, run: RunSpec) -> Path:
    folder = member_path(study, *run.member)
    folder.mkdir(parents=True, exist_ok=True)
    if stored_status(folder).state != "finished":
        write_yaml(folder / "config.yaml", run.config)
        if not (folder / "status.json").exists():
            write_status(folder, Status())
    return folder


def _changed_terms(before: Mapping[str, Any], terms: StudySpec) -> dict[str, list[str]]:
    # the baseline is what widths are matched to; otherwise it is the report's alone
    keys = ["match", "start"] if terms.match == "none" else ["match", "start", "baseline"]
    was = {f"ablation.{key}": before.get(key) for key in keys} | _until(before.get("looks"))
    now = {f"ablation.{key}": getattr(terms, key) for key in keys} | _until(terms.looks)
    return {change: [] for change in [*_changes(was, now), *_changes(before.get("config") or {}, terms.config)]}


def _until(looks: Sequence[int] | None) -> dict[str, Any]:
    return {"ablation.until": "decided" if looks else None, "ablation.max_seeds": looks[-1] if looks else None}


def _changed_runs(study: Path, asked: Sequence[RunSpec]) -> dict[str, list[str]]:
    """Return how the configurations differ of runs that were planned before, and the labels of those that do."""
    found: dict[str, list[str]] = {}
    for run in asked:
        file = member_path(study, *run.member) / "config.yaml"
        if file.exists():
            for change in _changes(read_config(file.parent), run.config):
                if run.label not in found.setdefault(change, []):
                    found[change].append(run.label)
    return found


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    was, will_be = meant(before), meant(now)
    return [
        f"{key} was {_text(was.get(key))} and is now {_text(will_be.get(key))}"
        for key in dict.fromkeys((*was, *will_be))
        if was.get(key) != will_be.get(key) and key not in _MAY_CHANGE
    ]


def _text(value: object) -> str:
    return "null" if value is None else str(value)
