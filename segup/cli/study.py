"""A sweep from its command to its report: planned, trained by Hydra's launcher, shown, and reported."""

import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from segup.ablation.member import read_member
from segup.ablation.plan import RunSpec, StudySpec, equalized, plan_study
from segup.ablation.processes import Processes, free_slot
from segup.ablation.rounds import rounds
from segup.ablation.study import read_study, stored_settings
from segup.ablation.times import may_be_measured, measure, plan_floor
from segup.calls import check
from segup.cli.report import FAILED
from segup.cli.study_terms import check_launcher, runs_at_once, study_spec
from segup.cli.study_view import StudyView
from segup.cli.sweep import Sweep
from segup.errors import INTERRUPTED, ConfigError, SegupError, refusals_named
from segup.host import usable_processors
from segup.lock import HeldError, lock
from segup.registry import outside_module
from segup.stored import visible
from segup.terminal import endings_answered

Launch = Callable[[Callable[[Any], None]], None]


def run_study(sweep: Sweep, launch: Launch | None = None) -> int:
    """Train the sweep's runs, write the report and return the exit code.

    Args:
        sweep: What was asked for.
        launch: Hands a task to Hydra, whose launcher calls it for each run wherever it sees fit; None where none does,
            and the runs are trained on this machine.

    Raises:
        SegupError: The study cannot be begun; nothing was trained.
    """
    check_launcher(sweep)
    check("ablation.floor", bool, sweep.ablation["floor"])
    if launch is None and sweep.launcher_kind != "BasicLauncher":
        raise ConfigError(
            f"hydra/launcher={sweep.launcher_name} is for the command line.\n"
            f"  try: segup train -m with the same words, or ablation.at_once=2, two runs at once on this machine."
        )
    at_once = runs_at_once(sweep)
    stored = stored_settings(sweep.path)
    asked, folders, terms = _planned(sweep.path, stored, sweep.asked, study_spec(sweep, stored), at_once)

    def train() -> None:
        if launch is None or sweep.launcher_kind == "BasicLauncher":
            _train_here(at_once or 1, folders)
        else:
            slots = at_once if sweep.launcher_kind in ("LocalLauncher", "JoblibLauncher") else None
            launch(StudyTask(folders, Path.cwd(), slots))

    local, hours = sweep.launcher_kind == "BasicLauncher", sweep.ablation["max_hours"]
    return _carried_out(sweep.path, asked, at_once, train, terms, hours, local, local and sweep.ablation["floor"])


def run_here(study: Path, asked: Sequence[RunSpec], terms: StudySpec, at_once: int = 1) -> int:
    """Train a study's runs on this machine, for a script that composed them, write the report; return the exit code.

    Args:
        study: Its folder; one that is there is continued.
        asked: The runs, in order.
        terms: What they are held to.
        at_once: How many are trained at a time.

    Raises:
        SegupError: The study cannot be begun; nothing was trained.
    """
    asked, folders, terms = _planned(study, stored_settings(study), asked, terms, at_once)
    return _carried_out(study, asked, at_once, lambda: _train_here(at_once, folders), terms)


def _planned(
    study: Path, stored: Mapping[str, Any] | None, asked: Sequence[RunSpec], terms: StudySpec, at_once: int | None
) -> tuple[tuple[RunSpec, ...], tuple[Path, ...], StudySpec]:
    asked, terms = equalized(study, stored, _sharing_cores(asked, at_once), terms)
    return asked, tuple(folder.resolve() for folder in plan_study(study, asked, terms)), terms


def _carried_out(
    study: Path,
    asked: Sequence[RunSpec],
    at_once: int | None,
    train: Callable[[], None],
    terms: StudySpec,
    max_hours: float | None = None,
    measures: bool = True,
    floor: bool = False,
) -> int:
    """Train under the study's view, in rounds if it has them, write the report, and return the exit code."""
    members = [run.member for run in asked]
    with StudyView(study, members, at_once or len(members)) as view, _termination_as_interrupt():
        try:
            train()
            for runs in rounds(study, asked, max_hours) if terms.looks else ():
                new = [run.member for run in runs if run.member not in members]
                members += new
                view.add(new)
                _train_here(at_once or 1, [folder.resolve() for folder in plan_study(study, runs, terms)])
            if floor and (again := plan_floor(study, asked, terms.baseline)) is not None:
                _train_here(1, [again.resolve()])
            stopped = False
        except KeyboardInterrupt:
            stopped = True
    if stopped:
        print("interrupted: the same command continues the study", file=sys.stderr)
        return INTERRUPTED
    if measures:
        _measure(study, asked)
    _write_report(study, asked)
    return _outcome(study, members)


