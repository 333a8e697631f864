"""The parts of a run, built from its configuration."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from rich.console import Console
from torch import Tensor

from segup.calls import annotated
from segup.checkpoints import build_again
from segup.data import SegmentationData
from segup.encoders import WeightsReport, load_weights
from segup.encoders.create import KEYS_OF_ITS_GROUP
from segup.errors import ConfigError
from segup.losses import LOSSES, create_loss, median_frequency_weights
from segup.metrics.scores import OWN_SCORES, Score
from segup.models import SegmentationModel, create_model
from segup.names import check_storable
from segup.training.checkpoints import AtomicCheckpointIO
from segup.training.config import EncoderConfig, RunConfig, TrainerConfig
from segup.training.history import CsvHistory, check_loggers, create_loggers
from segup.training.initial import holds_encoder
from segup.training.operator_files import holds_operator
from segup.training.progress import RunProgressBar
from segup.training.ranks import is_first


@annotated
def build_model(config: RunConfig, num_classes: int, in_channels: int) -> SegmentationModel:
    """Build the model that the groups ``encoder``, ``neck`` and ``decoder`` describe.

    Raises:
        ConfigError: They hold what no checkpoint may hold, so that none of this run could be opened.
        DataError: The checkpoint that the run goes on from holds another model.
    """
    names = model_names(config, num_classes, in_channels)
    if config.ckpt_path is not None:
        return build_again(config.ckpt_path, names)
    check_storable(names)
    whole = config.init_from is not None and not holds_operator(config.init_from)
    known = whole and holds_encoder(str(config.init_from), names)
    pretrained = config.encoder.pretrained and config.encoder.weights is None and not known
    return create_model(**names, pretrained=pretrained)


def read_weights(config: RunConfig, model: SegmentationModel) -> WeightsReport | None:
    """Fill the encoder from the file that ``encoder.weights`` names, once: a run that goes on has its tensors already.

    Raises:
        DataError: The file cannot be read, or nothing of it fits.
    """
    if config.encoder.weights is None or config.ckpt_path is not None:
        return None
    return load_weights(model.encoder, config.encoder.weights)


COUNTED = "median_frequency"
"""What ``loss.class_weights`` is where they are counted over the training masks."""


def quiet_lightning() -> None:
    """Leave out what Lightning says about the machine."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


def model_names(config: RunConfig, num_classes: int, in_channels: int) -> dict[str, Any]:
    """Return the names and options that the groups ``encoder``, ``neck`` and ``decoder`` build a model from.

    Raises:
        ConfigError: The topology or the upsampler is not named.
    """
    # null is the topology's own default, and an option that a topology does not have is not set either
    decoder = {key: value for key, value in config.decoder.items() if value is not None}
    for key in ("topology", "upsampler"):
        if key not in decoder and (key == "topology" or "preset" not in decoder):
            raise ConfigError(f"decoder.{key} is not set: give decoder.{key}=...")
    return {
        "encoder": config.encoder.full_name,
        "topology": decoder.pop("topology"),
        "upsampler": decoder.pop("upsampler", None),
        "num_classes": num_classes,
        "in_channels": in_channels,
        "encoder_options": encoder_options(config.encoder),
        **neck_names(config),
        **decoder,
    }


_PLACES = {**{key: key for key in sorted(KEYS_OF_ITS_GROUP)}, "drop_path": "options.drop_path_rate"}
"""Where the keys of ``encoder`` stand among the options of an encoder, and some stood in ``encoder.options``."""


def encoder_options(encoder: EncoderConfig) -> dict[str, Any]:
    """Return an encoder's options, those among them that have keys of their own.

    Raises:
        ConfigError: A value is given in both places, and they differ.
    """
    options = {**encoder.options}
    for key, place in _PLACES.items():
        value, before = getattr(encoder, key), _at(options, place)
        if value in (None, False):
            continue
        if before not in (None, False, value):
            raise ConfigError(
                f"encoder.{key}={_written(value)} and encoder.options.{place}={_written(before)} contradict each other"
                f"\n  try: encoder.options.{place}=null"
            )
        group, _, name = place.rpartition(".")
        if group:
            options[group] = {**(options.get(group) or {}), name: value}
        else:
            options[name] = value
    return options


def moved_keys(config: RunConfig) -> list[str]:
    """Return for each value of ``encoder.options`` that has a key of its own now how it is given."""
    found = {key: (place, _at(config.encoder.options, place)) for key, place in _PLACES.items()}
    return [
        f"encoder.options.{place} stands in encoder.{key} now; try: encoder.{key}={_written(value)}"
        for key, (place, value) in found.items()
        if value not in (None, False)
    ]


