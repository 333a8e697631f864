"""The configuration of a run, composed by Hydra from words such as ``decoder=deconv``, and checked."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf

from segup.errors import ConfigError

if TYPE_CHECKING:
    from segup.training.config import RunConfig

_STATE = (GlobalHydra, HydraConfig, JobRuntime, VersionBase)


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


@contextmanager
def own_hydra() -> Iterator[None]:
    """Let Hydra begin anew within, and put its state back afterwards: whoever calls may use Hydra too."""
    Plugins.instance()  # which store their defaults
    held: dict[Any, Any] = Singleton._instances
    before = {kind: held.pop(kind, None) for kind in _STATE}
    stored = ConfigStore.instance().repo["hydra"]["launcher"]
    launchers = dict(stored)
    try:
        yield
    finally:
        for kind, instance in before.items():
            held.pop(kind, None)
            if instance is not None:
                held[kind] = instance
        stored.update(launchers)


def composed(words: Sequence[str], *, hydra: bool = False) -> DictConfig:
    """Return what Hydra composes from overrides; with ``hydra``, its own settings are in it."""
    with own_hydra(), initialize_config_dir(str(configs_folder()), version_base="1.3"):
        return compose("train", overrides=list(words), return_hydra_config=hydra)


def checked(found: DictConfig, overrides: Sequence[str]) -> "RunConfig":
    """Return the checked configuration of one run.

    Raises:
        SegupError: Whatever is wrong with it.
    """
    check_complete(found)
    values = plain_values(found)
    values.pop("ablation", None)  # of a sweep

    from segup.training.config import RunConfig

    checkpoint = values.get("ckpt_path")
    if checkpoint is not None:
        from segup.training.resume import resumed_config

        values = resumed_config(checkpoint, given_keys(values, list(overrides)))
    return RunConfig.of(values)


def check_complete(found: DictConfig) -> None:
    """Raise a ConfigError for a key that has to be given and was not."""
    missing = sorted(key for key in OmegaConf.missing_keys(found) if not key.startswith("hydra."))
    if missing:
        way = ""
        if missing[0].startswith("data.") and found.data.name == "folder":
            root = "FOLDER" if "data.root" in missing else shlex.quote(str(found.data.root))
            way = f"\n  try: segup data {root}, which prints a line that gives it"
        raise ConfigError(f"{missing[0]} is not set: give {missing[0]}=...{way}")


def plain_values(config: Any) -> dict[str, Any]:
    """Return a group of a configuration as plain values, with what it refers to put in."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return {str(key): value for key, value in plain.items()}


def given_keys(values: Mapping[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Return what the overrides set, as dotted keys and their composed values.

    ``trainer=cpu`` says where: it gives the accelerator, and of the other keys those that are not as in ``auto``.

    >>> given_keys({"seed": 1, "loss": {"name": "dice", "smooth": 0}}, ["seed=1", "loss=dice"])
    {'seed': 1, 'loss.name': 'dice', 'loss.smooth': 0}
    >>> given_keys({"trainer": {"accelerator": "auto", "devices": 2, "max_epochs": 15}}, ["trainer=ddp"])
    {'trainer.accelerator': 'auto', 'trainer.devices': 2}
    """
    from segup.training.config import TrainerConfig

    given: dict[str, Any] = {}
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0].partition("@")[0]
        node: Any = values
        for part in key.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        if key == "trainer" and isinstance(node, Mapping):
            auto = asdict(TrainerConfig())
            node = {own: value for own, value in node.items() if own == "accelerator" or value != auto.get(own)}
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
