"""segup: semantic segmentation in which the upsampling operator is the independent variable.

>>> import segup
>>> isinstance(segup.__version__, str)
True
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segup.checkpoints import load_model
    from segup.models import SegmentationModel, create_model

__version__ = "0.1.0"
__all__ = ["SegmentationModel", "__version__", "create_model", "load_model"]


def __getattr__(name: str) -> Any:
    """Load torch only for those who ask for a model."""
    if name in __all__:
        from segup import checkpoints, models

        return getattr(checkpoints if name == "load_model" else models, name)
    raise AttributeError(f"module 'segup' has no attribute '{name}'")