def _written(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _at(options: Mapping[str, Any], place: str) -> Any:
    group, _, name = place.rpartition(".")
    return ((options.get(group) or {}) if group else options).get(name)


def checkpoint_gradients(model: SegmentationModel) -> None:
    """Compute an encoder's blocks again on the way back, in place of keeping what they made: less memory, more time.

    Raises:
        ConfigError: Its library cannot.
    """
    inner: Any = getattr(model.encoder.body, "model", model.encoder.body)
    try:
        inner.set_grad_checkpointing(True)
    except (AttributeError, AssertionError) as cause:  # timm asserts what a model cannot
        raise ConfigError(
            f"encoder '{model.encoder.name}' cannot compute its blocks again: its library has no gradient "
            f"checkpointing for it.\n  try: encoder.checkpoint_gradients=false"
        ) from cause


def neck_names(config: RunConfig) -> dict[str, Any]:
    """Return the neck's name and, where some are set, its options."""
    options = {key: value for key, value in config.neck.items() if value not in (None, {})}
    name = options.pop("name", "auto")
    return {"neck": name, **({"neck_options": options} if options else {})}


def build_loss(config: RunConfig, num_classes: int, data: SegmentationData) -> torch.nn.Module:
    """Build the loss that the group ``loss`` describes, its class weights counted over the training masks if asked."""
    counted = None
    if config.loss.get("class_weights") == COUNTED:
        found = data.class_frequencies()
        counted = median_frequency_weights(found.pixels, found.image_pixels)
    return create_loss(**loss_options(config, num_classes, data, counted))


def loss_options(
    config: RunConfig, num_classes: int, data: SegmentationData, counted: Sequence[float] | Tensor | None
) -> dict[str, Any]:
    """Return what the loss is built from.

    Args:
        config: Of the run.
        num_classes: Channels of the logits.
        data: Whose labels count.
        counted: Weights of the classes, where they are to be counted; None: not yet, and all are 1.

    Raises:
        ConfigError: ``loss.class_weights`` is another word.
    """
    LOSSES.check_given(config.loss, "loss")
    options = {"name": "ce_dice", "class_weights": None, **config.loss}
    weights = options["class_weights"]
    if isinstance(weights, str):
        if weights != COUNTED:
            raise ConfigError(f"loss.class_weights={weights!r} must be null, {COUNTED} or a list of numbers")
        options["class_weights"] = [1.0] * data.labels.num_classes if counted is None else counted
    return {**options, "num_classes": num_classes, "ignore_index": data.labels.ignore_index}


def build_trainer(
    config: TrainerConfig,
    folder: Path,
    callbacks: list[L.Callback],
    first_step: int,
    console: Console,
    scores: Sequence[Score] = OWN_SCORES,
    logger: str | list[str] | None = None,
) -> L.Trainer:
    """Build Lightning's trainer with segup's checkpoints, logs and progress."""
    loggers: list[Any] = create_loggers(check_loggers(logger), folder)
    if is_first():
        loggers.insert(0, CsvHistory(folder / "metrics.csv", first_step, scores))
    if console.is_terminal:
        callbacks = [*callbacks, RunProgressBar(leave=False)]
    return checked_trainer(config, folder, callbacks, loggers, console)


def checked_trainer(
    config: TrainerConfig, folder: Path, callbacks: list[L.Callback], loggers: list[Any], console: Console
) -> L.Trainer:
    """Build Lightning's trainer.

    Raises:
        ConfigError: It cannot train so on this machine; the message has a setting with which it can.
    """
    try:
        return _trainer(config, folder, callbacks, loggers, console)
    except (MisconfigurationException, ModuleNotFoundError, ValueError) as cause:
        raise ConfigError(
            f"trainer.accelerator={config.accelerator}, devices={config.devices}, num_nodes={config.num_nodes}, "
            f"strategy={config.strategy}, precision={config.precision} cannot be used here: "
            f"{' '.join(str(cause).split())}{_usable(config, folder)}"
        ) from cause


def _usable(config: TrainerConfig, folder: Path) -> str:
    """Return the one setting at its default with which a trainer can be built here."""
    for name in ("accelerator", "precision", "strategy"):
        default = getattr(TrainerConfig(), name)
        try:
            _trainer(replace(config, **{name: default}), folder, [], [], Console())
        except (MisconfigurationException, ModuleNotFoundError, ValueError):
            continue
        return f"\n  try: trainer.{name}={default}."
    return ""


def _trainer(
    config: TrainerConfig, folder: Path, callbacks: list[L.Callback], loggers: list[Any], console: Console
) -> L.Trainer:
    return L.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=config.strategy,
        precision=precision_of(config),
        max_epochs=config.max_epochs,
        accumulate_grad_batches=config.accumulate or 1,
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


def precision_of(config: TrainerConfig) -> Any:
    """Return the precision that Lightning is told: of "auto", bf16-mixed on a GPU that has it."""
    if config.precision != "auto":
        return config.precision
    return "bf16-mixed" if on_gpu(config) and torch.cuda.is_bf16_supported() else "32-true"


def on_gpu(config: TrainerConfig) -> bool:
    """Return whether the trainer computes on a GPU of CUDA."""
    return config.accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available()
