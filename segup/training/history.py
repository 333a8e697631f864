"""What a run logs: ``metrics.csv``, one row per step, whole when a run is resumed, and Lightning's own loggers."""

import csv
import io
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from segup.atomic import atomic_append, atomic_write
from segup.errors import ConfigError, DataError, unknown
from segup.metrics.scores import MIOU, OWN_SCORES, Score, shown_in
from segup.training.rows import read_history

__all__ = ["CsvHistory", "EventHistory", "columns_of", "read_history"]


def columns_of(scores: Sequence[Score] = OWN_SCORES) -> tuple[str, ...]:
    """Return the columns of a ``metrics.csv``: one for each score that is declared as shown there."""
    named = [f"val/{score.name}" for score in shown_in("history", scores)]
    return ("step", "epoch", "lr", "train/loss", *named, "val/checkerboard")


class CsvHistory(Logger):
    """Append what is logged to a CSV file; an empty cell was not logged at that step.

    Args:
        path: The file. Rows that it has from steps after ``first_step`` are dropped with the first row that is logged:
            the resumed run writes them anew.
        first_step: The optimizer steps that are already done.
        scores: Those of the run; what is logged and is none of them, or no other column, is left out.
    """

    def __init__(self, path: Path, first_step: int = 0, scores: Sequence[Score] = OWN_SCORES) -> None:
        super().__init__()
        self.path, self._first_step, self._columns = path, first_step, columns_of(scores)
        self._begun = False

    def _begin(self) -> None:
        path, first_step = self.path, self._first_step
        kept = [row for row in read_history(path) if int(row["step"]) <= first_step] if path.exists() else []
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns)
        writer.writeheader()
        writer.writerows(kept)
        atomic_write(path, text.getvalue().encode())  # the rows that are kept outlive a kill at this moment
        self._begun = True

    @property
    def name(self) -> str:
        """Lightning's name for it."""
        return "csv"

    @property
    def version(self) -> str:
        """Lightning's version for it."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Write nothing: the resolved configuration is in ``config.yaml``."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one row; ``step`` counts from 0 in Lightning and from 1 in the file."""
        row = {name: value for name, value in metrics.items() if name in self._columns}
        if row.keys() <= {"epoch"}:
            return
        row["step"] = (step or 0) + 1
        if "epoch" in row:
            row["epoch"] = int(row["epoch"])
        if not self._begun:
            self._begin()
        text = io.StringIO()
        csv.DictWriter(text, self._columns).writerow(row)
        atomic_append(self.path, text.getvalue().encode())


class EventHistory(TensorBoardLogger):
    """TensorBoard's events, whose folder is named where they cannot be written.

    Args:
        folder: The run's; they go into ``tensorboard`` in it.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name="", version="", sub_dir="tensorboard", default_hp_metric=False)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log scalars."""
        with self._refusals_told():
            super().log_metrics(dict(metrics), step)

    def log_results(
        self, config: Mapping[str, Any], scores: Mapping[str, float], pictures: Sequence[Path], step: int
    ) -> None:
        """Log a finished run's configuration with its scores, and its pictures, which are PNGs."""
        with self._refusals_told():
            self.log_hyperparams(dict(config), dict(scores), step)
            for file in pictures:
                with Image.open(file) as picture:
                    pixels = np.asarray(picture.convert("RGB"))
                self.experiment.add_image(file.stem, pixels, step, dataformats="HWC")
            super().finalize("success")

    def save(self) -> None:
        """Write what was logged."""
        with self._refusals_told():
            super().save()

    def finalize(self, status: str) -> None:
        """Write what was logged, and close the file."""
        with self._refusals_told():
            super().finalize(status)

    @contextmanager
    def _refusals_told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as cause:
            system = cause.__cause__ if isinstance(cause, ValueError) else cause  # Lightning wraps any
            if not isinstance(system, OSError):
                raise
            raise DataError(f"{self.log_dir} cannot be written: {system.strerror or system}") from cause


@contextmanager
def told_once() -> Iterator[None]:
    """Let the thread that writes events end in silence: what it met is raised by :class:`EventHistory` as well."""
    before = threading.excepthook

    def met(ending: threading.ExceptHookArgs) -> None:
        if not type(ending.thread).__module__.startswith("tensorboard."):
            before(ending)

    threading.excepthook = met
    try:
        yield
    finally:
        threading.excepthook = before


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
