"""One training step, one validation pass: the LightningModule."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from segup.checkpoints import checkpoint_entry
from segup.data.samples import Sample, stacked
from segup.errors import ConfigError, SegupError
from segup.metrics import Metrics
from segup.metrics.scores import shown_in
from segup.models import SegmentationModel, predicted_labels
from segup.training.bfloat16 import grouped_in_float32
from segup.training.optimizers import create_optimizer
from segup.training.schedulers import create_scheduler, is_laid_out


class TrainingDivergedError(SegupError):
    """The loss is no longer a number."""


class SegmentationModule(L.LightningModule):
    """Trains a model: loss on crops, scores on whole images.

    Args:
        model: What is trained.
        loss: From logits ``(N, K, H, W)`` and class ids ``(N, H, W)`` to a number.
        metrics: Scores of predicted class ids over the validation set.
        optimizer, scheduler: The configuration groups, see :mod:`segup.training.optimizers` and
            :mod:`segup.training.schedulers`.
        max_steps: Steps after which the run ends; None for its epochs' steps. The schedule is laid out over them.
        laid_out: The steps of a run that goes on; None for one that begins, and where they are not known.
        accumulate: Batches of each step.
        seed: Of what the model draws (dropout): each step starts from its own seed, so that a resumed run draws what
            an uninterrupted one would have drawn.
        info: Plain values stored beside the model's names in each checkpoint.

    Raises:
        TrainingDivergedError: The loss became NaN or infinite; the message names the step, rate and files.
    """

    def __init__(
        self,
        model: SegmentationModel,
        loss: nn.Module,
        metrics: Metrics,
        *,
        optimizer: Mapping[str, Any],
        scheduler: Mapping[str, Any],
        max_steps: int | None = None,
        laid_out: int | None = None,
        accumulate: int = 1,
        seed: int = 0,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.loss, self.metrics = model, loss, metrics
        self.optimizer_config, self.scheduler_config = dict(optimizer), dict(scheduler)
        self.max_steps, self.laid_out, self.accumulate = max_steps, laid_out, accumulate
        self.seed, self.info = seed, dict(info or {})
        self.scores: dict[str, Any] | None = None
        self.scored_step = -1
        self.image_counts: list[tuple[str, list[list[int]]]] = []
        self._validated: list[str] = []
        self._unchecked: tuple[Tensor, str] | None = None

    def forward(self, image: Tensor, features: Sequence[Tensor] | None = None) -> Tensor:
        """Return the logits ``(N, K, H, W)`` of images ``(N, C, H, W)``, whose features may be known."""
        logits: Tensor = self.model(image, features)
        return logits

    def configure_optimizers(self) -> Any:
        """Build the optimizer, and a schedule that moves with every step.

        Raises:
            ConfigError: The run goes on, and its schedule is laid out over other steps.
        """
        # 16-mixed scales the gradients, and a fused step would undo it by itself: Lightning then refuses to clip them
        fused = self.device.type in ("cpu", "cuda") and self.trainer.precision != "16-mixed"
        optimizer = create_optimizer(self.optimizer_config, self.model, fused=fused)
        epochs_steps = int(self.trainer.estimated_stepping_batches)
        steps = epochs_steps if self.max_steps is None else min(epochs_steps, self.max_steps)
        if self.laid_out not in (None, steps) and is_laid_out(self.scheduler_config):
            raise ConfigError(
                f"{self.trainer.ckpt_path}: its schedule '{self.scheduler_config['name']}' is laid out over "
                f"{self.laid_out} steps, and its values and images make {steps} now: nothing was trained.\n"
                f"  try: the values and images from before, or init_from={self.trainer.ckpt_path} in place of "
                f"ckpt_path to begin anew."
            )
        self.info["steps"] = steps
        scheduler = create_scheduler(self.scheduler_config, optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the norm of the gradients; in bf16-mixed too, where Lightning refuses for any fused optimizer.

        It does so for the scale that 16-mixed gives to gradients; bf16-mixed gives none.
        """
        if self.trainer.precision == "bf16-mixed" and gradient_clip_val:
            self.trainer.precision_plugin.clip_grad_by_norm(optimizer, gradient_clip_val)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Start the batch from its own seed."""
        batches = self.global_step * self.accumulate + batch_idx % self.accumulate
        torch.manual_seed((self.seed << 32) + batches * self.trainer.world_size + self.trainer.global_rank)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Return the loss of a batch of crops, which counts for its share of the step."""
        self.check_loss()
        with grouped_in_float32(str(self.trainer.precision), self.device):
            logits = self(batch["image"], batch.get("features"))
        loss: Tensor = self.loss(logits, batch["mask"])
        rate = self.trainer.optimizers[0].param_groups[-1]["lr"]
        place = f"at step {self.global_step + 1}, learning rate {rate:.3g}, files {', '.join(batch['name'])}"
        self._unchecked = (loss.detach(), place)
        if loss.device.type == "cpu":
            self.check_loss()
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch["image"]))
        self.log("lr", rate)
        # Lightning divides by all batches of a step, and an epoch's last step may have fewer.
        return loss * (self.accumulate / batches_of_step(batch_idx, self.accumulate, self.trainer.num_training_batches))

    def check_loss(self) -> None:
        """Raise unless the last step's loss is a number; a GPU's is looked at one step later, when it is there."""
        if self._unchecked is None:
            return
        loss, place = self._unchecked
        self._unchecked = None
        if not torch.isfinite(loss):
            raise TrainingDivergedError(
                f"the loss became {loss.item()} {place}.\n"
                f"  try: a smaller optimizer.lr, trainer.gradient_clip_val, or trainer.precision=32-true."
            )

    def validation_step(self, batch: list[Sample], batch_idx: int) -> None:
        """Count the predictions of whole images, those of one size together."""
        for same in stacked_by_size(batch):
            logits = self(same["image"], same.get("features"))
            self.metrics.update(predicted_labels(logits), same["mask"])
        self._validated += [sample["name"] for sample in batch]

    def on_validation_epoch_start(self) -> None:
        """Forget the counts of the epoch before."""
        self.check_loss()
        self.metrics.reset()
        self._validated = []

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the whole set, the same on every process."""
        self.scores, self.scored_step = self.metrics.compute(), self.global_step
        counted = self.metrics.counted  # none where segup's own metric is not the first
        self.image_counts = self._from_all(list(zip(self._validated, counted, strict=True)) if counted else [])
        logged = shown_in("history", self.metrics.scores)
        named = {f"val/{score.name}": score.one_number(self.scores) for score in logged}
        named |= self._of_classes()
        if self.trainer.state.fn != TrainerFn.FITTING:  # after training Lightning counts a step and an epoch too many
            named |= {"step": float(self.global_step - 1), "epoch": float(self.trainer.current_epoch - 1)}
        self.log_dict(named, sync_dist=self.trainer.world_size > 1, batch_size=1)

    def _of_classes(self) -> dict[str, float]:
        """Return the scores of each class by the classes' names; one that occurs nowhere has none."""
        names = self.info.get("labels", {}).get("names", ())
        return {
            f"val/{score.name}/{name}": float(value)
            for score in self.metrics.scores
            if score.per_class
            for name, value in zip(names, (self.scores or {})[score.name], strict=False)
            if value is not None and value == value
        }

    def _from_all(self, own: list[Any]) -> list[Any]:
        if self.trainer.world_size == 1:
            return own
        parts: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(parts, own)
        return [one for part in parts for one in part]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Resume in the middle of an epoch that ``max_steps`` ended there: Lightning has counted it as finished."""
        fit = checkpoint.get("loops", {}).get("fit_loop", {})
        batches, epochs = fit.get("epoch_loop.batch_progress"), fit.get("epoch_progress")
        if batches and not batches["is_last_batch"] and epochs["current"]["processed"] == epochs["current"]["started"]:
            for counted in (epochs["total"], epochs["current"]):
                counted["processed"] -= 1

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the names that build the model again, and what belongs to it."""
        checkpoint["segup"] = checkpoint_entry(self.model, self.info)


def batches_of_step(place: int, accumulate: int, batches: float) -> float:
    """Return how many batches make up the step to which the batch at ``place`` of an epoch of ``batches`` belongs.

    >>> [batches_of_step(place, accumulate=4, batches=6) for place in range(6)]
    [4, 4, 4, 4, 2, 2]
    """
    return min(accumulate, batches - place // accumulate * accumulate)


def stacked_by_size(samples: Sequence[Sample]) -> Iterator[dict[str, Any]]:
    """Yield batches of neighbouring samples that have one size, see :func:`segup.data.samples.stacked`.

    >>> small, large = torch.zeros(3, 4, 5), torch.zeros(3, 6, 5)
    >>> samples = [Sample(image=image, mask=image[0].long(), name="") for image in (small, small, large)]
    >>> [tuple(batch["image"].shape) for batch in stacked_by_size(samples)]
    [(2, 3, 4, 5), (1, 3, 6, 5)]
    """
    for _, same in groupby(samples, key=lambda sample: sample["image"].shape):
        yield stacked(list(same))
