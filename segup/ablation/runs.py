"""A finished run as a comparison sees it: its scores, its costs, and the configuration that made it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from segup.ablation.block import Block
from segup.ablation.shown import as_html, as_text, show
from segup.calls import annotated
from segup.conform import Count, Name, Within
from segup.errors import DataError
from segup.metrics.scores import MIOU, OWN_SCORES, Score, Share, shown_in
from segup.overrides import pasted
from segup.stored import all_visible, as_written, read_json, visible
from segup.training.config import MEANT, PLACE, Fold, Folds, Seed

_REPETITION = ("seed", "name", "data.fold")
_PRECISION = "trainer.precision"
_RANGE = "data.image_range"
FOUND = (_PRECISION, _RANGE)
"""Settings that a run finds where they are not given; null says that it is not known what it found."""
_PRECISIONS = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true", "auto": None}
"""What Lightning's short names mean; "auto" depends on the machine."""


Amount = Annotated[int | float, Within(0, 1e18)]


_Best = TypedDict("_Best", {MIOU.name: MIOU.stored})  # type: ignore[misc]
_GROUP: Any = TypedDict  # made of what a run declares
_PIXELS = NotRequired[Annotated[list[Annotated[float, Within(0, 1e9)]], Within(0, 2)]]
_BANDS = {
    "band_widths": NotRequired[list[Count]],
    "band_iou": NotRequired[list[Share]],
    "images": NotRequired[Annotated[int, Within(0, 10**12)]],
    "boundary_pixels": _PIXELS,
    "bf_pixels": _PIXELS,
}
BEST = f"best_{MIOU.name}"


class ConstantResponse(TypedDict):
    """What an upsampling step makes of a constant."""

    reduction: Count
    energy: list[list[Annotated[float, Within(-0.001, 1.001)]]]


class Checkerboard(TypedDict):
    """How even constants come up."""

    mean: Share
    spectrum: NotRequired[list[ConstantResponse]]


class Total(TypedDict):
    """A cost of the whole model."""

    total: Amount


class Environment(TypedDict):
    """Where it was trained."""

    packages: NotRequired[dict[str, str | None] | None]


class Weights(TypedDict):
    """The file that the encoder began with."""

    sha256: str


class DecoderSettings(TypedDict):
    """The decoder's settings."""

    upsampler: Name | None
    preset: NotRequired[Name | None]


class Data(TypedDict):
    """The data's folds, among its other keys."""

    folds: NotRequired[Folds | None]
    fold: NotRequired[Fold | None]


class Config(TypedDict):
    """The configuration of the run."""

    decoder: DecoderSettings
    data: NotRequired[Data | None]


class Result(TypedDict):
    """What ``result.json`` holds."""

    seed: Seed
    classes: Annotated[list[str], Within(1, 4096)]
    image_range: NotRequired[Annotated[list[float], Within(2, 2)] | Literal["dtype"]]
    precision: NotRequired[str]
    weights: NotRequired[Weights | None]
    metrics: NotRequired[list[Score]]
    last: dict[str, Any]
    best: dict[str, Any] | None
    checkerboard: Checkerboard
    parameters: Total
    macs: Total
    step_seconds: Amount | None
    inference_seconds: NotRequired[Amount | None]
    peak_memory_bytes: Amount | None
    environment: Environment
    config: Config