def _measure(path: Path, asked: Sequence[RunSpec]) -> None:
    """Measure times where nothing of the study runs any more and they are not known."""
    try:
        study = read_study(path)
        if not may_be_measured(study):
            return
        with lock(path, ".times.lock", patience=0):
            print("measuring times: the decoders take turns, and nothing else of the study runs", flush=True)
            fault = measure(study, trusted_by(asked))
    except HeldError:
        return  # another sweep of this study measures
    except SegupError as cause:
        fault = str(cause).partition("\n")[0]
    except KeyboardInterrupt:
        fault = "interrupted"
    if fault is not None:
        print(visible(f"times were not measured: {fault}"), file=sys.stderr)


class StudyTask:
    """What Hydra calls for each run, in whichever process its launcher made, perhaps on another machine.

    Args:
        folders: The run folders, by Hydra's job number.
        place: The folder in which the command was given.
        slots: How many of them one machine trains at a time; None where the launcher sees to that.
    """

    def __init__(self, folders: Sequence[Path], place: Path, slots: int | None) -> None:
        self._folders, self._place, self._slots = tuple(folders), place, slots

    def __call__(self, composed: Any) -> None:
        """Train the run and wait for its end."""
        folder = self._folders[HydraConfig.get().job.num]
        os.chdir(self._place)
        multiprocessing.set_start_method("forkserver", force=True)  # not joblib's, which only joblib knows
        with free_slot(folder.parents[1], self._slots):
            processes = Processes()
            try:
                processes.begin(folder)
                processes.finish()
            except KeyboardInterrupt:
                processes.stop()
                raise


def _train_here(at_once: int, folders: Sequence[Path]) -> None:
    """Train the runs in order, ``at_once`` at a time."""
    processes = Processes(at_once)
    try:
        for folder in folders:
            processes.begin(folder)
        processes.finish()
    except KeyboardInterrupt:
        print("stopping: each run finishes its step and saves", file=sys.stderr, flush=True)
        processes.stop()
        raise


def _sharing_cores(asked: Sequence[RunSpec], at_once: int | None) -> tuple[RunSpec, ...]:
    """Give each of several runs on one machine its share of the cores, where nothing else is asked for."""
    several = min(at_once or 1, len(asked))
    if several == 1:
        return tuple(asked)
    share = max(1, usable_processors() // several)
    return tuple(replace(run, config=_with_cores(dict(run.config), share)) for run in asked)


def _with_cores(config: dict[str, Any], share: int) -> dict[str, Any]:
    if config["trainer"].get("threads") is None:
        config["trainer"] = {**config["trainer"], "threads": share}
    if "num_workers" in config["data"] and config["data"]["num_workers"] is None:
        config["data"] = {**config["data"], "num_workers": min(8, share - 1)}
    return config


def _outcome(study: Path, members: Sequence[tuple[Any, ...]]) -> int:
    mine = [read_member(study, *member) for member in members]
    of_state = {
        state: [m.name for m in mine if m.state == state] for state in ("failed", "running", "waiting", "interrupted")
    }
    if of_state["running"]:
        print(f"trained by another process: {', '.join(of_state['running'])}")
    unfinished = of_state["waiting"] + of_state["interrupted"]
    if of_state["failed"] or unfinished:
        counted = f"{len(of_state['failed'])} of {len(mine)} runs failed: {', '.join(of_state['failed'])}"
        stopped = f"not finished: {', '.join(unfinished)}"
        print(
            "; ".join([counted] * bool(of_state["failed"]) + [stopped] * bool(unfinished)) + "\n"
            "  try: the same command again: finished runs are kept, the others taken up where they ended.",
            file=sys.stderr,
        )
        return FAILED
    return 0


def _write_report(study: Path, asked: Sequence[RunSpec]) -> None:
    from segup.ablation.report.content import read_report
    from segup.ablation.report.write import write_pages

    with refusals_named():
        report = read_report(study)
        page = write_pages(report, trusted_by(asked))
        print(visible(report.verdict))
    print(f"report: {page}")


def trusted_by(asked: Sequence[RunSpec]) -> list[str]:
    """Return the modules outside segup that the command of a study itself named for its parts."""
    return sorted(_outside_modules([dict(run.config) for run in asked]))


def _outside_modules(value: Any) -> set[str]:
    """Return the modules outside segup that the command itself named for its parts."""
    if isinstance(value, str):
        module = outside_module(value) if re.fullmatch(r"[\w.]+:[\w.]+", value) else None
        return set() if module is None else {module}
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return {module for part in parts for module in _outside_modules(part)}


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM, of schedulers, and SIGHUP, of a terminal that closes, do what Ctrl-C does."""

    def interrupt(_number: int) -> None:
        raise KeyboardInterrupt

    with endings_answered(interrupt, (signal.SIGTERM, signal.SIGHUP)):
        yield
