"""Times of a study, measured in turns when nothing else of it runs, and what training one run a second time changes."""

import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NotRequired, TypedDict

from segup.ablation.block import Block
from segup.ablation.member import Status, read_status, write_status
from segup.ablation.plan import RunSpec
from segup.ablation.processes import begin_apart, start_apart
from segup.ablation.runs import read_run
from segup.ablation.study import Study
from segup.conform import Name, Within
from segup.errors import SegupError
from segup.metrics.scores import Score
from segup.statistics import Spread, spread
from segup.stored import all_visible, as_written, read_json, visible
from segup.tables import counted
from segup.training.config import in_fold
from segup.training.run_folder import environment, read_config, write_json, write_yaml

FILE = "times.json"
_Seconds = Annotated[list[Annotated[float, Within(0, 1e9)]], Within(1, 1000)]


class Timed(TypedDict):
    """The seconds of one decoder in each turn."""

    step_seconds: _Seconds
    inference_seconds: _Seconds


class Times(TypedDict):
    """What ``times.json`` holds: on what it was measured, and each decoder's seconds."""

    processor: NotRequired[str | None]
    threads: NotRequired[Annotated[int, Within(1, 10**6)] | None]
    gpu: NotRequired[str | None]
    torch: NotRequired[str | None]
    decoders: dict[Name, Timed]


def read_times(path: Path) -> Times | None:
    """Return the times of the study in ``path``; None where they have not been measured.

    Raises:
        DataError: The file is not what segup writes.
    """
    try:
        times: Times = as_written(Times, all_visible(read_json(path / FILE)), path / FILE)
    except FileNotFoundError:
        return None
    return times


def spreads(times: Times | None) -> dict[str, dict[str, Spread]]:
    """Return for each decoder the median of each kind of time with one standard deviation over the turns.

    >>> found = spreads({"decoders": {"deconv": {"step_seconds": [1.0, 4.0, 2.0], "inference_seconds": [0.5]}}})
    >>> found["deconv"]["step_seconds"].mean, found["deconv"]["inference_seconds"].count
    (2.0, 1)
    """
    decoders: Mapping[str, Any] = {} if times is None else times["decoders"]
    return {
        label: {kind: replace(spread(seconds), mean=median(seconds)) for kind, seconds in kinds.items()}
        for label, kinds in decoders.items()
    }


def measured_on(times: Times) -> str:
    """Return on what times were measured, in words.

    >>> measured_on({"processor": "a processor", "threads": 2, "gpu": None, "decoders": {}})
    'a processor, 2 threads'
    """
    threads = times.get("threads")
    cpu = [times.get("processor"), None if threads is None else counted(threads, "thread")]
    return ", ".join(str(part) for part in ([times["gpu"]] if times.get("gpu") else cpu) if part)


def may_be_measured(study: Study) -> bool:
    """Return whether nothing of a study runs or waits, and some decoder has not been measured."""
    ended = all(member.state in ("finished", "failed") for member in study.members)
    finished = {member.label for member in study.members if member.run is not None}
    return ended and bool(finished) and finished != set((read_times(study.path) or {"decoders": {}})["decoders"])


def measure(study: Study, trust: Sequence[str] = ()) -> str | None:
    """Measure all decoders of a study that finished, in a process of their own, and write ``times.json``.

    Args:
        study: The study.
        trust: Modules outside segup that its runs may name.

    Returns:
        Why nothing could be measured, or None.
    """
    folders = {member.label: member.path for member in study.members if member.run is not None}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["segup.training.run"])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(folders, study.path, tuple(trust), there), daemon=True)
    start_apart(process)
    there.close()
    try:
        said: str | None = here.recv()
    except EOFError:
        said = f"its process ended with exit code {process.exitcode}"
    finally:
        if process.is_alive():
            process.terminate()
        process.join()
    return said


def _measure(folders: Mapping[str, Path], path: Path, trust: Sequence[str], there: Any) -> None:
    from segup.names import check_trust
    from segup.training.config import RunConfig
    from segup.training.cost import measured_in_turns

    begin_apart()
    try:
        stored = {label: read_config(folder) for label, folder in folders.items()}
        for label, values in stored.items():
            parts = [values.get(key) for key in ("encoder", "neck", "decoder", "loss", "optimizer")]
            check_trust([*parts, (values.get("data") or {}).get("name")], trust, folders[label])
        configs = {label: RunConfig.of(values) for label, values in stored.items()}
        found = measured_in_turns(configs)
        place = environment()
        told = {key: place[key] for key in ("processor", "threads", "gpu")}
        write_json(path / FILE, {**told, "torch": place["packages"]["torch"], "decoders": found})
        there.send(None)
    except SegupError as cause:
        there.send(visible(str(cause).partition("\n")[0]))


FOLDER = ".floor"
"""Of the second run, in the study's."""


def plan_floor(path: Path, asked: Sequence[RunSpec], baseline: str) -> Path | None:
    """Make the folder in which the baseline's first run is trained again; None where that run is not among ``asked``.

    Args:
        path: The study's folder.
        asked: The study's runs.
        baseline: The label.
    """
    spec = next((run for run in asked if run.label == baseline), None)
    if spec is None:
        return None
    folder = path / FOLDER / spec.label / spec.block.folder
    if not (folder / "status.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_yaml(folder / "config.yaml", {**spec.config, "data": in_fold(spec.config.get("data") or {}, spec.seed)})
        write_status(folder, Status())
    return folder


def floor_text(study: Study, metric: Score) -> str:
    """Return by how much a run that was trained twice differs from itself, in a sentence; empty where none was.

    Raises:
        DataError: A file of the second run is not what segup writes.
    """
    for member in study.members:
        folder = study.path / FOLDER / member.label / Block(member.seed, member.fold).folder
        if member.run is None or not folder.is_dir() or read_status(folder).state != "finished":
            continue
        first, again = (run.scores.get(metric.name) for run in (member.run, read_run(folder)))
        if first is not None and again is not None:
            apart = abs(first - again)
            told = "a smaller difference between decoders is none" if apart else "training repeats itself exactly"
            return f"{member.name} was trained twice: its {metric.label} differs by {apart:.2g}; {told}."
    return ""
