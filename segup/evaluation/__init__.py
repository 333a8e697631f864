"""Evaluation: a trained model scored on a data set, and used on images of any size."""

from typing import TYPE_CHECKING

from segup.imports import lazily

if TYPE_CHECKING:
    from segup.evaluation.evaluate import evaluate_run
    from segup.evaluation.runs import OpenedRun, open_run
    from segup.evaluation.segment import Inference
    from segup.evaluation.trained import TrainedModel, load

__all__ = ["Inference", "OpenedRun", "TrainedModel", "evaluate_run", "load", "open_run"]

_HOMES = {
    "evaluate": ("evaluate_run",),
    "runs": ("OpenedRun", "open_run"),
    "segment": ("Inference",),
    "trained": ("TrainedModel", "load"),
}
__getattr__, __dir__ = lazily(__name__, _HOMES)
