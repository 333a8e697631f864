"""``segup.train``: one run, as ``segup train`` makes it."""

import os
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from segup.ablation.runs import Run, read_run
from segup.api.words import run_words
from segup.calls import annotated
from segup.cli.composed import checked, composed, configs_folder, own_hydra
from segup.cli.data_words import with_files
from segup.cli.explained import check_choices, explained
from segup.cli.sweep import Sweep, read_sweep
from segup.cli.train import train_config
from segup.errors import ConfigError, refusals_named
from segup.imports import children_kept_off

_SEEDS = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")
"""Variables that Lightning sets with every seed."""


@annotated
def train(data: str | Path | Mapping[str, Any] | None = None, /, *words: str, **values: Any) -> Run:
    """Train as ``segup train`` does, and return the finished run.

    Args:
        data: A data set's word (``"cells"``), a file of data (``"my_data.yaml"``), or a dictionary of what such a
            file holds. None: ``data=`` is among the values, or ``ckpt_path``.
        *words: Overrides as they are typed: ``"encoder=timm"``, ``"encoder.name=resnet18"``.
        **values: The same by key: ``decoder="dysample", seed=0, trainer={"max_epochs": 5}``. A dictionary sets the
            keys of its group.

    The run's folder is that of the command: ``outputs/<name>/<decoder>/<seed>-<time>`` in the current folder, or
    ``run_dir``. ``segup.train(ckpt_path=run.path / "last.ckpt")`` continues a run. Random numbers, threads and Hydra's
    state are afterwards as they were.

    Raises:
        SegupError: What the command refuses: a ConfigError for a wrong word or value, a DataError for the data.

    >>> train("cells", decoder="decov")
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: decoder=decov: unknown decoder option 'decov': did you mean 'deconv'? known: ...
    """
    given = with_files(run_words(data, words, values))
    if composed_sweep(given, "segup train") is not None:
        raise ConfigError(f"{' '.join(given)} asks for several runs.\n  try: segup.sweep with the same arguments")
    with refused_as_command(given):
        config = checked(composed(given), given)
    with refusals_named(), children_kept_off(), _left_as_it_was():
        return read_run(train_config(config))


def composed_sweep(words: Sequence[str], program: str) -> Sweep | None:
    """Return the sweep that the words ask for, None for a single run."""
    with own_hydra(), refused_as_command(words):
        check_choices(words)
        return read_sweep(program, words, configs_folder())


@contextmanager
def refused_as_command(words: Sequence[str]) -> Iterator[None]:
    """Raise what the command would print for Hydra's errors."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise explained(error, words) from None


@contextmanager
def _left_as_it_was() -> Iterator[None]:
    """Put back random numbers, threads and warnings, which a run sets for a process of its own."""
    python, arrays, threads = random.getstate(), np.random.get_state(), torch.get_num_threads()
    seeds = {name: os.environ.get(name) for name in _SEEDS}
    devices = range(torch.cuda.device_count())
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)
        torch.set_num_threads(threads)
        for name, value in seeds.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
