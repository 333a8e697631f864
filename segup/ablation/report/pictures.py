"""The pictures of a report: crops through every operator with error maps, its impulse and its constant response.

A bounded number of checkpoints is opened, one after the other: one for each row that is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from segup.ablation.report.crops import Crop, Worst, choose_crops, looked_at, predictions, worst_images
from segup.ablation.report.style import new_figure
from segup.ablation.runs import Run
from segup.conform import conform
from segup.data.config import create_data
from segup.data.labels import Labels
from segup.errors import DataError, SegupError
from segup.evaluation.runs import open_run
from segup.models import SegmentationModel
from segup.names import check_trust
from segup.stored import visible
from segup.training.config import DataConfig
from segup.training.pictures import colored, error_map, legend_of, to_rgb
from segup.upsamplers import Upsampler, checkerboard_spectrum, constant_response, impulse_response
from segup.upsamplers.contract import operator_class

CONSTANT_SIZE = 7
"""Side of the map of ones whose image is shown."""
_SHOWN = 7


@dataclass(frozen=True)
class Response:
    """One operator's answers.

    Args:
        operator: Its place in the model and what it is.
        impulse: ``(H, W)``: what one pixel of value 1 in all channels adds, around that pixel, the root mean square
            over the output channels; its largest value is 1.
        constant: ``(H, W)``: what a map of ones becomes in the output channel whose pattern is nearest to the mean of
            all, borders included; its root mean square is 1, and even means no pattern. Patterns of several channels
            laid over each other would hide each other.
        pattern: The share of energy that is pattern, the mean over channels, as the checkerboard's spectrum has it.
    """

    operator: str
    impulse: NDArray[np.float64]
    constant: NDArray[np.float64]
    pattern: float


def trained_response(model: SegmentationModel) -> Response | str:
    """Return the responses of the last step that the model's ``upsampler`` makes, or why they cannot be measured.

    The step to the image has an operator of its own; it is taken where there is no other.
    """
    kind = operator_class(model.decoder.upsampler)
    names = {id(module): f"decoder.{path}" for path, module in model.decoder.named_modules()}
    steps = [(high is not None, place, up) for place, (_, high, up) in enumerate(model.decoder.steps())]
    own = [(between, place, up) for between, place, up in steps if isinstance(up, kind)]
    if not own:
        return "the decoder has no step of this operator"
    up = max(own, key=lambda step: step[:2])[2]
    try:
        impulse, constant = np.asarray(impulse_response(up)), np.asarray(constant_response(up, size=CONSTANT_SIZE))
        pattern = 1 - float(checkerboard_spectrum(up)[0, 0])
    except SegupError as cause:
        return " ".join(str(cause).split())
    around = _around(np.sqrt(np.square(impulse).mean(axis=0)), up)
    return Response(f"{names[id(up)]}, {up.label()}", around, _typical(constant, pattern), pattern)


def _around(values: NDArray[np.float64], up: Upsampler) -> NDArray[np.float64]:
    """Return the surroundings of the impulse, over the largest value."""
    side = _SHOWN * up.scale
    rows, columns = ((n - min(n, side)) // 2 for n in values.shape)
    values = values[rows : rows + side, columns : columns + side]
    return values / values.max() if values.max() > 0 else values


def _typical(channels: NDArray[np.float64], pattern: float) -> NDArray[np.float64]:
    """Return the channel of which about that share is pattern, over its root mean square; positive on the whole."""
    rows, columns = (n // 4 for n in channels.shape[1:])
    inside = channels[:, rows : channels.shape[1] - rows, columns : channels.shape[2] - columns]
    energy = np.square(inside).mean(axis=(1, 2))
    shares = np.divide(inside.var(axis=(1, 2)), energy, out=np.zeros_like(energy), where=energy > 0)
    one = channels[int(np.abs(shares - pattern).argmin())]
    level = np.sqrt(np.square(one).mean())
    return one / level * (1 if one.mean() >= 0 else -1) if level > 0 else one


_IN_A_LINE = 7
_GAP = 0.07


@dataclass(frozen=True)
class Shown:
    """What the pictures were made of.

    Args:
        crops: The crops; none where no images could be read.
        responses: For each row what its operator answers, or why that is not known.
        labels: The classes; None without crops.
        worst: For each row the images that it does worst on.
        missing: What could not be shown, and why.
    """

    crops: Sequence[Crop]
    responses: Mapping[str, Response | str]
    labels: Labels | None
    missing: tuple[str, ...]
    worst: Mapping[str, Sequence[Worst]] = field(default_factory=dict)


def look(runs: Mapping[str, Run], trust: Sequence[str] = ()) -> Shown:
    """Open one run for each row and return what it predicts and answers; what cannot be opened is named, not raised.

    Args:
        runs: A finished run for each row, all of one data set and seed.
        trust: Modules outside segup that a checkpoint may import.
    """
    if not runs:
        return Shown((), {}, None, ())
    missing: list[str] = []
    labels, samples = None, []
    try:
        first = next(iter(runs.values()))
        stored = first.result["config"].get("data") or {}
        check_trust(stored.get("name"), trust, first.path)
        image_range = first.result.get("image_range", "dtype")  # of earlier versions, which went by the files
        data = create_data({**conform(DataConfig, stored, "data"), "image_range": image_range, "cache": False})
        data.prepare_data()
        samples, labels = looked_at(data), data.labels
    except SegupError as cause:
        missing.append(f"no crops are shown, since the images cannot be read: {_line(cause)}")
    found, responses = {}, {}
    for name, run in runs.items():
        try:
            opened = open_run(run.path, "last", trust, "cpu")
            if labels is not None and opened.labels.num_classes != labels.num_classes:
                raise DataError(f"it has {opened.labels.num_classes} classes, the data {labels.num_classes}")
        except SegupError as cause:
            missing.append(f"{name} is missing from the pictures: {_line(cause)}")
            continue
        assert isinstance(opened.model, SegmentationModel)  # of a checkpoint
        responses[name] = trained_response(opened.model)
        found[name] = predictions(opened.model, samples)
    crops = choose_crops(samples, found, labels) if labels is not None and found else []
    worst = {name: worst_images(samples, ids, labels) for name, ids in found.items()} if labels is not None else {}
    return Shown(crops, responses, labels, tuple(missing), worst)


def crop_figure(crops: Sequence[Crop], labels: Labels) -> Figure:
    """Return a figure with two lines of pictures for each crop: predictions, and below each the error map.

    The first column is the image, and below it the truth. More rows than fit beside each other go into further lines.
    """
    names = list(crops[0].predictions)
    parts = [names[start : start + _IN_A_LINE - 1] for start in range(0, len(names), _IN_A_LINE - 1)]
    columns, lines = 1 + max(len(part) for part in parts), 2 * len(crops) * len(parts)
    aspect = max(crop.truth.shape[0] / crop.truth.shape[1] for crop in crops)
    grid = _grid(lines, columns, width=1.55, height=1.55 * aspect, above=0.19, below=0.36)
    for number, (crop, part) in enumerate((crop, part) for crop in crops for part in parts):
        valid = crop.truth != labels.ignore_index
        upper, lower = 2 * number, 2 * number + 1
        grid.show(upper, 0, to_rgb(crop.image), f"{visible(crop.name)} at {crop.top}, {crop.left}")
        grid.show(lower, 0, colored(crop.truth, labels), "truth")
        for place, name in enumerate(part, 1):
            ids = crop.predictions[name]
            wrong = (ids != crop.truth) & valid
            grid.show(upper, place, colored(ids, labels), name)
            title = f"{wrong.sum() / max(1, valid.sum()):.1%} wrong"
            grid.show(lower, place, error_map(crop.image, wrong, valid), title)
    handles = legend_of(labels, [crop.truth for crop in crops])
    grid.figure.legend(
        handles=handles, loc="lower center", ncols=min(len(handles), columns + 1), fontsize=8, borderaxespad=0.2
    )
    return grid.figure


def response_figure(responses: Mapping[str, Response]) -> Figure:
    """Return a figure with each operator's impulse response above its constant response."""
    names = list(responses)
    parts = [names[start : start + _IN_A_LINE] for start in range(0, len(names), _IN_A_LINE)]
    grid = _grid(2 * len(parts), max(map(len, parts)), width=1.4, height=1.4, above=0.19, below=0.05, right=0.75)
    for number, part in enumerate(parts):
        for place, name in enumerate(part):
            one = grid.show(2 * number, place, responses[name].impulse, name, cmap="magma", vmin=0, vmax=1)
            told = f"{responses[name].pattern:.0%} pattern"
            two = grid.show(2 * number + 1, place, responses[name].constant, told, cmap="RdBu_r", vmin=-2, vmax=2)
        for line, drawn, title in ((2 * number, one, "impulse"), (2 * number + 1, two, "constant")):
            bar = grid.figure.colorbar(drawn, cax=grid.beside(line))
            bar.set_label(title, fontsize=8)
            bar.ax.tick_params(labelsize=7)
    return grid.figure


