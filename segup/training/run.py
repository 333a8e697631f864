"""A run, top to bottom: configuration, data, model, training, result."""

import logging
import os
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console

from segup.data import SegmentationData, create_data
from segup.errors import ConfigError
from segup.losses import create_loss, median_frequency_weights
from segup.metrics import SegmentationMetrics
from segup.models import SegmentationModel, create_model
from segup.training.checkpoints import AtomicCheckpointIO, RunCheckpoints
from segup.training.config import RunConfig, TrainerConfig
from segup.training.cost import StepTimes, count_macs, count_parameters, peak_memory
from segup.training.history import CsvHistory
from segup.training.module import SegmentationModule
from segup.training.pictures import save_curves, save_predictions
from segup.training.progress import EpochLines, RunProgressBar, ladder_table, score_table
from segup.training.resume import Position, read_position
from segup.training.run_folder import environment, write_json


def train(config: RunConfig, folder: Path, console: Console | None = None) -> dict[str, Any]:
    """Run what ``config`` says in ``folder`` and return what is written to ``result.json``.

    Args:
        config: The checked configuration. Its ``ckpt_path`` continues a run from there.
        folder: An existing run folder.
        console: Where tables and lines go; standard output by default.

    Raises:
        SegupError: Whatever is wrong with the configuration, the data or the training, each with its own message.
    """
    console = console or Console()
    started = time.perf_counter()
    _quiet_known_warnings()
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)

    data = create_data(config.data, config.seed)
    data.prepare_data()
    data.setup("fit")
    num_classes = check_num_classes(config.num_classes, data)
    L.seed_everything(config.seed, verbose=False)
    model = build_model(config, num_classes, data.in_channels)
    crop = _crop(data)
    console.print(_ladder(model, crop[0], "height"))

    position = read_position(config.ckpt_path) if config.ckpt_path else Position()
    data.start_epoch, data.start_batch = position.epoch, position.batch
    module = SegmentationModule(
        model,
        build_loss(config, num_classes, data),
        SegmentationMetrics(data.labels.num_classes, data.labels.ignore_index),
        optimizer=config.optimizer,
        scheduler=config.scheduler,
        seed=config.seed,
        info={"labels": asdict(data.labels), "config": asdict(config)},
    )
    if config.channels_last:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    macs = count_macs(model, crop)
    if config.compile:
        model.compile()

    checkpoints, times = RunCheckpoints(folder), StepTimes()
    trainer = build_trainer(config.trainer, folder, [checkpoints, times, EpochLines(console)], position.step, console)
    trainer.fit(module, datamodule=data, ckpt_path=config.ckpt_path, weights_only=True)

    if not trainer.is_global_zero:
        return {}
    result = {
        "name": config.name,
        "seed": config.seed,
        "classes": list(data.labels.names),
        "last": {"epoch": trainer.current_epoch, "step": trainer.global_step, **(module.scores or {})},
        "best": None if checkpoints.best_scores is None else {"epoch": (checkpoints.best_epoch or 0) + 1, **checkpoints.best_scores},
        "parameters": count_parameters(model),
        "macs": {"size": list(crop), **macs},
        "step_seconds": times.median(),
        "images_per_second": _per_second(times.median(), data.batch_size * trainer.world_size),
        "peak_memory_bytes": peak_memory(module.device),
        "wall_seconds": round(time.perf_counter() - started, 3),
        "environment": environment(),
        "config": asdict(config),
    }
    write_json(folder / "result.json", result)
    save_curves(folder / "metrics.csv", folder / "curves.png")
    save_predictions(model, data, folder / "predictions.png")
    scores = {name: result[name] for name in ("last", "best") if result[name] is not None}
    console.print(score_table("Validation scores", scores, data.labels.names))
    console.print(f"run folder: {folder}", highlight=False, soft_wrap=True)
    return result


