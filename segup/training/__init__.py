"""Training: a run from its configuration to its finished folder."""

from typing import TYPE_CHECKING

from segup.imports import lazily

if TYPE_CHECKING:
    from segup.training.build import build_model
    from segup.training.config import RunConfig
    from segup.training.run import train

__all__ = ["RunConfig", "build_model", "train"]

__getattr__, __dir__ = lazily(__name__, {"build": ("build_model",), "config": ("RunConfig",), "run": ("train",)})
