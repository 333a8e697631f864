from segup.api.sweep import sweep as sweep
from segup.api.train import train as train
from segup.checkpoints import load_model as load_model
from segup.evaluation.trained import load as load
from segup.models import SegmentationModel as SegmentationModel
from segup.models import create_model as create_model

__version__: str
__all__ = ["SegmentationModel", "__version__", "create_model", "load", "load_model", "sweep", "train"]
