"""What a word such as ``decoder=deconv`` stands for, without Hydra's command line."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def group(name: str, option: str, **changes: Any) -> dict[str, Any]:
    """Return the values of ``name=option``: what all share, in train.yaml, and the option's own; then ``changes``."""
    shared = OmegaConf.load(CONFIGS / "train.yaml").get(name) or {}
    own = OmegaConf.load(CONFIGS / name / f"{option}.yaml")
    own.pop("defaults", None)
    values: Any = OmegaConf.to_container(OmegaConf.merge(shared, own), resolve=False)
    return {**values, **changes}
