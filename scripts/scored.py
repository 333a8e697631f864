"""Scores of a study's runs on the test images, each written once beside its run."""

import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from segup.registry import outside_module
from segup.training.run_folder import read_config

if TYPE_CHECKING:
    from segup.ablation.member import Member

TEST = "evaluation-camvid-test.json"


def score_runs(
    members: Iterable["Member"], which: str, at_once: int = 1, threads: int | None = None, until: float | None = None
) -> None:
    """Score each finished run on the test images, in processes of their own.

    Args:
        members: Runs of a study.
        which: The weights, "best" or "last"; the last where a run kept no best.
        at_once: Runs at once.
        threads: CPU threads of each; None: all.
        until: No run is begun after this moment of :func:`time.monotonic`, which all processes of a machine share.
    """
    open_ones = [m.path.resolve() for m in members if m.run is not None and not (m.path / TEST).exists()]
    if not open_ones:
        return
    with ProcessPoolExecutor(min(at_once, len(open_ones)), get_context("spawn")) as processes:
        done = processes.map(partial(_score, which=which, threads=threads, until=until), open_ones)
        for path, scored in zip(open_ones, done, strict=True):
            if scored:
                print(f"{path.parent.name} seed {path.name}: scored on the test images", flush=True)


def _score(path: Path, which: str, threads: int | None, until: float | None) -> bool:
    """Score a run, and return whether there was time."""
    if until is not None and time.monotonic() > until:
        return False
    from segup.evaluation.evaluate import evaluate_run, write_report
    from segup.evaluation.runs import open_run

    if threads is not None:
        torch.set_num_threads(threads)
    config = read_config(path)
    module = outside_module(str(config["decoder"]["upsampler"]))  # which the study's own command has named
    weights = which if (path / f"{which}.ckpt").exists() else "last"
    device = "cpu" if config["trainer"]["accelerator"] == "cpu" else "auto"
    opened = open_run(path, weights, trust=[] if module is None else [module], device=device)
    write_report(evaluate_run(opened, config["data"], "test"), path / TEST)
    return True
