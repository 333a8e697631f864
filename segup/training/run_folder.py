"""The run folder: made once, never overwritten, and what is written into it."""

import contextlib
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from segup.atomic import atomic_write, is_part
from segup.errors import ConfigError, SegupError
from segup.lock import LOCK, lock
from segup.overrides import pasted
from segup.stored import as_written, read_yaml
from segup.training.config import RunConfig
from segup.training.ranks import followed, is_first, told
from segup.training.rows import read_history

_PACKAGES = (
    "segup",
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "torchmetrics",
    "albumentations",
    "hydra-core",
    "numpy",
)
_RESULTS = ("last.ckpt", "best.ckpt", "result.json", "upsampler.ckpt", "reconstruction.json")
"""What a run has trained: where one of these is, no run begins anew."""
_BEFORE = ("ladder.txt", "data.txt", "weights.txt", "metrics.csv", "images.csv", "lr_find.png", "mlflow.db")
"""What it writes before."""


@contextlib.contextmanager
def run_folder(config: RunConfig) -> Iterator[Path]:
    """Make a run's folder, or find the one in which it goes on, and hold its lock within.

    A run that was killed before its first checkpoint begins anew in the same folder. One that fails before its first
    step leaves nothing, so that the same command can be given again. The processes that torchrun or Slurm start share
    the folder of the first.

    Args:
        config: Of the run. Without a ``run_dir``, it is ``outputs/<name>/<upsampler>/<seed>-<time>``; with a
            ``ckpt_path`` alone, the checkpoint's folder.

    Raises:
        ConfigError: ``run_dir`` holds anything else, or cannot be made; or the folder's run has gone further than the
            checkpoint.
        HeldError: Another process trains in it.
    """
    wanted, checkpoint = config.run_dir, config.ckpt_path
    if not is_first():  # the first process makes it, locks it and clears it for all
        parent = Path(checkpoint).parent if checkpoint is not None else None
        yield Path(wanted) if wanted is not None else parent or followed(_parent(config))
        return
    if checkpoint is not None and (wanted is None or Path(wanted).resolve() == Path(checkpoint).resolve().parent):
        folder = Path(checkpoint).parent
        with lock(folder):
            _check_newest(folder, Path(checkpoint))
            yield folder
        return
    place = _parent(config) if wanted is None else Path(wanted)
    new = [one for one in (place, *place.parents) if not one.exists()]
    folder = _new_folder(config) if wanted is None else place
    new = [folder, *new] if wanted is None else new
    _check_unused(folder, config)
    _make(folder, exist_ok=True)
    with lock(folder):
        _check_unused(folder, config)  # once more: by now another process may have trained in it
        clear_unstarted(folder)
        try:
            with told(folder):
                yield folder
        except SegupError:
            discard_unstarted(folder, new)
            raise


def clear_unstarted(folder: Path) -> None:
    """Remove what a run wrote that ended before its first checkpoint, and nothing else."""
    if _has_results(folder):
        return
    for name in _BEFORE:
        (folder / name).unlink(missing_ok=True)
    for name in ("tensorboard", "wandb", "mlflow"):
        shutil.rmtree(folder / name, ignore_errors=True)


def discard_unstarted(folder: Path, new: Sequence[Path]) -> None:
    """Remove what a run left that failed before its first step, and the ``new`` folders, which were made for it.

    Whatever else lies in them stays, and so do folders of the person's own.
    """
    history = folder / "metrics.csv"
    if _has_results(folder) or (history.exists() and read_history(history)):
        return
    clear_unstarted(folder)
    for name in ("config.yaml", LOCK):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty: the person's files, or other runs, lie there
        for one in new:
            one.rmdir()


def _has_results(folder: Path) -> bool:
    return any((folder / name).exists() for name in _RESULTS)


def is_complete(folder: Path) -> bool:
    """Return whether a run wrote all that a run writes; its result comes first, and then its pictures."""
    return all((folder / name).exists() for name in ("result.json", "curves.png", "predictions.png"))


