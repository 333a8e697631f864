"""A run, top to bottom: configuration, data, model, training, result."""

import contextlib
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from rich.console import Console
from rich.text import Text

from segup.atomic import atomic_write
from segup.calls import annotated
from segup.conform import short
from segup.data import SegmentationData, create_data
from segup.data.found import found_text
from segup.decoders import LadderStep
from segup.errors import ConfigError, DataError, SegupError
from segup.inspection import rounding_of
from segup.metrics import create_metrics
from segup.models import SegmentationModel
from segup.shapes import Conv, cost
from segup.stored import visible
from segup.training.before import check_settings
from segup.training.build import (
    build_loss,
    build_model,
    build_trainer,
    check_num_classes,
    checkpoint_gradients,
    moved_keys,
    on_gpu,
    quiet_lightning,
    read_weights,
)
from segup.training.checkerboard import CheckerboardFigure, checkerboard_figures, checkerboard_spectra
from segup.training.checkpoints import RunCheckpoints, interrupts_handed_on, take_over
from segup.training.checks import CheckedMasks, StepLimit, averaging_and_stopping, stopped_early
from segup.training.config import RunConfig
from segup.training.cost import StepTimes, count_macs, count_parameters, inference_seconds, peak_memory
from segup.training.crops import check_crop
from segup.training.features import KeptFeatures
from segup.training.history import log_results, told_once
from segup.training.initial import take_weights
from segup.training.module import SegmentationModule
from segup.training.operator_files import holds_operator, start_operators
from segup.training.pictures import save_curves, save_predictions
from segup.training.progress import EpochLines, as_text, ladder_table, score_table
from segup.training.range_test import PICTURE, RangeTest, is_asked_for, range_test
from segup.training.ranks import is_first
from segup.training.reached import leave_out, unreached
from segup.training.resume import Position, read_position
from segup.training.run_folder import environment, is_complete, write_json, write_yaml