@dataclass(frozen=True, repr=False)
class Run:
    """What one run's ``result.json`` says; a notebook shows it with its curves, predictions and ladder.

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
    def block(self) -> Block:
        """Its seed, and the fold that it validated on where the data was in folds."""
        data: Mapping[str, Any] = self.result["config"].get("data") or {}
        return Block(self.seed, data.get("fold") if data.get("folds") else None)

    @property
    def upsampler(self) -> str:
        """The operator's name, or that of the preset that chooses it."""
        decoder = self.result["config"]["decoder"]
        return decoder["upsampler"] or str(decoder.get("preset"))

    @property
    def decoder(self) -> dict[str, Any]:
        """The decoder's settings, flat: ``{"final": "bilinear", "upsampler_options.kernel_size": 4, ...}``."""
        settings = meant({"decoder": self.result["config"]["decoder"]})
        return {key.removeprefix("decoder."): value for key, value in settings.items() if key.startswith("decoder.")}

    @property
    def setting(self) -> dict[str, Any]:
        """All other settings, flat, and the steps: what has to be the same where decoders are compared.

        Where a run found a setting, it is what it found, see :data:`FOUND`; weights of a file are the file's sum. The
        folder of the data is among them: another one may hold other images, and nothing else of a run tells.

        An epoch of earlier versions had other steps. A run that stops early says nothing by their number.
        """
        config, result = self.result["config"], self.result
        settings = {**experiment(config), "data.root": (config.get("data") or {}).get("root")}
        settings["steps"] = None if settings.get("early_stopping.patience") else result["last"].get("step")
        word = str(settings.get(_PRECISION, "auto"))
        settings[_PRECISION] = result.get("precision", _PRECISIONS.get(word, word))
        given = settings.pop(_RANGE, None)
        ends = result.get("image_range", given)
        # It is found in the training images, and each fold has others.
        of_fold = _RANGE if self.block.fold is None else f"{_RANGE} on fold {self.block.fold}"
        settings[of_fold] = [float(end) for end in ends] if isinstance(ends, list) else ends  # 255 is 255.0
        if (weights := result.get("weights")) is not None:
            settings["encoder.weights"] = f"sha256 {weights['sha256']}"
        return {key: value for key, value in settings.items() if key.partition(".")[0] != "decoder"}

    @property
    def declared(self) -> list[Score]:
        """The scores that stand in tables of studies, as the run declared them."""
        return shown_in("study", self.result.get("metrics", OWN_SCORES))

    @property
    def scores(self) -> dict[str, float | None]:
        """The last checkpoint's scores by name, those class by class as ``iou/<class>``.

        ``best_miou`` is the best checkpoint's: chosen on the images that it is scored on, and so optimistic.
        """
        last, best = self.result["last"], self.result["best"]
        found: dict[str, float | None] = {BEST: None if best is None else best[MIOU.name]}
        for score in self.declared:
            value = last[score.name]
            if score.per_class:
                classes = zip(self.result["classes"], value, strict=True)
                found |= {f"{score.name}/{name}": of_class for name, of_class in classes}
            else:
                found[score.name] = value
        return found

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
    def images(self) -> int | None:
        """On how many images it was scored; None where an earlier version did not say."""
        found: int | None = self.result["last"].get("images")
        return found

    def pixels(self, key: str) -> tuple[float, ...]:
        """Return ``"boundary_pixels"`` or ``"bf_pixels"`` in the smallest and the largest image; empty as above."""
        return tuple(self.result["last"].get(key, ()))

    @property
    def spectrum(self) -> tuple[ConstantResponse, ...]:
        """What each upsampling step makes of a constant, see ``checkerboard_spectra`` in segup.training.checkerboard.

        Empty where it was not measured.
        """
        return tuple(self.result["checkerboard"].get("spectrum", ()))

    def show(self) -> None:
        """Show scores, curves, predictions and ladder in a notebook; elsewhere print them, with the pictures' files."""
        show(as_text(self.path, repr(self), self.scores), self._repr_html_())

    def __repr__(self) -> str:
        miou = self.scores[MIOU.name]
        scored = "" if miou is None else f", mIoU {miou:.4f}"
        return visible(f"Run({str(self.path)!r}, {self.upsampler}, seed {self.seed}{scored})")

    def _repr_html_(self) -> str:
        return as_html(self.path, repr(self), self.scores)


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
            why = f"its run has not finished.\n  try: {pasted('ckpt_path', path / 'last.ckpt')}"
        elif any(path.glob("*/result.json")):
            why = f"it is no run folder, but holds some.\n  try: {shlex.quote(str(path))}/*"
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
    declared, last = Run(file.parent, result).declared, result["last"]
    measured = {**{score.name: score.stored for score in declared}, **_BANDS}
    kinds = {"last": _GROUP("Last", measured), "best": _Best | None}
    as_written(_GROUP("Scored", kinds), {"last": last, "best": result["best"]}, file)
    for name, values, others in (
        *((f"last.{score.name}", last[score.name], result["classes"]) for score in declared if score.per_class),
        ("last.band_iou", last.get("band_iou", []), last.get("band_widths", [])),
    ):
        if len(values) != len(others):
            raise DataError(f"{file} is not what segup writes: {name} has {len(values)} values, not {len(others)}")
    for place, step in enumerate(result["checkerboard"].get("spectrum", [])):
        if not step["energy"] or any(len(row) != len(step["energy"]) for row in step["energy"]):
            where = f"checkerboard.spectrum[{place}].energy"
            raise DataError(f"{file} is not what segup writes: {where} must have as many columns as rows")
    return result


def experiment(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that say what a run does, flat: not where and how fast, and not which repetition."""
    return {key: value for key, value in flat(config).items() if key not in PLACE and key not in _REPETITION}


def meant(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings, flat, with what null and keys that are missing mean, in configurations of before too.

    >>> found = meant({"decoder": {"widths": None, "fit": "strict"}})
    >>> found["neck.name"], found["decoder.fit"], "decoder.widths" in found
    ('auto', 'strict', False)
    """
    return {**MEANT, **{key: value for key, value in flat(settings).items() if value is not None}}


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