def _parent(config: RunConfig) -> Path:
    decoder = config.decoder
    return Path("outputs") / config.name / as_folder(str(decoder.get("upsampler") or decoder.get("preset")))


def _new_folder(config: RunConfig) -> Path:
    stem = _parent(config) / f"{config.seed}-{datetime.now():%Y%m%d-%H%M%S}"
    for attempt in range(1, 1000):
        folder = stem if attempt == 1 else stem.with_name(f"{stem.name}-{attempt}")
        with contextlib.suppress(FileExistsError):
            _make(folder, exist_ok=False)
            return folder
    raise ConfigError(f"no free run folder beside {stem}")


def as_folder(text: str) -> str:
    """Return text as the name of one folder.

    >>> as_folder("mypackage.blocks:Up"), as_folder("../x"), as_folder("..")
    ('mypackage.blocks:Up', '..%2Fx', '%2E%2E')
    """
    name = text.replace("/", "%2F").replace("\0", "%00")
    return name.replace(".", "%2E") if name.strip(".") == "" else name


def _check_unused(folder: Path, config: RunConfig) -> None:
    """Raise a ConfigError unless nothing is there but what this very run left before its first checkpoint."""
    if not os.path.lexists(folder):
        return
    found = {file.name for file in folder.iterdir() if not is_part(file)} if folder.is_dir() else {str(folder)}
    if found <= {LOCK}:
        return
    trained = found & {*_RESULTS, "status.json"}  # which a study writes
    if "config.yaml" in found and not trained and _is_of(folder, config):
        return
    raise ConfigError(
        f"run_dir {folder} exists already; nothing in it was touched.\n  try: another run_dir{_continuing(folder)}"
    )


def _is_of(folder: Path, config: RunConfig) -> bool:
    try:
        found = RunConfig.of(read_config(folder))
    except SegupError:  # not one that segup wrote
        return False
    return replace(found, run_dir=None) == replace(config, run_dir=None)  # however the folder was called


def _check_newest(folder: Path, checkpoint: Path) -> None:
    """Raise a ConfigError where going on from ``checkpoint`` would replace a later ``last.ckpt`` beside it."""
    last = folder / "last.ckpt"
    if last.exists() and not last.samefile(checkpoint):
        raise ConfigError(
            f"{checkpoint} is not the last checkpoint of its run, and going on from it in {folder} would replace "
            f"{last}.\n  try: another run_dir, or {pasted('ckpt_path', last)}."
        )


def read_config(folder: Path) -> dict[str, Any]:
    """Return the ``config.yaml`` of a run folder, unchecked: see :class:`segup.training.config.RunConfig`.

    Raises:
        FileNotFoundError: There is none.
        DataError: It is no group of keys.
    """
    file = folder / "config.yaml"
    config: dict[str, Any] = as_written(dict[str, Any], read_yaml(file), file)
    return config


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as YAML, whole or not at all."""
    atomic_write(path, yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True).encode())


def write_json(path: Path, values: Mapping[str, Any], *, replace: bool = True) -> None:
    """Write plain values as JSON, see :func:`segup.atomic.atomic_write`; NaN becomes null, which every reader knows."""
    text = json.dumps(_finite(values), indent=2, ensure_ascii=False) + "\n"
    atomic_write(path, text.encode(), replace=replace)


def environment() -> dict[str, Any]:
    """Return the versions, the machine and the git commit of segup's checkout (None for an installed wheel)."""
    import torch

    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "machine": platform.machine(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "git_commit": _git_commit(),
        "command": " ".join(sys.argv),
    }


def _continuing(folder: Path) -> str:
    checkpoint = folder / "last.ckpt"
    return f", or {pasted('ckpt_path', checkpoint)} to continue it." if checkpoint.exists() else "."


def _make(folder: Path, *, exist_ok: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError:
        raise
    except OSError as cause:
        raise ConfigError(f"run_dir {folder} cannot be made: {cause.strerror}") from cause


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _git_commit() -> str | None:
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