@annotated
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
    check_settings(config)
    position = _position(config)

    data = create_data(config.data, config.seed)
    data.prepare_data()
    data.keep_range(position.image_range)
    if position.least is not None:
        data.keep_least(*position.least)
    data.accumulate = config.trainer.accumulate or 1
    data.setup("fit")
    data.start_epoch, data.start_batch = position.epoch, position.batch
    crop = data.training_size()

    num_classes = check_num_classes(config.num_classes, data)
    L.seed_everything(config.seed, verbose=False)
    model = build_model(config, num_classes, data.in_channels)
    check_crop(model, crop, data.batch_size, config.trainer)
    report = read_weights(config, model)
    weights = position.weights if report is None else {"file": report.file, "sha256": report.sha256}
    if config.encoder.checkpoint_gradients:
        checkpoint_gradients(model)
    if config.init_from is not None and config.ckpt_path is None:
        if holds_operator(config.init_from):
            taken = start_operators(model, config.init_from, config.trust or ())
        else:
            taken = take_weights(model, config.init_from)
        if is_first():
            console.print(Text(visible(str(taken), keep="\n")), soft_wrap=True)
    loss = build_loss(config, num_classes, data)
    metrics = create_metrics(data.labels.num_classes, data.labels.ignore_index, config.metric)
    pixels = data.image_range if data.image_range == "dtype" else list(data.image_range)
    stored: dict[str, Any] = {"labels": asdict(data.labels), "image_range": pixels, "config": asdict(config)}
    stored |= {"least_steps": data.least_steps, "least_samples": data.least_samples}
    if weights is not None:
        stored["weights"] = weights
    module = SegmentationModule(
        model,
        loss,
        metrics,
        optimizer=config.optimizer,
        scheduler=config.scheduler,
        max_steps=config.trainer.max_steps,
        laid_out=position.steps,
        accumulate=data.accumulate,
        seed=config.seed,
        info=stored,
    )
    if config.channels_last:
        module.to(memory_format=torch.channels_last)
    tried = None
    if is_asked_for(config.optimizer):
        tried = _rate(config, module, data, position.rate)
    macs = count_macs(model, crop)
    if config.compile:
        model.compile()

    checkpoints, times, masks = RunCheckpoints(folder, data.groups("val")), StepTimes(), data.mask_check()
    callbacks = [CheckedMasks(masks), checkpoints, times, CheckerboardFigure(), EpochLines(console)]
    if data.cache_features:
        callbacks.insert(0, KeptFeatures(model, data, masks, console))
    callbacks += averaging_and_stopping(config)
    if config.trainer.max_steps is not None:
        callbacks.insert(0, StepLimit(config.trainer.max_steps))
    trainer = build_trainer(config.trainer, folder, callbacks, position.step, console, metrics.scores, config.logger)
    unread = unreached(model, crop) if trainer.world_size > 1 else []
    leave_out(module, [f"model.{name}" for name in unread])
    module.info["precision"] = trained_in(position.precision, str(trainer.precision))
    sizes = sizes_shown(model, crop)
    data_found = "\n".join(found_text(data, trainer.world_size, getattr(loss, "class_weights", None)))
    if trainer.is_global_zero:
        console.print(*sizes, sep="\n", highlight=False)
        console.print(
            Text("\n".join([data_found, *moved_keys(config), *map(str, filter(None, [report]))])), soft_wrap=True
        )
        if unread:
            console.print(
                f"not trained: {len(unread)} weights that no logit follows from ({unread[0]}, …)", highlight=False
            )
        if tried is not None:
            console.print(
                f"learning rate: {tried.rate:g}, where the loss fell fastest; {PICTURE} shows all", highlight=False
            )

    def begin() -> None:
        """Write what the run is: now that nothing refused it, for until then the folder stays as it was."""
        write_yaml(folder / "config.yaml", asdict(config))
        atomic_write(folder / "ladder.txt", as_text(*sizes).encode())
        atomic_write(folder / "data.txt", f"{data_found}\n".encode())
        if report is not None:
            atomic_write(folder / "weights.txt", f"{report.text(most=10**6)}\n".encode())
        if tried is not None:
            tried.save(folder / PICTURE)
        for logger in trainer.loggers:
            logger.log_hyperparams(asdict(config))
        if config.ckpt_path is not None:
            take_over(Path(config.ckpt_path), folder, position.best)

    checkpoints.at_begin = begin if trainer.is_global_zero else None
    with contextlib.closing(masks), interrupts_handed_on(), told_once():
        try:
            trainer.fit(module, datamodule=data, ckpt_path=config.ckpt_path, weights_only=True)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, MisconfigurationException) as cause:
            if isinstance(cause, SegupError) or config.ckpt_path is None or checkpoints.begun:
                raise
            raise DataError(  # what Lightning and torch put back is theirs to know, and to raise
                f"{config.ckpt_path}: its training state does not fit its run: {type(cause).__name__} "
                f"{short(' '.join(str(cause).split()))}"
            ) from cause
        checkpoints.begin()  # where all was trained before
        if why := stopped_early(trainer):
            console.print(why, highlight=False)
        if checkpoints.last_scores is None or checkpoints.last_scores["step"] != trainer.global_step:
            trainer.validate(module, datamodule=data, verbose=False)  # the last epoch was not one to be validated
    if not trainer.is_global_zero:
        return {}

    device = trainer.strategy.root_device  # where it trained; Lightning has brought the model back to the CPU
    result: dict[str, Any] = {
        "name": config.name,
        "seed": config.seed,
        "classes": list(data.labels.names),
        "image_range": pixels,
        "precision": module.info["precision"],
        "metrics": [asdict(score) for score in metrics.scores],
        "last": checkpoints.last_scores,
        "best": checkpoints.best_scores,
        **({} if weights is None else {"weights": weights}),
        **({"rate": module.optimizer_config["lr"]} if is_asked_for(config.optimizer) else {}),
        "checkerboard": {**checkerboard_figures(model), "spectrum": checkerboard_spectra(model)},
        "parameters": count_parameters(model),
        "macs": {"size": list(crop), **macs},
        "step_seconds": times.median(),
        "images_per_second": times.per_second(data.batch_size * trainer.world_size),
        "peak_memory_bytes": peak_memory(device),
        "inference_seconds": inference_seconds(model.to(device), crop),
        "wall_seconds": round(time.perf_counter() - started, 3),
        "environment": environment(),
        "config": asdict(config),
    }
    written = folder / "result.json"
    if trainer.global_step > position.step or not written.exists():  # else it was killed while it drew
        write_json(written, result)  # before anything is drawn, so that no picture can lose it
    found = {name: scores for name in ("last", "best") if (scores := result[name]) is not None}
    console.print(score_table("Validation scores", found, data.labels.names, metrics.scores))
    save_curves(metrics.scores, folder / "metrics.csv", folder / "curves.png")
    save_predictions(model, data, folder / "predictions.png")
    pictures = [folder / "curves.png", folder / "predictions.png"]
    log_results(trainer.loggers, asdict(config), module.scores, pictures, trainer.global_step)
    console.print(Text(f"run folder: {folder}"), soft_wrap=True)
    return result


