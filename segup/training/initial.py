"""Where a run starts: the weights of another run, as far as they fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from segup.checkpoints import find_checkpoint, model_weights, read_checkpoint
from segup.errors import ConfigError, DataError
from segup.models import SegmentationModel
from segup.tables import first_of

_LISTED = 8


@dataclass(frozen=True)
class Taken:
    """What a run took over from another.

    Args:
        file: The checkpoint.
        fit: How many tensors were taken over.
        left: Why each other tensor of the model starts anew.
        unused: The tensors of the checkpoint that the model has not.
    """

    file: Path
    fit: int
    left: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"starts from {self.file}: {self.fit} of {self.fit + len(self.left)} tensors fit"]
        lines += [f"  begins anew: {first_of(self.left, _LISTED)}"] if self.left else []
        lines += [f"  not used: {first_of(self.unused, _LISTED)}"] if self.unused else []
        return "\n".join(lines)


def take_weights(model: SegmentationModel, path: str | Path) -> Taken:
    """Start a model from the weights of a run or checkpoint: those of the same name and shape.

    Raises:
        DataError: Nothing is there, or it is no checkpoint.
        ConfigError: No weight fits.
    """
    file = find_checkpoint(path)
    stored, own = model_weights(file), model.state_dict()
    fit = {name: stored[name] for name, tensor in own.items() if name in stored and stored[name].shape == tensor.shape}
    learned = {name for name, _ in model.named_parameters()}
    if not learned & fit.keys():
        raise ConfigError(
            f"init_from={path}: none of its {len(stored)} tensors fits this model.\n"
            f"  try: init_from=null, or the encoder and decoder of that run."
        )
    broken = [name for name in sorted(learned & fit.keys()) if not fit[name].isfinite().all()]
    if broken:
        raise DataError(f"{file}: the weights hold NaN or infinite values, {broken[0]} among them")
    with torch.no_grad():
        for name, tensor in fit.items():
            own[name].copy_(tensor)
    left = tuple(
        f"{name} ({_shape(stored[name])} there, {_shape(own[name])} here)" if name in stored else f"{name} (not there)"
        for name in own
        if name not in fit
    )
    return Taken(file, len(fit), left, tuple(name for name in stored if name not in own))


def holds_encoder(path: str | Path, names: Mapping[str, Any]) -> bool:
    """Return whether a run or checkpoint has the weights of the encoder that ``names`` name, all of them."""
    spec = read_checkpoint(find_checkpoint(path))["segup"]["model"]
    return all(spec.get(key) == names.get(key) for key in ("encoder", "in_channels", "encoder_options"))


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "one number"
