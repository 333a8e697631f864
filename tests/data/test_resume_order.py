"""A run that Lightning resumes in the middle of an epoch sees the batches that the uninterrupted run saw."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from segup.data import Labels, SegmentationData, create_dataset
from segup.data.transforms import Augment

EPOCHS, BATCHES = 3, 4


class Recorder(LightningModule):
    """A model of one weight that notes what each training batch held."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[str, float]] = []

    def training_step(self, batch: dict[str, Any], _: int) -> torch.Tensor:
        self.seen.append((",".join(batch["name"]), batch["image"].double().sum().item()))
        return self.weight.sum() * 0

    def validation_step(self, *_: Any) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class SaveEverywhere(Callback):
    """Save a checkpoint at each moment at which a run may be cut off."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _save(self, trainer: Trainer, moment: str) -> None:
        if not trainer.sanity_checking:
            trainer.save_checkpoint(self.folder / f"{trainer.global_step:02}-{moment}.ckpt")

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self._save(trainer, "batch")

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        self._save(trainer, "validation")

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        self._save(trainer, "epoch")


def run(workers: int, callbacks: list[Callback], ckpt_path: Path | None = None) -> list[tuple[str, float]]:
    source = create_dataset("cells", Labels(("background", "cytoplasm", "nucleus")))
    data = SegmentationData(
        source,
        crop_size=(9, 11),
        batch_size=2,
        samples_per_epoch=2 * BATCHES,
        num_workers=workers,
        augment=Augment(horizontal_flip=0.5),
        cache=True,
        seed=3,
    )
    if ckpt_path is not None:
        progress = torch.load(ckpt_path, weights_only=False)["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        data.start_batch = progress["current"]["processed"] % BATCHES
    model = Recorder()
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=1,
        use_distributed_sampler=False,
        callbacks=callbacks,
    )
    trainer.fit(model, data, ckpt_path=ckpt_path)
    return model.seen


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[tuple[str, float]], Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return run(0, [SaveEverywhere(folder)]), folder


def test_every_batch_of_the_run_differs(whole: tuple[list, Path]) -> None:
    seen, _ = whole
    assert len(seen) == EPOCHS * BATCHES
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("step", "moment"),
    [
        (1, "batch"),
        (3, "batch"),
        (4, "batch"),
        (4, "validation"),
        (4, "epoch"),
        (5, "batch"),
        (6, "batch"),
        (10, "batch"),
    ],
)
def test_resumed_run_sees_the_rest(whole: tuple[list, Path], step: int, moment: str) -> None:
    seen, folder = whole
    assert run(0, [], folder / f"{step:02}-{moment}.ckpt") == seen[step:]


def test_resumed_run_with_a_worker_sees_the_rest(whole: tuple[list, Path]) -> None:
    seen, folder = whole
    assert run(1, [], folder / "06-batch.ckpt") == seen[6:]
