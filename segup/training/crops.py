"""Whether a model can be trained on crops of a size, a number of them at once."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from segup.errors import ConfigError, SegupError
from segup.inspection.copies import meta_copy
from segup.models import SegmentationModel
from segup.training.config import TrainerConfig

_LARGEST = 2**11
"""Pixels up to which a side is looked for that can be trained."""


_PLAIN = {"BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"}


class _LoneValueError(Exception):
    """A BatchNorm would see one value of each channel; the message is its name."""


def check_crop(model: SegmentationModel, crop: tuple[int, int], batch_size: int, trainer: TrainerConfig) -> None:
    """Raise unless crops go through the encoder whole, and leave each BatchNorm two values of a channel or more.

    Args:
        model: Also one without weights, on the device "meta". It is not run itself.
        crop: (height, width).
        batch_size: Of each process.
        trainer: Whether BatchNorm sees the batches of all processes at once.

    Raises:
        ShapeError: See :meth:`segup.encoders.Encoder.check_crop`.
        ConfigError: A BatchNorm that is trained sees one value; or the norms of several processes cannot be joined.

    >>> from segup.models import create_model
    >>> model = create_model("resnet18", num_classes=2, pretrained=False)
    >>> check_crop(model, (33, 32), 1, TrainerConfig())
    >>> check_crop(model, (32, 32), 1, TrainerConfig())
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: data.batch_size=1 and crops of 32×32: BatchNorm 'encoder...' would see 1 value ...
      try: data.batch_size=2, or data.crop_size=[64,64].
    """
    model.encoder.check_crop(crop)
    joined = {type(part).__name__ for part in model.modules() if isinstance(part, _BatchNorm)} - _PLAIN
    if trainer.sync_batchnorm and joined:
        raise ConfigError(
            f"trainer.sync_batchnorm=true exchanges BatchNorm for torch's own, and this model's {min(joined)} does "
            f"more, which would be lost.\n  try: trainer.sync_batchnorm=false"
        )
    at_once = trainer.devices * trainer.num_nodes if trainer.sync_batchnorm else 1
    if batch_size * at_once > 1:
        return
    name = _lone(model, crop)
    if name is None:
        return
    doubled = [(crop[0] << times, crop[1] << times) for times in range(1, _LARGEST.bit_length())]
    larger = next((size for size in doubled if max(size) <= _LARGEST and _is_trained(model, size)), None)
    way_out = f", or data.crop_size=[{larger[0]},{larger[1]}]" if larger else ""
    raise ConfigError(
        f"data.batch_size=1 and crops of {crop[0]}×{crop[1]}: BatchNorm '{name}' would see 1 value of each channel, "
        f"and needs 2 in training.\n  try: data.batch_size=2{way_out}."
    )


def _is_trained(model: SegmentationModel, size: tuple[int, int]) -> bool:
    try:
        return _lone(model, size) is None
    except SegupError:  # larger than the encoder takes
        return False


def _lone(model: SegmentationModel, size: tuple[int, int]) -> str | None:
    """Return the name of a BatchNorm that sees one value of each channel where one image is trained."""
    copy = meta_copy(model).train()

    def look(name: str, part: nn.Module, x: Tensor) -> None:
        if (part.training or part.running_mean is None) and x.numel() == x.shape[1]:
            raise _LoneValueError(name)

    for name, part in copy.named_modules():
        if isinstance(part, _BatchNorm):
            part.register_forward_pre_hook(lambda part, given, name=name: look(name, part, given[0]))
    try:
        with torch.no_grad():
            copy(torch.empty(1, model.in_channels, *size, device="meta", dtype=model.dtype))
    except _LoneValueError as met:
        return str(met)
    except (NotImplementedError, RuntimeError, TypeError):  # a part from outside that cannot do without values
        return None
    return None
