"""The run folder: made once, never overwritten, and what is written into it."""

import contextlib
import json
import math
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from segup.errors import ConfigError
from segup.stored import as_written, read_yaml
from segup.training.whole import write_whole

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


def make_run_folder(wanted: str | None, name: str, upsampler: str, seed: int) -> Path:
    """Make a new run folder and return its path.

    Args:
        wanted: The path, or None for ``outputs/<name>/<upsampler>/<seed>-<time>``.
        name, upsampler, seed: Parts of the path when none is given.

    Raises:
        ConfigError: ``wanted`` exists and is not an empty folder, or cannot be made.
    """
    if wanted is not None:
        folder = Path(wanted)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(
                f"run_dir {folder} exists already; nothing in it was touched.\n"
                f"  try: another run_dir" + _continuing(folder)
            )
        _make(folder, exist_ok=True)
        return folder
    stem = Path("outputs") / name / upsampler / f"{seed}-{datetime.now():%Y%m%d-%H%M%S}"
    for attempt in range(1, 1000):
        folder = stem if attempt == 1 else stem.with_name(f"{stem.name}-{attempt}")
        try:
            _make(folder, exist_ok=False)
        except FileExistsError:
            continue
        return folder
    raise ConfigError(f"no free run folder beside {stem}")


def discard_unstarted(folder: Path) -> bool:
    """Remove the folder of a run that failed before its first step, so that the same command can be given again.

    Returns:
        Whether it was given up: a folder with a checkpoint or a logged step stays.
    """
    history = folder / "metrics.csv"
    if (folder / "last.ckpt").exists() or (history.exists() and len(history.read_text().splitlines()) > 1):
        return False
    shutil.rmtree(folder, ignore_errors=True)  # a folder that cannot go, such as a mount, must not hide why it failed
    with contextlib.suppress(OSError):  # not empty: other runs lie there
        folder.parent.rmdir()
    return True


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
    write_whole(path, yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True).encode())


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as JSON, whole or not at all; NaN becomes null, which every reader of JSON knows."""
    write_whole(path, (json.dumps(_finite(values), indent=2, ensure_ascii=False) + "\n").encode())


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
    return f", or ckpt_path={checkpoint} to continue it." if checkpoint.exists() else "."


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
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


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
