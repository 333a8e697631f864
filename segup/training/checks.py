"""What ends a run before its last epoch does: its steps are done, its score has stopped rising, or a mask is wrong."""

from typing import Any

import lightning as L
from lightning.pytorch import callbacks as lightning_callbacks

from segup.data.mask_checks import MaskCheck
from segup.metrics.scores import MIOU
from segup.training.config import RunConfig


class EarlyStopping(lightning_callbacks.EarlyStopping):
    """Lightning's, which also ends a run that goes on after it has ended.

    A checkpoint holds its state by the name of the class, so that it is called as Lightning's is.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Train nothing if the score had stopped rising before."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


def averaging_and_stopping(config: RunConfig) -> list[L.Callback]:
    """Return Lightning's callbacks for the average of the weights, and those that end the run.

    They come after what looks at the weights while they are validated: by then the average has taken their place.
    """
    callbacks: list[L.Callback] = []
    if config.ema.decay is not None:
        callbacks.append(lightning_callbacks.EMAWeightAveraging(decay=config.ema.decay))
    if config.early_stopping.patience is not None:
        patience = config.early_stopping.patience
        callbacks.append(
            EarlyStopping(f"val/{MIOU.name}", mode="max", patience=patience, check_on_train_epoch_end=False)
        )
    return callbacks


def stopped_early(trainer: L.Trainer) -> str:
    """Return why the run ended before its last epoch, or nothing."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EarlyStopping) and callback.wait_count >= callback.patience:
            return (
                f"stopped after epoch {callback.stopped_epoch + 1}: no better mIoU in {callback.patience} validations "
                f"(early_stopping.patience)"
            )
    return ""


class StepLimit(L.Callback):
    """End training after a number of optimizer steps.

    Lightning's own ``max_steps`` counts epochs in another way, by which a run that is resumed from the end of an epoch
    begins with one without a batch.

    Args:
        steps: The number.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Train nothing if the steps were done before."""
        trainer.should_stop = trainer.should_stop or trainer.global_step >= self._steps

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Stop when they are done."""
        trainer.should_stop = trainer.should_stop or trainer.global_step >= self._steps


class CheckedMasks(L.Callback):
    """Check all masks while the first epoch runs; a wrong one ends the run before anything is validated.

    Args:
        masks: The check; whoever made it closes it.
    """

    def __init__(self, masks: MaskCheck) -> None:
        self._masks = masks

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Begin with the first batch: by now the worker processes are forked, and a thread's locks are not."""
        if not self._masks.started:
            self._masks.start(trainer.global_rank, trainer.world_size)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Raise what was found so far; at the epoch's end, before validation forks its workers, wait for the rest."""
        if trainer.should_stop or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._masks.wait()
        self._masks.report()