@dataclass(frozen=True)
class _Grid:
    """Pictures in lines and columns, each with a title above it; sizes in inches, placed by hand, which is quick."""

    figure: Figure
    lines: int
    width: float
    height: float
    above: float
    right: float

    def show(self, line: int, column: int, picture: Any, title: str, **style: Any) -> Any:
        """Draw a picture at its place and return what was drawn."""
        axes = self.figure.add_axes(self._box(column * (self.width + _GAP), line, self.width))
        axes.set_axis_off()
        axes.set_title(title, fontsize=7.5, pad=2.5)
        return axes.imshow(picture, interpolation="nearest", aspect="auto", **style)

    def beside(self, line: int) -> Any:
        """Return axes for a colour bar to the right of a line."""
        return self.figure.add_axes(self._box(self.figure.get_figwidth() - self.right + 0.1, line, 0.11))

    def _box(self, left: float, line: int, width: float) -> tuple[float, float, float, float]:
        whole, tall = self.figure.get_figwidth(), self.figure.get_figheight()
        bottom = tall - (line + 1) * (self.height + self.above) - _GAP * line
        return left / whole, bottom / tall, width / whole, self.height / tall


def _grid(
    lines: int, columns: int, *, width: float, height: float, above: float, below: float, right: float = 0.0
) -> _Grid:
    figure = new_figure(
        columns * width + (columns - 1) * _GAP + right, lines * (height + above) + (lines - 1) * _GAP + below
    )
    figure.set_layout_engine("none")
    return _Grid(figure, lines, width, height, above, right)


def _line(cause: Exception) -> str:
    return " ".join(str(cause).split())
