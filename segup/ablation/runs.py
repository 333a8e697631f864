"""A finished run as a comparison sees it: its scores, its costs, and the configuration that made it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from segup.calls import annotated
from segup.conform import Count, Name, Within
from segup.errors import DataError
from segup.stored import all_visible, as_written, read_json
from segup.training.config import Seed

NOT_THE_EXPERIMENT = ("seed", "name", "run_dir", "ckpt_path", "trust")
"""Keys of a configuration that say where a run is and which repetition, not what it does."""


Score = Annotated[float, Within(-0.001, 1.001)] | None  # a share, but for rounding
Amount = Annotated[int | float, Within(0, 1e18)]


class Scores(TypedDict):
    """What was measured of a checkpoint."""

    miou: Score
    pixel_accuracy: Score
    boundary_iou: Score
    bf_score: Score
    iou: list[Score]
    band_widths: NotRequired[list[Count]]
    band_iou: NotRequired[list[Score]]


class Best(TypedDict):
    """The same of the best checkpoint, of which one score is told."""

    miou: Score


class Response(TypedDict):
    """What an upsampling step makes of a constant."""

    reduction: Count
    energy: list[list[Annotated[float, Within(-0.001, 1.001)]]]


class Checkerboard(TypedDict):
    """How even constants come up."""

    mean: Score
    spectrum: NotRequired[list[Response]]


class Total(TypedDict):
    """A cost of the whole model."""

    total: Amount


class Environment(TypedDict):
    """Where it was trained."""

    packages: NotRequired[dict[str, str | None] | None]


class Decoder(TypedDict):
    """The decoder's settings."""

    upsampler: Name


class Config(TypedDict):
    """The configuration of the run."""

    decoder: Decoder
    data: NotRequired[dict[str, Any]]


class Result(TypedDict):
    """What ``result.json`` holds."""

    seed: Seed
    classes: Annotated[list[str], Within(1, 4096)]
    last: Scores
    best: Best | None
    checkerboard: Checkerboard
    parameters: Total
    macs: Total
    step_seconds: Amount | None
    inference_seconds: NotRequired[Amount | None]
    peak_memory_bytes: Amount | None
    environment: Environment
    config: Config


@dataclass(frozen=True)
class Run:
    """What one run's ``result.json`` says.

    Args:
        path: The run folder.
        result: The content of the file, its text fit to be shown.
    """

    path: Path
    result: Result

    @property
    def seed(self) -> int:
        """The seed."""
        return self.result["seed"]

    @property
    def upsampler(self) -> str:
        """The operator's name."""
        return self.result["config"]["decoder"]["upsampler"]

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
        named: dict[str, float | None] = {
            "miou": last["miou"],
            "pixel_accuracy": last["pixel_accuracy"],
            "boundary_iou": last["boundary_iou"],
            "bf_score": last["bf_score"],
            "best_miou": None if best is None else best["miou"],
        }
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
    def spectrum(self) -> tuple[Response, ...]:
        """What each upsampling step makes of a constant, see ``checkerboard_spectra`` in segup.training.checkerboard.

        Empty where it was not measured.
        """
        return tuple(self.result["checkerboard"].get("spectrum", ()))


@annotated
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
    return Run(path, read_result(file))


def read_result(file: Path) -> Result:
    """Return the content of a ``result.json``.

    Raises:
        DataError: It is not what segup writes.
    """
    result: Result = as_written(Result, all_visible(read_json(file)), file)
    last = result["last"]
    for name, values, others in (
        ("last.iou", last["iou"], result["classes"]),
        ("last.band_iou", last.get("band_iou", []), last.get("band_widths", [])),
    ):
        if len(values) != len(others):
            raise DataError(f"{file} is not what segup writes: {name} has {len(values)} values, not {len(others)}")
    for place, step in enumerate(result["checkerboard"].get("spectrum", [])):
        if not step["energy"] or any(len(row) != len(step["energy"]) for row in step["energy"]):
            where = f"checkerboard.spectrum[{place}].energy"
            raise DataError(f"{file} is not what segup writes: {where} must have as many columns as rows")
    return result


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
