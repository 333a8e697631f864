"""segup: semantic segmentation in which the upsampling operator is the independent variable.

>>> import segup
>>> isinstance(segup.__version__, str)
True
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["SegmentationModel", "__version__", "create_model", "load", "load_model", "sweep", "train"]

_PLACES = {
    "SegmentationModel": "segup.models",
    "create_model": "segup.models",
    "load_model": "segup.checkpoints",
    "load": "segup.evaluation.trained",
    "sweep": "segup.api.sweep",
    "train": "segup.api.train",
}


def __getattr__(name: str) -> Any:
    """Load torch only for those who ask for a model, and the training only for those who train."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'segup' has no attribute '{name}'")