def build_model(config: RunConfig, num_classes: int, in_channels: int) -> SegmentationModel:
    """Build the model that the groups ``encoder`` and ``decoder`` describe."""
    decoder = dict(config.decoder)
    for key in ("topology", "upsampler"):
        if key not in decoder:
            raise ConfigError(f"decoder.{key} is not set: give decoder.{key}=...")
    return create_model(
        config.encoder.full_name,
        decoder.pop("topology"),
        decoder.pop("upsampler"),
        num_classes=num_classes,
        in_channels=in_channels,
        pretrained=config.encoder.pretrained and config.ckpt_path is None,
        encoder_options=config.encoder.options,
        **decoder,
    )


def build_loss(config: RunConfig, num_classes: int, data: SegmentationData) -> torch.nn.Module:
    """Build the loss that the group ``loss`` describes, its class weights counted over the training masks if asked."""
    options: dict[str, Any] = dict(config.loss)
    weights = options.pop("class_weights", None)
    if isinstance(weights, str):
        if weights != "median_frequency":
            raise ConfigError(f"loss.class_weights={weights!r} must be null, median_frequency or a list of numbers")
        counted = data.class_frequencies()
        weights = median_frequency_weights(counted.pixels, counted.pixels_of_images)
    return create_loss(
        options.pop("name", "ce_dice"),
        num_classes=num_classes,
        ignore_index=data.labels.ignore_index,
        class_weights=weights,
        **options,
    )


def build_trainer(
    config: TrainerConfig, folder: Path, callbacks: list[L.Callback], first_step: int, console: Console
) -> L.Trainer:
    """Build Lightning's trainer with segup's checkpoints, logs and progress."""
    loggers: list[Any] = [TensorBoardLogger(folder, name="", version="", sub_dir="tensorboard")]
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        loggers.insert(0, CsvHistory(folder / "metrics.csv", first_step))
    if console.is_terminal:
        callbacks = [*callbacks, RunProgressBar(leave=False)]
    return L.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        strategy=config.strategy,
        precision=_precision(config),
        max_epochs=config.max_epochs,
        max_steps=-1 if config.max_steps is None else config.max_steps,
        gradient_clip_val=config.gradient_clip_val,
        check_val_every_n_epoch=config.val_every_n_epochs,
        deterministic="warn" if config.deterministic else None,
        sync_batchnorm=config.sync_batchnorm,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,
        enable_progress_bar=console.is_terminal,
        enable_model_summary=False,
        callbacks=callbacks,
        logger=loggers,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=folder,
    )


def check_num_classes(wanted: int | None, data: SegmentationData) -> int:
    """Return the channels of the logits: one for each class, or 1 for two classes from one sigmoid channel.

    Raises:
        ConfigError: Any other number.
    """
    classes = data.labels.num_classes
    if wanted is None or wanted == classes:
        return classes
    if wanted == 1 and classes == 2:
        return 1
    rule = f"{classes}, one for each class of the data" + (", or 1 for one sigmoid channel" if classes == 2 else "")
    raise ConfigError(f"num_classes={wanted} must be {rule} ({', '.join(data.labels.names)}), or null")


def _precision(config: TrainerConfig) -> Any:
    if config.precision != "auto":
        return config.precision
    on_gpu = config.accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"


def _crop(data: SegmentationData) -> tuple[int, int]:
    if data.crop_size is not None:
        return data.crop_size
    height, width = data.sample("train", 0)["image"].shape[-2:]
    return int(height), int(width)


def _ladder(model: SegmentationModel, size: int, axis: str) -> Any:
    accepted = model.encoder.accepted_size((size, size))[0]
    extended = "" if accepted == size else f", extended to {accepted} (the encoder's minimum)"
    title = f"Sizes of a training crop: {axis} {size}{extended}"
    return ladder_table(title, model.encoder.name, accepted, model.encoder.map_sizes(accepted), model.ladder(size))


def _per_second(seconds: float | None, images: int) -> float | None:
    return None if seconds is None else images / seconds


def _quiet_known_warnings() -> None:
    """Leave out what Lightning says about choices that were made on purpose."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*The number of training batches.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*resuming from a checkpoint that ended before the epoch ended.*",  # the sampler starts at the right batch
        ".*`isinstance.treespec, LeafSpec.` is deprecated.*",
        ".*Trying to infer the `batch_size`.*",
    ):
        warnings.filterwarnings("ignore", message=message)

