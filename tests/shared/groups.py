"""What a word such as ``decoder=deconv`` stands for, without Hydra's command line."""

from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def group(name: str, option: str, **changes: Any) -> dict[str, Any]:
    """Return the values of ``name=option``: what all share, in train.yaml, and the option's own; then ``changes``."""
    shared = _read("train.yaml").get(name) or {}
    values: Any = OmegaConf.to_container(OmegaConf.merge(shared, _read(f"{name}/{option}.yaml")), resolve=False)
    values.pop("defaults", None)
    return {**values, **changes}


@cache
def _read(file: str) -> DictConfig:
    found = OmegaConf.load(CONFIGS / file)
    assert isinstance(found, DictConfig)
    return found
