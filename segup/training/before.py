"""What is wrong with a run's configuration, found before anything is read, downloaded, built or printed."""

import json
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from segup.data import SegmentationData, create_data
from segup.encoders.weights import weights_file
from segup.errors import ConfigError
from segup.losses import create_loss
from segup.metrics import create_metrics
from segup.models import create_model
from segup.names import check_storable
from segup.training.build import (
    check_num_classes,
    checked_trainer,
    checkpoint_gradients,
    loss_options,
    model_names,
    quiet_lightning,
)
from segup.training.config import RunConfig
from segup.training.crops import check_crop
from segup.training.features import check_frozen
from segup.training.history import check_loggers
from segup.training.optimizers import check_optimizer
from segup.training.range_test import LOW, is_asked_for
from segup.training.schedulers import create_scheduler

STEPS = 1000
"""Of a schedule that is built to see whether it can be: their number follows from the data."""


def check_settings(config: RunConfig) -> None:
    """Raise a SegupError for what cannot be used, as far as that is known without the data's files and the model.

    Of a run that goes on, the trainer and the loggers are looked at: all else began with it.
    """
    _settings(config)


def check_parts(config: RunConfig) -> None:
    """Raise a SegupError unless all that trains can be built here, as far as that is known without the data's files.

    Nothing is downloaded, and no weights are allocated. The model's sizes are gone through, which takes seconds.
    """
    found = _settings(config)
    if found is None:
        return
    data, names = found
    with torch.device("meta"):
        model = create_model(**names, pretrained=False)
    if data.crop_size is not None:
        check_crop(model, data.crop_size, data.batch_size, config.trainer)
    if data.cache_features:
        check_frozen(model.encoder)
    if config.encoder.checkpoint_gradients:
        checkpoint_gradients(model)


def _settings(config: RunConfig) -> tuple[SegmentationData, dict[str, Any]] | None:
    """Return the data, not yet looked for, and what the model is to be built from; None of a run that goes on."""
    quiet_lightning()
    check_loggers(config.logger)
    checked_trainer(config.trainer, Path(), [], [], Console(quiet=True))
    if config.ckpt_path is not None:
        return None
    data = create_data(config.data, config.seed)
    classes = check_num_classes(config.num_classes, data)
    for key in ("mean", "std"):
        given = getattr(config.encoder, key) or ()
        if len(given) > data.in_channels:
            raise ConfigError(
                f"encoder.{key} has {len(given)} numbers, and images have data.in_channels={data.in_channels}.\n"
                f"  try: encoder.{key}={json.dumps(given[: data.in_channels], separators=(',', ':'))}"
            )
    names = model_names(config, classes, data.in_channels)
    check_storable(names)
    if config.encoder.weights is not None:
        weights_file(config.encoder.weights)
    create_metrics(data.labels.num_classes, data.labels.ignore_index, config.metric)
    rate = {"lr": LOW} if is_asked_for(config.optimizer) else {}
    optimizer = check_optimizer({**config.optimizer, **rate})
    create_scheduler(config.scheduler, optimizer, config.trainer.max_steps or STEPS)
    create_loss(**loss_options(config, classes, data, counted=None))
    return data, names
