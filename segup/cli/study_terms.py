"""The words of a sweep, checked: what it holds its runs to, what hands them over, and how many one machine trains."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Annotated, Any

from segup.ablation.criterion import Criterion
from segup.ablation.plan import MATCHES, STARTS, StudySpec, baseline_of, check_choice
from segup.ablation.rounds import DECIDED, looks_asked
from segup.calls import check
from segup.cli.sweep import Sweep
from segup.conform import Within
from segup.errors import ConfigError
from segup.host import usable_processors as cores
from segup.metrics.scores import OWN_SCORES, Score, shown_in
from segup.statistics.looks import Most
from segup.training.config import check_name


def study_spec(sweep: Sweep, stored: Mapping[str, Any] | None) -> StudySpec:
    """Return what a sweep holds its runs to.

    Args:
        sweep: What was asked for.
        stored: The content of the study's ``study.yaml``, where it has been begun.

    Raises:
        ConfigError: A word of the group ``ablation`` is wrong.
    """
    ablation = sweep.ablation
    check_name("ablation.name", ablation["name"], "ablations/")
    check_choice("ablation.match", ablation["match"], MATCHES)
    check_choice("ablation.start", ablation["start"], STARTS)
    baseline = baseline_of(stored, [run.label for run in sweep.asked], ablation["baseline"])
    criterion = Criterion(**{key: ablation[key] for key in ("metric", "margin", "level")})
    for run in sweep.asked:
        _check_metric(criterion, run.config.get("metric"))
    looks = _looks(sweep, stored, baseline)
    if stored is None and runs_at_once(sweep) is not None:
        _check_folds(sweep)
    return StudySpec(sweep.command, baseline, ablation["match"], ablation["start"], sweep.config, {}, criterion, looks)


def _looks(sweep: Sweep, stored: Mapping[str, Any] | None, baseline: str) -> tuple[int, ...]:
    """Return after how many seeds the study is looked at; none where it ends with the runs that were asked for."""
    ablation = sweep.ablation
    check_choice("ablation.until", ablation["until"], (None, DECIDED))
    check("ablation.max_hours", Annotated[float, Within(above=0)] | None, ablation["max_hours"])
    check("ablation.max_seeds", Most, ablation["max_seeds"])
    if ablation["until"] is None:
        return ()
    if sweep.launcher_kind != "BasicLauncher":
        raise ConfigError(
            f"ablation.until=decided adds runs as the study goes, and hydra/launcher={sweep.launcher_name} cannot.\n"
            f"  try: hydra/launcher=basic ablation.at_once=2"
        )
    before = (stored or {}).get("looks") or ()
    known = [str(label) for label, *_ in (stored or {}).get("members", ())]
    found = looks_asked(sweep.asked, baseline, ablation["max_seeds"], known)
    return tuple(before) if before and before[-1] == found[-1] else found


def _check_folds(sweep: Sweep) -> None:
    """Raise a DataError where a run's data, on this machine, is in more folds than it has images or groups."""
    seen: list[Mapping[str, Any]] = []
    for run in sweep.asked:
        data = {**(run.config.get("data") or {}), "fold": None}
        if data.get("folds") is None or data in seen:
            continue
        seen.append(data)
        from segup.data import create_data  # here: a study without folds is planned without torch

        create_data(data, run.seed).check_folds()


def _check_metric(criterion: Criterion, also: Mapping[str, Any] | None) -> None:
    """Raise a ConfigError unless runs will have the score to decide by: segup's own, or of a metric named for them."""
    declared: Sequence[Score] = OWN_SCORES
    if also:
        from segup.metrics import create_metrics

        declared = create_metrics(2, also=also).scores
    try:
        criterion.score(shown_in("study", declared))
    except ConfigError as cause:
        raise ConfigError(f"ablation.metric={criterion.metric}: {cause}") from None


def runs_at_once(sweep: Sweep) -> int | None:
    """Return how many runs one machine trains at a time; None where the launcher spreads them over several.

    Raises:
        ConfigError: ``ablation.at_once`` is no int of 1 or more.
    """
    wanted = checked_at_once(sweep.ablation["at_once"])
    kind = sweep.launcher_kind
    if kind == "BasicLauncher":
        return wanted or 1
    if kind == "LocalLauncher":
        return wanted or cores()
    if kind == "JoblibLauncher":
        jobs = int(sweep.launcher["n_jobs"])
        jobs = jobs if jobs > 0 else max(1, cores() + 1 + jobs)
        return min(jobs, wanted or jobs)
    if kind == "RayLauncher":
        ray = sweep.launcher["ray"]
        if ray["init"].get("address") is None:
            return max(1, int((ray["init"].get("num_cpus") or cores()) / (ray["remote"].get("num_cpus") or 1)))
    return None


def checked_at_once(wanted: Any) -> int | None:
    """Return ``ablation.at_once``, or raise a ConfigError unless it is an int of 1 or more, or None."""
    check("ablation.at_once", Annotated[int, Within(1)] | None, wanted)
    found: int | None = wanted
    return found


def check_launcher(sweep: Sweep) -> None:
    """Raise a ConfigError where the sweep's launcher is not installed."""
    module = str(sweep.launcher["_target_"]).split(".")[:2]
    if module[0] != "hydra_plugins":
        return
    try:
        found = find_spec(".".join(module))
    except ModuleNotFoundError:
        found = None
    if found is None:
        extra = sweep.launcher_name.partition("_")[0]
        raise ConfigError(
            f"hydra/launcher={sweep.launcher_name} needs {module[1].replace('_', '-')}, which is not installed.\n"
            f"  try: pip install 'segup[{extra}]'"
        )
