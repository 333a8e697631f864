"""Checkpoints that are whole or not there: last, best, and one at Ctrl-C."""

import contextlib
import copy
import io
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from segup.atomic import atomic_copy, atomic_write
from segup.checkpoints import read_checkpoint
from segup.errors import RunInterruptedError
from segup.metrics.scores import MIOU
from segup.overrides import pasted
from segup.terminal import endings_answered
from segup.training.rows import IMAGES, write_image_counts


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its place, then move it there: a reader never meets half of one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write ``checkpoint``; when the disk is full or the process dies, the file that was there stays whole.

        Raises:
            DataError: The file system refused.
        """
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        atomic_write(Path(path), buffer.getbuffer())

    def load_checkpoint(self, path: Any, *args: Any, **options: Any) -> dict[str, Any]:
        """Return what :func:`segup.checkpoints.read_checkpoint` finds sound, in memory of its own.

        Raises:
            DataError: It is not.
        """
        return copy.deepcopy(read_checkpoint(path))


@contextlib.contextmanager
def interrupts_handed_on() -> Iterator[None]:
    """Raise KeyboardInterrupt where Lightning met one, in place of its exit with code 1."""
    try:
        yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


class RunCheckpoints(Checkpoint):
    """Keep ``last.ckpt`` at every epoch's end and on Ctrl-C, and ``best.ckpt`` by validation mIoU.

    Args:
        folder: Where they go; beside them, what was counted in each image of the last validation.
        groups: The groups of validation images, by the images' names.

    Before its first step, a run writes what :attr:`at_begin` does.
    The first Ctrl-C lets the step finish, saves and stops; a second one stops at once, and what was saved stays.
    SIGTERM, with which schedulers end a process, and SIGHUP, of a terminal that closes, are answered as the first is.
    """

    def __init__(self, folder: Path, groups: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.last, self.best = folder / "last.ckpt", folder / "best.ckpt"
        self.images, self._groups = folder / IMAGES, groups or {}
        self.last_scores: dict[str, Any] | None = None
        self.best_scores: dict[str, Any] | None = None
        self.begun = False
        self.at_begin: Callable[[], None] | None = None
        self._improved = False
        self._interrupted = self._stopping = False
        self._answered = contextlib.ExitStack()

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Answer Ctrl-C, and a terminal that closes, after the step."""
        self._answer(signal.SIGINT, signal.SIGHUP)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Answer SIGTERM in the same way, in place of Lightning, which would stop unsaved and with exit code 0."""
        self.begin()
        self._answer(signal.SIGTERM)

    def begin(self) -> None:
        """Do what is done once, when nothing refused the run."""
        if not self.begun and self.at_begin is not None:
            self.at_begin()
        self.begun = True

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Give the signals back."""
        self._answered.close()

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Note whether this is the best so far."""
        fitting = trainer.state.fn == TrainerFn.FITTING
        epoch = trainer.current_epoch + fitting  # counted from 1; after training Lightning has moved on
        self.last_scores = {"epoch": epoch, "step": trainer.global_step, **pl_module.scores}
        if trainer.is_global_zero and self.begun:
            write_image_counts(self.images, pl_module.image_counts, self._groups)
        if self.best_scores is None or self.last_scores[MIOU.name] > self.best_scores[MIOU.name]:
            self.best_scores = self.last_scores
            self._improved = True
        if not fitting:
            self._keep_best(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save last, and best if it is."""
        trainer.save_checkpoint(self.last)
        self._keep_best(trainer)
        finished = trainer.current_epoch + 1 == trainer.max_epochs
        if self._any_interrupted(trainer) and not finished:
            raise RunInterruptedError(f"stopped after step {trainer.global_step}; {self._how_to_continue()}")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save and stop when Ctrl-C came during the step; the epoch's last step stops at the epoch's end."""
        whole = (batch_idx + 1) % trainer.accumulate_grad_batches == 0  # else gradients of the step would be lost
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if whole and not last and self._any_interrupted(trainer):
            pl_module.check_loss()
            trainer.save_checkpoint(self.last)
            self._stopping = True

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop here when Ctrl-C was answered: by now the saved step has been logged as well."""
        if self._stopping:
            raise RunInterruptedError(f"stopped after step {trainer.global_step}; {self._how_to_continue()}")

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run has to know."""
        return {"last_scores": self.last_scores, "best_scores": self.best_scores}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what the run knew."""
        self.last_scores, self.best_scores = state_dict["last_scores"], state_dict["best_scores"]

    def _answer(self, *signals: signal.Signals) -> None:
        if threading.current_thread() is threading.main_thread():
            self._answered.enter_context(endings_answered(self._on_ending, signals))

    def _on_ending(self, number: int) -> None:
        if self._interrupted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._interrupted = True

    def _how_to_continue(self) -> str:
        return f"to continue: {pasted('ckpt_path', self.last)}"

    def _keep_best(self, trainer: L.Trainer) -> None:
        """Copy last to best if the last validation was the best."""
        if self._improved and trainer.is_global_zero:
            atomic_copy(self.last, self.best)
        self._improved = False

    def _any_interrupted(self, trainer: L.Trainer) -> bool:
        """Agree over all processes, since Ctrl-C may reach them at different steps."""
        return bool(trainer.strategy.reduce_boolean_decision(self._interrupted, all=False))


def take_over(checkpoint: Path, folder: Path, best: bool) -> None:
    """Give ``folder`` the checkpoints of the run that goes on in it, so that it holds both whatever comes.

    Args:
        checkpoint: From where the run goes on.
        folder: Where it goes on, which may be another folder.
        best: Whether ``checkpoint`` is the best so far. ``best.ckpt`` beside it may be older: a run can be killed
            between the two.
    """
    source = checkpoint if best else checkpoint.with_name("best.ckpt")
    counts = checkpoint.with_name(IMAGES)
    for found, target in (
        (checkpoint, folder / "last.ckpt"),
        (source, folder / "best.ckpt"),
        (counts, folder / IMAGES),
    ):
        if found.exists() and found.resolve() != target.resolve():
            atomic_copy(found, target)
