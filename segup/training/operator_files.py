"""One operator as a file: the names that build it and its weights. Opening a file runs no code."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segup.archive import read_archive
from segup.atomic import atomic_write
from segup.errors import ConfigError, DataError
from segup.names import check_trust
from segup.training.initial import Taken
from segup.upsamplers import Upsampler, create_upsampler

FILE = "upsampler.ckpt"


def save_operator(up: Upsampler, path: Path, name: str, options: Mapping[str, Any]) -> None:
    """Write an operator as the names that build it, ``name`` and its options, and its weights."""
    names = {
        "name": name, "in_channels": up.in_channels, "out_channels": up.out_channels, "scale": up.scale,
        "image_channels": up.image_channels or 3, **options,
    }  # fmt: skip
    buffer = io.BytesIO()
    torch.save({"segup_upsampler": names, "state_dict": up.state_dict()}, buffer)
    atomic_write(path, buffer.getbuffer())


def load_operator(path: str | Path, trust: Iterable[str] = ()) -> Upsampler:
    """Open an operator that a run of ``experiment=reconstruct`` wrote, in evaluation mode. Opening it runs no code.

    Args:
        path: The file, or its run folder.
        trust: Modules from outside segup that may be imported.

    Raises:
        DataError: The file is missing or damaged.
        ConfigError: The operator is from outside segup, and its module is not trusted.
    """
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise DataError(f"no operator at {file}\n  try: the folder of a run of experiment=reconstruct")
    content = read_archive(file)
    names = content.get("segup_upsampler") if isinstance(content, dict) else None
    if not isinstance(names, dict) or not isinstance(names.get("name"), str):
        raise DataError(f"{file} holds no operator: it has no 'segup_upsampler' entry with its name")
    check_trust(names["name"], trust, file)
    try:
        up = create_upsampler(**names)
        up.load_state_dict(content["state_dict"])
    except (ConfigError, LookupError, TypeError, RuntimeError) as cause:
        raise DataError(f"{file}: the operator cannot be built: {' '.join(str(cause).split())[:400]}") from cause
    return up.eval()


def holds_operator(path: str | Path) -> bool:
    """Return whether a run trained one operator without labels, and no model."""
    return (Path(path) / FILE).is_file()


def start_operators(model: nn.Module, path: str | Path, trust: Iterable[str] = ()) -> Taken:
    """Start the operators of a model from the weights of one that was trained without labels.

    Weights of the same name and shape are taken. In a decoder the steps have channels of their own, so that of ``naf``
    all weights but those of 1×1 convolutions fit, of others those that do not depend on the channels.

    Args:
        model: Holds operators of the same name.
        path: Of the run, or its ``upsampler.ckpt``.
        trust: See :func:`load_operator`.

    Raises:
        DataError, ConfigError: See :func:`load_operator`; or no weight fits.
    """
    stored = load_operator(path, trust)
    weights, taken = stored.state_dict(), 0
    left: list[str] = []
    for name, up in model.named_modules():
        if isinstance(up, Upsampler) and type(up) is type(stored):
            own = up.state_dict()
            fit = {key: weights[key] for key in own if key in weights and weights[key].shape == own[key].shape}
            up.load_state_dict(fit, strict=False)
            taken += len(fit)
            left += [f"{name}.{key}" for key in own if key not in fit]
    if not taken:
        raise ConfigError(
            f"init_from={path}: it holds the operator '{stored.name}', and none of its weights fits this model.\n"
            f"  try: decoder={stored.name}, with the options of that run"
        )
    return Taken(Path(path), taken, tuple(left), ())
