"""``segup train`` and ``python train.py``: Hydra composes the configuration, ``segup.training`` does the work."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from segup.cli.composed import checked, composed, configs_folder
from segup.cli.data_words import with_files
from segup.cli.explained import check_choices, explained, with_way_out
from segup.cli.report import report
from segup.cli.sweep import read_sweep
from segup.errors import ConfigError, SegupError, refusals_named

if TYPE_CHECKING:
    from segup.training.config import RunConfig


def run(arguments: list[str]) -> int:
    """Train as the overrides say and return the exit code."""
    called, arguments = sys.argv, _together(arguments)
    try:
        arguments = with_files(arguments)
    except SegupError as error:
        return report(error)
    typed = "python train.py" if called[0].endswith("train.py") else "segup train"
    sys.argv = [typed.removeprefix("python "), *arguments]  # Hydra reads it there
    own_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands exceptions on instead of printing them its way
    try:
        _check_modes(arguments)
        check_choices(arguments)
        _check_shown(arguments)
        launch = hydra.main(config_path=str(configs_folder()), config_name="train", version_base="1.3")
        sweep = read_sweep(typed, arguments, configs_folder())
        if sweep is not None:
            from segup.cli.study import run_study

            return run_study(sweep, lambda task: launch(task)())
        task = _Task()
        launch(task)()
    except (SegupError, HydraException, OmegaConfBaseException) as error:
        if own_traceback:
            raise
        return report(explained(error, arguments))
    finally:
        sys.argv = called
        if not own_traceback:
            del os.environ["HYDRA_FULL_ERROR"]
    return task.code


def _together(arguments: list[str]) -> list[str]:
    """Return the arguments with the overrides in one row, as Hydra's parser wants them: -m may stand among them.

    >>> _together(["seed=0,1", "-m", "decoder=deconv"]), _together(["-m", "seed=0,1"])
    (['seed=0,1', 'decoder=deconv', '-m'], ['-m', 'seed=0,1'])
    """
    parser = get_args_parser()
    if not parser.parse_known_args(arguments)[1]:
        return arguments
    overrides = parser.parse_intermixed_args(arguments).overrides
    options = list(arguments)
    for word in overrides:
        options.remove(word)
    return [*overrides, *options]


_ALONE = {"cfg": "segup train --cfg job", "multirun": "segup train -m decoder=deconv", "info": "segup train --info"}
"""Options of which a command has one, as they are typed."""


def _check_modes(arguments: Sequence[str]) -> None:
    """Raise a ConfigError for --multirun with --cfg and the like, which Hydra answers with a bare ValueError."""
    parsed = get_args_parser().parse_args(arguments)
    modes = [mode for mode in ("run", "multirun", "cfg", "info", "shell_completion") if getattr(parsed, mode)]
    if len(modes) > 1:
        first, second = (f"--{mode.replace('_', '-')}" for mode in modes[:2])
        raise ConfigError(
            f"{first} and {second} cannot be given together.\n"
            f"  try: {_ALONE.get(modes[0], modes[0])}; or {_ALONE.get(modes[1], modes[1])}."
        )


def _check_shown(arguments: Sequence[str]) -> None:
    """Raise an error where what ``--cfg`` is to show is no configuration that can be trained."""
    args = get_args_parser().parse_args(list(arguments))
    if (args.resolve or args.package) and not args.cfg:
        raise ConfigError("--resolve and --package go with --cfg.\n  try: --cfg job --resolve.")
    if args.shell_completion and not any("install=" in word or "query=" in word for word in args.overrides):
        raise ConfigError("--shell-completion does one thing.\n  try: --shell-completion +install=bash.")
    if args.experimental_rerun and not Path(args.experimental_rerun).is_file():
        raise ConfigError(f"--experimental-rerun: there is no file {args.experimental_rerun}")
    if args.cfg not in ("job", "all") or args.config_path or args.config_dir or args.config_name:
        return
    config = checked(composed(args.overrides), args.overrides)
    if args.overrides:  # what is not given is known to work: that is said without torch
        from segup.training.before import check_parts

        check_parts(config)


class _Task:
    """What Hydra calls for each run: prints an error at once, so that a sweep's other runs follow it."""

    def __init__(self) -> None:
        self.code = 0

    def __call__(self, found: DictConfig) -> None:
        """Train; a single run's exit code is kept here, a sweep's error is handed to Hydra, which counts it."""
        try:
            _train(found)
        except SegupError as raised:
            error = with_way_out(raised, HydraConfig.get().overrides.task)
            self.code = report(error)
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise error from raised.__cause__


@refusals_named()
def _train(found: DictConfig) -> None:
    train_config(checked(found, HydraConfig.get().overrides.task))


def train_config(config: "RunConfig") -> Path:
    """Train in the configuration's folder, and return that."""
    from segup.training.run_folder import run_folder
    from segup.training.start import start

    with run_folder(config) as folder:
        start(config, folder)
    return folder
