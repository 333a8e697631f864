"""``segup train`` and ``python train.py``: Hydra composes the configuration, ``segup.training`` does the work."""

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segup.cli.data_words import with_files
from segup.cli.report import report
from segup.cli.sweep import read_sweep
from segup.errors import ConfigError, SegupError, nearest, refusals_named, unknown

if TYPE_CHECKING:
    from segup.training.config import RunConfig


def configs_folder() -> Path:
    """Return the folder of YAML files: inside an installed segup, else beside it in a checkout.

    Raises:
        ConfigError: Neither is there.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / "train.yaml").is_file():
            return folder
    raise ConfigError(f"segup's configs are neither in {package / 'configs'} nor in {package.parent / 'configs'}")


def run(arguments: list[str]) -> int:
    """Train as the overrides say and return the exit code."""
    called, arguments = sys.argv, _together(arguments)
    try:
        arguments = with_files(arguments)
    except SegupError as error:
        return report(error)
    sys.argv = ["train.py" if called[0].endswith("train.py") else "segup train", *arguments]  # Hydra reads it there
    own_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands exceptions on instead of printing them its way
    try:
        _check_modes(arguments)
        _check_choices(arguments)
        _check_shown(arguments)
        launch = hydra.main(config_path=str(configs_folder()), config_name="train", version_base="1.3")
        sweep = read_sweep(sys.argv[0], arguments, configs_folder())
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


def explained(error: Exception, arguments: Sequence[str] = ()) -> SegupError:
    """Return Hydra's or OmegaConf's error as one message with the name, the nearest match and what is known.

    Args:
        error: What was raised.
        arguments: The overrides; the groups that they choose have keys of their own.
    """
    if isinstance(error, SegupError):
        return error
    if isinstance(error, OverrideParseException):
        return ConfigError(_unreadable(error.override))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        elsewhere = _model_of_timm(option) if group == "encoder" else ""
        return ConfigError(f"{group}={option}: {unknown(f'{group} option', option, error.options)}{elsewhere}")
    if isinstance(error, ConfigCompositionException):
        word = _quoted(str(error), "Ambiguous value for argument '")
        if word is not None:
            return ConfigError(_several_values(word, arguments))
        within = getattr(error.__cause__, "full_key", None)  # decoder={widht: 3} overrides a group, but not that key
        key = within or _quoted(str(error), "Could not override '") or _quoted(str(error), "Could not find '")
        if key is not None:
            return ConfigError(_unknown_key(key, arguments))
    return ConfigError(" ".join(str(error).split()))


def _unreadable(override: str) -> str:
    """Say how an override is written that Hydra's grammar cannot read."""
    key, equals, value = override.partition("=")
    if not equals:
        return f"'{override}' is no override; one has the form key=value, such as decoder=deconv or seed=1"
    if any(value.count(left) != value.count(right) for left, right in ("[]", "{}", "()")):
        return f"'{override}' cannot be read: its brackets do not match"
    way_out = _quoted_twice(key, value)
    return (
        f"'{override}' cannot be read: a value with spaces, commas, brackets or letters beyond a-z is quoted twice, "
        f"once for the shell and once for Hydra." + (f"\n  try: {way_out}" if way_out else "")
    )


def _quoted_twice(key: str, value: str) -> str:
    """Return the override as it is typed, where Hydra reads that as what was meant; else an empty text.

    >>> print(_quoted_twice("data.root", "my images"), _quoted_twice("data.classes", "[soil, big leaf]"))
    "data.root='my images'" "data.classes=['soil','big leaf']"
    """
    if value[:1] == "{":  # a key cannot be quoted
        meant = re.sub(r"""["']?#([0-9a-fA-F]{6})["']?""", r"0x\1", value)
    elif value[:1] == "[":
        meant = f"[{','.join(_as_text(element) for element in value[1:-1].split(','))}]"
    else:
        meant = _as_text(value)
    try:
        read = OverridesParser.create().parse_override(f"{key}={meant}").value()
    except HydraException:
        return ""
    if meant[:1] == "'" and str(read) != _bare(value):
        return ""
    if "'" not in meant:
        return shlex.quote(f"{key}={meant}")
    return '"' + re.sub(r'([\\"$`])', r"\\\1", f"{key}={meant}") + '"'


def _as_text(value: str) -> str:
    return "'" + re.sub(r"(\\*)('|$)", lambda end: end[1] * 2 + ("\\'" if end[2] else ""), _bare(value)) + "'"


def _bare(value: str) -> str:
    """Return a value without the quotes around it."""
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] in "'\"" and value[0] == value[-1] else value


def _model_of_timm(name: str) -> str:
    """Return how a model of timm's is asked for, where ``name`` is nearly one."""
    from difflib import get_close_matches

    import timm

    close = get_close_matches(name, timm.list_models(), n=1, cutoff=0.75)
    return f"\n  try: encoder=timm encoder.name={close[0]}" if close else ""


def _several_values(word: str, arguments: Sequence[str]) -> str:
    """Say how several values are given: each in a run of its own, or as one list, where the key takes one."""
    key, _, values = word.partition("=")
    now = _composed([other for other in arguments if other != word and not other.startswith("-")])
    for part in key.split("."):
        if not isinstance(now, Mapping) or part not in now:
            return _unknown_key(key, arguments)
        now = now[part]
    listed = f"'{key}=[{values}]' for a list"
    swept = f"-m {shlex.quote(word)} for a run with each"
    if key in ("name", "run_dir", "ckpt_path"):
        return f"{word}: {key} takes one value.\n  try: {_quoted_twice(key, values)}"
    if key.startswith("ablation."):
        return f"{word}: {key} takes one value.\n  try: {key}={values.partition(',')[0]}"
    ways = listed if isinstance(now, list) else f"{swept}, or {listed}" if now in (None, "???") else swept
    return f"{word}: several values are for several runs, or for a list.\n  try: {ways}."


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


