"""The determinism floor: one run of a study trained a second time, so that what a repetition alone changes is known."""

from collections.abc import Sequence
from pathlib import Path

from segup.ablation.block import Block
from segup.ablation.member import Status, read_status, write_status
from segup.ablation.plan import RunSpec
from segup.ablation.runs import read_run
from segup.ablation.study import Study
from segup.metrics.scores import Score
from segup.training.config import in_fold
from segup.training.run_folder import write_yaml

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
