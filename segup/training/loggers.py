"""Where a run's history goes beside ``metrics.csv``: Lightning's own loggers, by name."""

import os
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import MLFlowLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger

from segup.errors import ConfigError, unknown
from segup.metrics.scores import MIOU
from segup.training.history import EventHistory

DEFAULT = ("tensorboard",)


def _wandb(folder: Path, name: str) -> Logger:
    return WandbLogger(
        project="segup", name=name, save_dir=str(folder), offline=os.environ.get("WANDB_MODE") != "online"
    )


def _mlflow(folder: Path, name: str) -> Logger:
    own = f"sqlite:///{(folder / 'mlflow.db').resolve()}"
    place = None if os.environ.get("MLFLOW_TRACKING_URI") else (folder / "mlflow").resolve().as_uri()
    uri = os.environ.get("MLFLOW_TRACKING_URI", own)
    return MLFlowLogger(experiment_name="segup", run_name=name, tracking_uri=uri, artifact_location=place)


_MADE: Mapping[str, Callable[[Path, str], Logger] | None] = {
    "tensorboard": lambda folder, _: EventHistory(folder),
    "csv": None,  # metrics.csv, which every run has
    "wandb": _wandb,
    "mlflow": _mlflow,
}
_PACKAGES = ("wandb", "mlflow")


def check_loggers(wanted: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the loggers that a configuration asks for.

    Raises:
        ConfigError: There is none of a name, or its package is not installed.

    >>> check_loggers(None), check_loggers("csv")
    (('tensorboard',), ('csv',))
    >>> check_loggers(["tensorbord"])
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: unknown logger 'tensorbord': did you mean 'tensorboard'? known: csv, ...
    """
    names = DEFAULT if wanted is None else (wanted,) if isinstance(wanted, str) else tuple(dict.fromkeys(wanted))
    for name in names:
        if name not in _MADE:
            raise ConfigError(unknown("logger", name, sorted(_MADE)))
        if name in _PACKAGES and find_spec(name) is None:
            raise ConfigError(
                f"logger={name} needs {name}, which is not installed.\n  try: pip install 'segup[{name}]'"
            )
    return names


def create_loggers(names: Sequence[str], folder: Path) -> list[Logger]:
    """Return Lightning's loggers of these names, which write into a run's folder.

    Weights & Biases stays offline unless WANDB_MODE=online, and MLflow writes into the folder unless
    MLFLOW_TRACKING_URI names a server.
    """
    makers = [maker for name in names if (maker := _MADE[name]) is not None]
    return [make(folder, "-".join(folder.parts[-2:])) for make in makers]


def log_results(
    loggers: Sequence[Logger],
    config: Mapping[str, Any],
    scores: Mapping[str, Any] | None,
    pictures: Sequence[Path],
    step: int,
) -> None:
    """Hand a finished run's configuration, score and pictures to each logger, and end what it holds open."""
    for logger in loggers:
        if isinstance(logger, EventHistory):
            logger.log_results(config, {MIOU.name: (scores or {}).get(MIOU.name) or 0.0}, pictures, step)
        elif isinstance(logger, WandbLogger):
            for file in pictures:
                logger.log_image(file.stem, [str(file)])
            logger.experiment.finish()
        elif isinstance(logger, MLFlowLogger):
            for file in pictures:
                logger.experiment.log_artifact(logger.run_id, str(file))