def _check_choices(arguments: Sequence[str]) -> None:
    """Raise a ConfigError for ``decoder=null`` or ``decoder=5``, which Hydra answers with a bare ValueError."""
    for word in arguments:
        group, equals, given = word.partition("=")
        if word.startswith("-") or not equals or not (configs_folder() / group).is_dir():
            continue
        if not group:
            raise ConfigError(_unreadable(given))
        chosen = OverridesParser.create().parse_override(word)
        if not chosen.is_sweep_override() and not isinstance(chosen.value(), str | list | dict):
            options = [file.stem for file in (configs_folder() / group).glob("*.yaml")]
            raise ConfigError(f"{word}: {unknown(f'{group} option', given, options)}")


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
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(configs_folder()), version_base="1.3"):
        config = _config(compose("train", overrides=args.overrides), args.overrides)
    if args.overrides and config.ckpt_path is None:  # what is not given is known to work: that is said without torch
        from segup.training.build import check_parts

        check_parts(config)


def _unknown_key(key: str, arguments: Sequence[str]) -> str:
    """Name the first part of a dotted key that is not known, with what is known at its place."""
    known, place = _known_keys(arguments), ""
    for part in key.split("."):
        here = {name.removeprefix(place).partition(".")[0] for name in known if name.startswith(place)}
        if part not in here:
            below = {name.rpartition(".")[2]: name for name in known if name.startswith(place)}
            elsewhere = nearest(part, below)
            if elsewhere is not None and (part in below or nearest(part, here) is None):  # lr is in optimizer.lr
                return f"unknown key '{place}{part}': did you mean '{below[elsewhere]}'?"
            return unknown("key", part, here).replace(f"'{part}'", f"'{place}{part}'", 1)
        place += f"{part}."
    return f"unknown key '{key}'"


def _known_keys(arguments: Sequence[str]) -> list[str]:
    """Return every dotted key of the configuration with the groups that are chosen in ``arguments``."""
    return sorted(_keys(_composed(arguments), "") | {"experiment", "debug"})


def _composed(arguments: Sequence[str]) -> Any:
    """Return the configuration with the groups that are chosen in ``arguments``, and nothing else of them."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(configs_folder()), version_base="1.3"):
        return OmegaConf.to_container(compose("train", overrides=_choices(arguments)))


def _choices(arguments: Sequence[str]) -> list[str]:
    words = [word for word in arguments if word.count("=") == 1 and "," not in word]
    return [word for word in words if os.path.isfile(configs_folder() / f"{word.replace('=', '/')}.yaml")]


def _keys(values: Any, prefix: str) -> set[str]:
    if not isinstance(values, Mapping):
        return set()
    return {f"{prefix}{key}" for key in values} | {
        name for key, value in values.items() for name in _keys(value, f"{prefix}{key}.")
    }


def _quoted(text: str, before: str) -> str | None:
    _, found, rest = text.partition(before)
    return rest.partition("'")[0] if found else None


class _Task:
    """What Hydra calls for each run: prints an error at once, so that a sweep's other runs follow it."""

    def __init__(self) -> None:
        self.code = 0

    def __call__(self, composed: DictConfig) -> None:
        """Train; a single run's exit code is kept here, a sweep's error is handed to Hydra, which counts it."""
        try:
            _train(composed)
        except SegupError as error:
            self.code = report(error)
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise


@refusals_named()
def _train(composed: DictConfig) -> None:
    config = _config(composed, HydraConfig.get().overrides.task)

    from segup.training.run_folder import run_folder
    from segup.training.start import start

    with run_folder(config) as folder:
        start(config, folder)


def _config(composed: DictConfig, overrides: Sequence[str]) -> "RunConfig":
    """Return the checked configuration of one run.

    Raises:
        SegupError: Whatever is wrong with it.
    """
    missing = sorted(OmegaConf.missing_keys(composed))
    if missing:
        raise ConfigError(f"{missing[0]} is not set: give {missing[0]}=...")
    values: Any = OmegaConf.to_container(composed, resolve=True)
    values.pop("ablation", None)  # of a sweep

    from segup.training.config import RunConfig

    checkpoint = values.get("ckpt_path")
    if checkpoint is not None:
        from segup.training.resume import resumed_config

        values = resumed_config(checkpoint, given_keys(values, list(overrides)))
    return RunConfig.of(values)


def given_keys(values: Mapping[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Return what the overrides set, as dotted keys and their composed values.

    >>> given_keys({"seed": 1, "loss": {"name": "dice", "smooth": 0}}, ["seed=1", "loss=dice"])
    {'seed': 1, 'loss.name': 'dice', 'loss.smooth': 0}
    """
    given: dict[str, Any] = {}
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0].partition("@")[0]
        node: Any = values
        for part in key.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        if isinstance(node, Mapping):
            given.update(_dotted(node, f"{key}."))
        elif key not in ("experiment", "debug") and not key.startswith("ablation."):
            given[key] = node
    return given


def _dotted(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found.update(
            _dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
        )
    return found
