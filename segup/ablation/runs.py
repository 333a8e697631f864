"""A finished run as a comparison sees it: its scores, its costs, and the configuration that made it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segup.errors import DataError

NOT_THE_EXPERIMENT = ("seed", "name", "run_dir", "ckpt_path", "trust")
"""Keys of a configuration that say where a run is and which repetition, not what it does."""


@dataclass(frozen=True)
class Run:
    """What one run's ``result.json`` says.

    Args:
        path: The run folder.
        result: The content of the file.
    """

    path: Path
    result: Mapping[str, Any]

    @property
    def seed(self) -> int:
        """The seed."""
        return int(self.result["seed"])

    @property
    def upsampler(self) -> str:
        """The operator's name."""
        return str(self.result["config"]["decoder"]["upsampler"])

    @property
    def decoder(self) -> dict[str, Any]:
        """The decoder's settings, flat: ``{"widths": None, "upsampler_options.kernel_size": 4, ...}``."""
        return flat(self.result["config"]["decoder"])

    @property
    def setting(self) -> dict[str, Any]:
        """All other settings, flat: what has to be the same where decoders are compared."""
        return {
            key: value
            for key, value in flat(self.result["config"]).items()
            if key.partition(".")[0] not in (*NOT_THE_EXPERIMENT, "decoder")
        }

    @property
    def scores(self) -> dict[str, float | None]:
        """The last checkpoint's scores by name, IoU class by class as ``iou/<class>``.

        ``best_miou`` is the best checkpoint's: chosen on the images that it is scored on, and so optimistic.
        """
        last, best = self.result["last"], self.result["best"]
        named = {key: last[key] for key in ("miou", "pixel_accuracy", "boundary_iou", "bf_score")}
        named["best_miou"] = None if best is None else best["miou"]
        return {**named, **{f"iou/{name}": iou for name, iou in zip(self.result["classes"], last["iou"], strict=True)}}

    @property
    def costs(self) -> dict[str, float | None]:
        """What it took: the checkerboard, parameters, multiply-accumulates of one crop, seconds, bytes.

        What a run of an earlier version did not measure is None.
        """
        return {
            "checkerboard": self.result["checkerboard"]["mean"],
            "parameters": self.result["parameters"]["total"],
            "macs": self.result["macs"]["total"],
            "step_seconds": self.result["step_seconds"],
            "inference_seconds": self.result.get("inference_seconds"),
            "peak_memory_bytes": self.result["peak_memory_bytes"],
        }

    @property
    def bands(self) -> dict[int, float]:
        """IoU of the last checkpoint near the true boundary, by the band's width in pixels; empty where not measured.

        See :func:`segup.metrics.boundary.trimap_counts`.
        """
        last = self.result["last"]
        pairs = zip(last.get("band_widths", ()), last.get("band_iou", ()), strict=True)
        return {int(width): float(iou) for width, iou in pairs if iou is not None}

    @property
    def spectrum(self) -> tuple[Mapping[str, Any], ...]:
        """What each upsampling step makes of a constant, see ``checkerboard_spectra`` in segup.training.checkerboard.

        Empty where it was not measured.
        """
        return tuple(self.result["checkerboard"].get("spectrum", ()))


def read_run(path: str | Path) -> Run:
    """Read a finished run.

    Args:
        path: Its folder.

    Raises:
        DataError: There is no folder, no ``result.json`` in it, or one that is not segup's.
    """
    path = Path(path)
    file = path / "result.json"
    if not path.is_dir():
        raise DataError(f"no run folder at {path}")
    if not file.is_file():
        begun = (path / "config.yaml").is_file()
        if begun:
            why = f"its run has not finished.\n  try: ckpt_path={path}/last.ckpt"
        elif any(path.glob("*/result.json")):
            why = f"it is no run folder, but holds some.\n  try: {path}/*"
        else:
            why = "it is no run folder"
        raise DataError(f"{path} has no result.json: {why}")
    try:
        run = Run(path, json.loads(file.read_text()))
        _ = (run.seed, run.upsampler, run.setting, run.scores, run.costs, run.bands, run.spectrum)
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise DataError(f"{file} is not what segup writes: {type(cause).__name__} {cause}") from cause
    return run


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings with dotted keys; an empty group is left out.

    >>> flat({"a": {"b": 1, "c": {}}, "d": [2]})
    {'a.b': 1, 'd': [2]}
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
