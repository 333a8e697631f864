"""``segup.train``: arguments of Python as words of the command line, and one run, as ``segup train`` makes it."""

import os
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from segup.ablation.runs import Run, read_run
from segup.calls import annotated
from segup.cli.composed import checked, composed, configs_folder, own_hydra
from segup.cli.data_words import as_words, with_files
from segup.cli.explained import check_choices, explained
from segup.cli.sweep import Sweep, read_sweep
from segup.cli.train import train_config
from segup.conform import short
from segup.errors import ConfigError, refusals_named
from segup.imports import children_kept_off
from segup.overrides import as_value

Data = str | Path | Mapping[str, Any]
_Write = Callable[[Any], str]


def run_words(data: Data | None, words: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """Return the overrides of one run.

    Args:
        data: A data set's word, a file of data, or what such a file holds; None: among the values, or of the run that
            goes on.
        words: Overrides as they are typed.
        values: By key. A dictionary sets the keys of its group.

    >>> run_words("cells", ["encoder=timm"], {"encoder.name": "resnet18", "trainer": {"max_epochs": 5}, "seed": 0})
    ['data=cells', 'encoder=timm', 'encoder.name=resnet18', 'trainer.max_epochs=5', 'seed=0']
    >>> run_words({"name": "folder", "root": "my images"}, [], {})
    ['data=folder', "++data.root='my images'"]
    """
    return _written(data, words, values, as_value)


def sweep_words(data: Data | None, words: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """Return the overrides of several runs: a list, tuple or range that is given to a key has one value for each.

    >>> sweep_words("cells", [], {"decoder": ["deconv", "bilinear"], "seed": range(2), "data": {"crop_size": [64, 64]}})
    ['data=cells', 'decoder=deconv,bilinear', 'seed=0,1', 'data.crop_size=[64,64]']
    >>> sweep_words("cells", [], {"seed": range(0)})
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: seed=range(0, 0) has no value, so that there is no run.
      try: without seed
    """
    for key, value in values.items():
        if isinstance(value, list | tuple | range) and not value:
            raise ConfigError(f"{key}={value!r} has no value, so that there is no run.\n  try: without {key}")
    return _written(data, words, values, _swept)


def _written(data: Data | None, words: Sequence[str], values: Mapping[str, Any], value: _Write) -> list[str]:
    typed, among = _typed(words), values.get("data")
    if among is not None and not (isinstance(among, Mapping) and "name" not in among):
        data, values = among, {key: given for key, given in values.items() if key != "data"}
    keys = [word.partition("=")[0] for word in typed]
    goes_on = data is None and "ckpt_path" in (*keys, *values)
    first = [] if goes_on or "data" in keys else _data_words(data)
    return [*first, *typed, *_value_words(values, value)]


def _data_words(data: Any) -> list[str]:
    if not isinstance(data, str | Path | Mapping):
        raise ConfigError(f"data={short(data)} must be a data set's name, a file, or a dictionary.\n  try: 'cells'")
    if isinstance(data, Mapping):
        if not isinstance(data.get("name"), str):
            raise ConfigError(f"data={short(data)} must have a name.\n  try: 'name': 'folder' beside root and classes")
        return as_words({key: plain(value, f"data.{key}") for key, value in data.items()}, "++")
    if isinstance(data, Path) and "/" not in str(data):
        data = f"./{data}"  # a path is a file, whatever it ends in
    if not str(data):
        raise ConfigError("data='' must name a data set or a file.\n  try: 'cells', or 'my_data.yaml'")
    return [f"data={data}"] if "/" in str(data) else [f"data={as_value(str(data))}"]


def _typed(words: Sequence[str]) -> list[str]:
    for word in words:
        if not isinstance(word, str) or word.startswith("-") or ("=" not in word and not word.startswith("~")):
            raise ConfigError(f"{short(word)} is no override.\n  try: 'encoder=timm', or encoder='timm'")
    return list(words)


def _value_words(values: Mapping[str, Any], written: _Write) -> list[str]:
    found = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += [f"{key}.{own}={as_value(plain(part, f'{key}.{own}'))}" for own, part in value.items()]
        else:
            found.append(f"{key}={written(plain(value, key))}")
    return found


def _swept(value: Any) -> str:
    return ",".join(map(as_value, value)) if isinstance(value, list) else as_value(value)


def plain(value: Any, key: str) -> Any:
    """Return a value as YAML has it: paths as text, ranges and tuples as lists, numbers of numpy as Python's.

    Raises:
        ConfigError: It is of no such kind.

    >>> plain((Path("a/b"), range(2)), "x")
    ['a/b', [0, 1]]
    """
    if isinstance(value, Mapping):
        return {own: plain(part, f"{key}.{own}") for own, part in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(part, key) for part in value]
    if isinstance(value, Path):
        return str(value)
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(
        f"{key}={short(value)} must be text, a number, True, False, None, or lists and dictionaries of them"
    )


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
    ``run_dir``. ``segup.train(ckpt_path=run.path)`` continues a run. Random numbers, threads and Hydra's
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