def _position(config: RunConfig) -> Position:
    if config.ckpt_path is None:
        return Position()
    position = read_position(config.ckpt_path)
    # A run that was killed after its last checkpoint has nothing to train, and a result or pictures to write.
    steps = config.trainer.max_steps
    out_of_steps = steps is not None and position.step >= steps
    ended = position.epoch >= config.trainer.max_epochs or out_of_steps or config.early_stopping.patience is not None
    if ended and is_complete(Path(config.ckpt_path).parent):
        done = f"{steps} steps" if out_of_steps else f"{position.epoch} epochs"
        raise ConfigError(
            f"the run of {config.ckpt_path} has finished its {done}: there is nothing to continue.\n"
            f"  try: segup evaluate, or a run of its own with a larger "
            f"trainer.{'max_steps' if out_of_steps else 'max_epochs'}."
        )
    return position


def trained_in(before: str | None, now: str) -> str:
    """Return in what precision a run is trained: in each one that it had, since it may go on on another machine.

    >>> trained_in(None, "32-true"), trained_in("32-true", "32-true"), trained_in("bf16-mixed", "16-mixed")
    ('32-true', '32-true', 'bf16-mixed, then 16-mixed')
    """
    if before is None:
        return now
    return before if before.split(", then ")[-1] == now else f"{before}, then {now}"


def _rate(
    config: RunConfig, module: SegmentationModule, data: SegmentationData, known: float | None
) -> RangeTest | None:
    """Give the module the rate that a range test finds, or found when the run began; return a test that was made."""
    tried = None
    if known is None:
        device = torch.device("cuda" if on_gpu(config.trainer) else "cpu")
        with torch.random.fork_rng():
            tried = range_test(module, data.train_dataloader(), device, config.trainer.gradient_clip_val)
    rate = known if tried is None else tried.rate
    module.optimizer_config["lr"] = module.info["rate"] = rate
    return tried


def sizes_shown(model: SegmentationModel, crop: tuple[int, int]) -> list[Any]:
    """Return the table of sizes, height beside width, of a training crop, and the verdict on all sizes."""
    encoder = model.encoder
    accepted = encoder.accepted_size(crop)
    takes = f", which takes {encoder.pyramid.accepted}: extended to {accepted[0]}×{accepted[1]}"
    maps = [encoder.map_sizes(size) for size in accepted]
    ladders = [model.ladder(size) for size in crop]
    title = f"Sizes of a training crop, {crop[0]}×{crop[1]}, in {encoder.name}{'' if accepted == crop else takes}"
    rules = [rounding_of(rule) for rule in encoder.pyramid.rules()]
    stages = [f"stage {place} rounds {rule or 'by no single rule'}" for place, rule in enumerate(rules, 1)]
    return [ladder_table(title, stages, accepted, maps, ladders, _head(model, ladders)), str(model.verdict())]


def _head(model: SegmentationModel, ladders: Sequence[Sequence[LadderStep]]) -> tuple[int, str] | None:
    """Return before which step the classifier stands, with what it costs, where it stands before one."""
    conv, after = model.decoder.head, len(model.decoder.steps_of_scores())
    if conv is None or after == 0:
        return None
    place = len(ladders[0]) - after
    size, low = conv.kernel_size[0], (ladders[0][place].low, ladders[1][place].low)
    macs = cost(Conv(size, padding=size // 2), low, conv.in_channels, conv.out_channels).macs
    return place, f"head {size}×{size}, {macs / 1e6:.3g} M MACs"


def _quiet_known_warnings() -> None:
    """Leave out what Lightning says about choices that were made on purpose."""
    quiet_lightning()
    for message in (
        ".*does not have many workers.*",
        ".*The number of training batches.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*resuming from a checkpoint that ended before the epoch ended.*",  # the sampler starts at the right batch
        ".*`isinstance.treespec, LeafSpec.` is deprecated.*",
        ".*Trying to infer the `batch_size`.*",
        ".*module.s. in eval mode at the start of training.*",  # BatchNorm whose statistics are kept
    ):
        warnings.filterwarnings("ignore", message=message)
