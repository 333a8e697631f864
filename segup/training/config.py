"""A run's configuration as frozen values, each checked before any work starts."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TypedDict

from segup.conform import Within, conform
from segup.data.folds import fold_of
from segup.errors import ConfigError
from segup.stored import visible

Seed = Annotated[int, Within(0, 2**32 - 1)]  # numpy takes no larger one
Times = Annotated[int, Within(1)]
Folds = Annotated[int, Within(2, 10_000)]
Fold = Annotated[int, Within(0, 10_000)]
FIND = "find"
"""What ``optimizer.lr`` is where a range test finds it."""
Processes = Annotated[int, Within(1, 4096)]
MEANT = {
    "neck.name": "auto", "decoder.final": "bilinear", "decoder.upsampler_options.conv_first": False,
    "decoder.upsampler_options.align_corners": False, "data.cache_features": False, "trainer.num_nodes": 1,
    "trainer.accumulate": 1,
}  # fmt: skip
"""What configurations mean by keys that are null, or that they do not hold."""


PLACE = frozenset({
    "run_dir", "ckpt_path", "trust", "compile", "logger", "data.root", "data.download", "data.num_workers",
    "data.cache", "data.cache_dir", "data.max_cache_gb", "data.max_pixels", "trainer.accelerator", "trainer.threads",
})  # fmt: skip
"""Keys that say where and how fast a run is trained, not what comes out."""


class DataConfig(TypedDict, total=False):
    """Numbers of the group ``data`` that decide how much is made at once; its other keys are the data set's."""

    num_workers: Annotated[int, Within(0, 512)] | None
    batch_size: Annotated[int, Within(1, 2**16)]
    val_batch_size: Annotated[int, Within(1, 2**16)]
    samples_per_epoch: Annotated[int, Within(1, 10**9)] | None
    crop_size: list[Annotated[int, Within(1, 2**16)]] | None
    in_channels: Annotated[int, Within(1, 2**12)]
    folds: Folds | None
    fold: Fold | None


@dataclass(frozen=True)
class TrainerConfig:
    """Where and how long a run trains; ``configs/trainer/auto.yaml`` says what each field does."""

    accelerator: str = "auto"
    devices: Processes = 1
    num_nodes: Processes = 1
    strategy: str = "auto"
    precision: str = "auto"
    max_epochs: Times = 15
    max_steps: Times | None = None
    accumulate: Times | None = None
    gradient_clip_val: Annotated[float, Within(0)] | None = 1.0
    val_every_n_epochs: Times = 1
    deterministic: bool = False
    sync_batchnorm: bool = False
    threads: Processes | None = None


@dataclass(frozen=True)
class EncoderConfig:
    """Which encoder, from which library."""

    name: str
    library: str | None = None
    pretrained: bool = True
    weights: str | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    freeze: bool | Times | None = None
    out_indices: list[int] | None = None
    drop_path: Annotated[float, Within(0, below=1)] | None = None
    checkpoint_gradients: bool | None = None
    max_tokens: Times | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """The name that :func:`segup.encoders.create_encoder` takes."""
        return f"{self.library}/{self.name}" if self.library else self.name


@dataclass(frozen=True)
class EmaConfig:
    """The exponential moving average of the weights."""

    decay: Annotated[float, Within(0, below=1)] | None = None


@dataclass(frozen=True)
class EarlyStoppingConfig:
    """When a run ends before its last epoch."""

    patience: Times | None = None


@dataclass(frozen=True)
class Reconstruction:
    """How an operator is trained without labels; ``configs/experiment/reconstruct.yaml`` says what each field does."""

    stride: Annotated[int, Within(1, 2**10)] = 8
    scale: Annotated[int, Within(2, 2**6)] = 2
    steps: Times = 300
    lr: Annotated[float, Within(above=0)] = 0.003


@dataclass(frozen=True)
class RunConfig:
    """All that decides a run. Groups whose keys depend on a name stay mappings; their parts check them.

    Raises:
        ConfigError: From :meth:`of`, for an unknown key (with the nearest match), a missing or a mistyped value.

    >>> RunConfig.of({"encoder": {"name": "efficientnet_lite0"}, "trainer": {"max_epoch": 3}})
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: unknown key 'trainer.max_epoch': did you mean 'max_epochs'? known: accelerator, ...
    """

    encoder: EncoderConfig
    neck: dict[str, Any] = field(default_factory=dict)
    decoder: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)
    metric: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    scheduler: dict[str, Any] = field(default_factory=dict)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    logger: str | list[str] | None = None
    name: str = "train"
    seed: Seed = 0
    num_classes: int | None = None
    channels_last: bool = True
    compile: bool = False
    run_dir: str | None = None
    ckpt_path: str | None = None
    init_from: str | None = None
    trust: list[str] = field(default_factory=list)
    reconstruct: Reconstruction | None = None

    @staticmethod
    def of(values: Mapping[str, Any]) -> "RunConfig":
        """Check plain nested values, as YAML gives them, and return them as one value."""
        config: RunConfig = conform(RunConfig, values)
        conform(DataConfig, config.data, "data")
        check_name("name", config.name, "outputs/")
        if isinstance(rate := config.optimizer.get("lr"), str) and rate != FIND:
            raise ConfigError(f"optimizer.lr={rate!r} must be a number above 0, or {FIND}\n  try: optimizer.lr={FIND}")
        if config.optimizer.get("lr") == FIND and config.trainer.devices > 1:
            raise ConfigError(
                f"optimizer.lr=find looks on one device, and trainer.devices={config.trainer.devices}.\n"
                f"  try: trainer.devices=1 once, and then the rate that it found as optimizer.lr."
            )
        return replace(
            config,
            data=in_fold(config.data, config.seed),
            run_dir=_at_home(config.run_dir),
            ckpt_path=_at_home(config.ckpt_path),
            init_from=_at_home(config.init_from),
            encoder=replace(config.encoder, weights=_at_home(config.encoder.weights)),
        )


def _at_home(path: str | None) -> str | None:
    """Return a path in which ``~`` is the folder that it stands for."""
    return None if path is None else os.path.expanduser(path)


def in_fold(data: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return a data configuration that says on which of its folds a run validates.

    Raises:
        ConfigError: As :func:`segup.data.folds.fold_of`.

    >>> in_fold({"name": "cells", "folds": 5}, 7)
    {'name': 'cells', 'folds': 5, 'fold': 2}
    """
    fold = fold_of(seed, data.get("folds"), data.get("fold"))
    return dict(data) if fold is None else {**data, "fold": fold}


def check_name(key: str, name: object, below: str) -> None:
    """Raise a ConfigError unless ``name`` is that of a folder below ``below``.

    >>> check_name("name", "../x", "outputs/")
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: name=../x must name a folder below outputs/.
      try: name=<name>; the command makes outputs/ in the folder it is given in.
    """
    path = Path("" if name is None else str(name))
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in str(name):
        raise ConfigError(
            f"{key}={'null' if name is None else visible(str(name)) or repr(name)} must name a folder below {below}.\n"
            f"  try: {key}=<name>; the command makes {below} in the folder it is given in."
        )
