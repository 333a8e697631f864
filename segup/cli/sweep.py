"""What a multirun asks for: its runs, composed by Hydra before any of them is started."""

import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from segup.ablation.plan import RunSpec
from segup.cli.composed import check_complete, plain_values
from segup.errors import ConfigError

_OWN = ("decoder", "seed", "data.fold")  # a run's folder is named after these alone
_LONGEST = 150


@dataclass(frozen=True)
class Sweep:
    """A multirun's runs and what it says of them together.

    Args:
        command: As it was typed.
        ablation: The group of that name.
        launcher: The group ``hydra/launcher``, and the word by which it was chosen.
        launcher_name: That word.
        asked: The runs, in the order of Hydra's job numbers.
        config: What all share, composed without what was swept, decoder and seed left out.
    """

    command: str
    ablation: Mapping[str, Any]
    launcher: Mapping[str, Any]
    launcher_name: str
    asked: tuple[RunSpec, ...]
    config: Mapping[str, Any]

    @property
    def launcher_kind(self) -> str:
        """The name of the launcher's class."""
        return str(self.launcher["_target_"]).rpartition(".")[2]

    @property
    def path(self) -> Path:
        """The study's folder."""
        return Path("ablations") / str(self.ablation["name"])


def read_sweep(program: str, arguments: Sequence[str], configs: Path) -> Sweep | None:
    """Return the sweep that the command line asks for; None for a single run, or a sweeper other than Hydra's own.

    Args:
        program: The command before the arguments.
        arguments: Hydra's.
        configs: The folder of YAML files.

    Raises:
        ConfigError: A run's configuration is incomplete, or the sweep sets what a study sets itself.
        HydraException: What cannot be composed.
    """
    args = get_args_parser().parse_args(list(arguments))
    if args.help or args.hydra_help or args.cfg or args.info or args.shell_completion or args.experimental_rerun:
        return None
    version.setbase("1.3")
    search_path = create_config_search_path(args.config_path or str(configs))
    _prefer_own_launchers(configs)
    if args.config_dir:
        search_path.prepend("command-line", f"file://{Path(args.config_dir).resolve()}")
    hydra = Hydra.create_main_hydra2("train", search_path)
    try:
        name = args.config_name or "train"
        if not args.multirun and hydra.get_mode(name, list(args.overrides)) != RunMode.MULTIRUN:
            return None
        whole = hydra.compose_config(name, list(args.overrides), RunMode.MULTIRUN)
        if whole.hydra.sweeper._target_.rpartition(".")[2] != BasicSweeper.__name__:
            return None
        return _sweep(hydra, whole, f"{program} {shlex.join(arguments)}")
    finally:
        GlobalHydra.instance().clear()


def _prefer_own_launchers(configs: Path) -> None:
    """Take the plugins' own defaults out of Hydra's store where ``configs`` has others: with both, Hydra warns."""
    Plugins.instance()  # has found and imported the plugins, which store them
    stored: Any = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    for file in (configs / "hydra" / "launcher").glob("*.yaml"):
        stored.pop(file.name, None)


def _sweep(hydra: Hydra, whole: DictConfig, command: str) -> Sweep:
    plain: Any = OmegaConf.to_container(whole.hydra, resolve=False)
    params = [f"{key}={value}" for key, value in (plain["sweeper"].get("params") or {}).items()]
    words = [*params, *plain["overrides"]["task"]]
    overrides = OverridesParser.create(config_loader=hydra.config_loader).parse_overrides(words)
    latest = {override.get_key_element(): override for override in overrides}  # as Hydra: a later one stands
    _check_swept(latest)
    jobs = [job for batch in BasicSweeper.split_arguments(overrides, None) for job in batch]
    swept = [key for key, override in latest.items() if override.is_sweep_override()]
    first = hydra.config_loader.load_sweep_config(whole, jobs[0])
    return Sweep(
        command,
        plain_values(first.ablation),
        plain_values(first.hydra.launcher),
        str(first.hydra.runtime.choices["hydra/launcher"]),
        tuple(_asked(config, job, swept) for job, config in _composed(hydra, whole, jobs)),
        _shared(hydra, whole, latest),
    )


def _composed(hydra: Hydra, whole: DictConfig, jobs: Sequence[list[str]]) -> Iterator[tuple[list[str], DictConfig]]:
    """Give each job and its configuration; one that differs in the seed alone is the same object with another seed."""
    known: dict[tuple[str, ...], DictConfig] = {}
    for job in jobs:
        seeds = [word for word in job if word.startswith("seed=")]
        others = tuple(word for word in job if word not in seeds)
        if others not in known:
            known[others] = hydra.config_loader.load_sweep_config(whole, job)
        elif seeds:
            known[others].seed = OverridesParser.create().parse_override(seeds[-1]).value()
        yield job, known[others]


def _check_swept(overrides: Mapping[str, Override]) -> None:
    for key, override in overrides.items():
        if key in ("run_dir", "ckpt_path") and override.value() is not None:
            raise ConfigError(
                f"{key} is for a single run; the runs of a sweep lie in ablations/<name>/<decoder>/<seed>, and the "
                f"same command continues them.\n  try: ablation.name=<name>."
            )
        if override.is_sweep_override() and (key.startswith("ablation.") or key == "name"):
            raise ConfigError(f"{override.input_line}: one sweep is one study: give {key} one value")


def _asked(composed: DictConfig, job: Sequence[str], swept: Sequence[str]) -> RunSpec:
    check_complete(composed)
    values = run_values(composed)
    given = dict(word.split("=", 1) for word in job)
    return RunSpec(_label(composed, given, swept), values["seed"], values)


def _label(composed: DictConfig, given: Mapping[str, str], swept: Sequence[str]) -> str:
    """Return the name of a run's decoder and of what else was swept, fit for a folder."""
    own = "decoder.upsampler" if "decoder.upsampler" in given else "decoder"
    word = str(composed.decoder.upsampler if own == "decoder.upsampler" else composed.hydra.runtime.choices["decoder"])
    rest = [f"{key}={given[key]}" for key in swept if key not in ("seed", "data.fold", own)]
    label = ",".join([word, *rest]).replace("/", "%2F")
    if len(label) > _LONGEST:
        label = f"{label[: _LONGEST - 9]}~{hashlib.sha256(label.encode()).hexdigest()[:8]}"
    return label


def _shared(hydra: Hydra, whole: DictConfig, overrides: Mapping[str, Override]) -> dict[str, Any]:
    """Return the configuration without what was swept, the operator and the seed."""
    words = {
        key: f"{key}={override.get_value_element_as_str()}"
        for key, override in overrides.items()
        if not override.is_sweep_override() and key not in _OWN and not key.startswith("decoder.upsampler")
    }
    try:
        config = hydra.config_loader.load_sweep_config(whole, list(words.values()))
    except HydraException:  # keys that only the swept decoders have
        config = hydra.config_loader.load_sweep_config(
            whole, [word for key, word in words.items() if not key.lstrip("+~").startswith("decoder.")]
        )
    values = run_values(config)
    values["decoder"] = {key: value for key, value in values["decoder"].items() if not key.startswith("upsampler")}
    return {key: value for key, value in values.items() if key not in ("seed", "run_dir", "ckpt_path")}


def run_values(composed: DictConfig) -> dict[str, Any]:
    """Return what one run is made from: plain values, without what is the sweep's or Hydra's."""
    keys = [str(key) for key in composed if key not in ("hydra", "ablation")]
    return plain_values(OmegaConf.masked_copy(composed, keys))
