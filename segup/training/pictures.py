"""Pictures of a run: its curves, and what it predicts."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from segup.atomic import atomic_write
from segup.data import Labels, SegmentationData
from segup.metrics.scores import Score, shown_in
from segup.models import SegmentationModel, predicted_labels
from segup.stored import visible
from segup.training.rows import read_history

_SHOWN = 4
WRONG = (214, 0, 110)
IGNORED = (255, 255, 255)


def save_curves(scores: Sequence[Score], history: Path, path: Path) -> None:
    """Draw loss, learning rate and validation scores over the steps of a ``metrics.csv``.

    Args:
        scores: Those of the run; one that is no share of 1 has axes of its own.
        history: The file.
        path: Where the picture goes.
    """
    rows = read_history(history)
    drawn = shown_in("progress", scores)
    other = [score for score in drawn if not score.share]
    figure = Figure(figsize=(11 + 3.6 * len(other), 3.4), layout="constrained")
    loss, shares, rate, *own = figure.subplots(1, 3 + len(other))
    _line(loss, rows, "train/loss", "training loss", alpha=0.35)
    _line(loss, rows, "train/loss", "its running mean", smooth=True)
    places = dict(zip(other, own, strict=True))
    for score in drawn:
        axes = places.get(score, shares)
        _line(axes, rows, f"val/{score.name}", visible(score.label), marker="o", markersize=3)
    _line(rate, rows, "lr", "learning rate")
    titles = [(axes, visible(score.label)) for score, axes in places.items()]
    for axes, title in ((loss, "Loss"), (shares, "Validation"), (rate, "Learning rate"), *titles):
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
    loss.legend()
    shares.legend()
    shares.set_ylim(0, 1)
    save_figure(figure, path)


def save_predictions(model: SegmentationModel, data: SegmentationData, path: Path) -> None:
    """Draw up to four validation images: image, truth, prediction and error side by side, with the classes' legend."""
    samples = data.samples("val")
    rows = []
    model.eval()
    for index in range(min(_SHOWN, len(samples))):
        sample = samples[index]
        image, mask = sample["image"], sample["mask"]
        device = next(model.parameters()).device
        with torch.no_grad():
            predicted = predicted_labels(model(image[None].to(device)).float())[0].cpu()
        rows.append((sample["name"], image.numpy(), mask.numpy(), predicted.numpy()))
    save_figure(draw_predictions(rows, data.labels), path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    atomic_write(path, buffer.getbuffer())


@rc_context({"text.parse_math": False})  # a name may hold dollars
def draw_predictions(rows: Sequence[tuple[str, Any, Any, Any]], labels: Labels) -> Figure:
    """Return a figure with a row for each ``(name, image (C, H, W) in 0 … 1, mask (H, W), prediction (H, W))``."""
    scale = 3.4
    heights = [scale * mask.shape[0] / mask.shape[1] + 0.3 for _, _, mask, _ in rows]  # each row as tall as its image
    figure = Figure(figsize=(4 * scale, sum(heights) + 0.6), layout="constrained")
    grid = figure.subplots(len(rows), 4, squeeze=False, height_ratios=heights)
    for axes, (name, image, mask, prediction) in zip(grid, rows, strict=True):
        valid = mask != labels.ignore_index
        wrong = (prediction != mask) & valid
        shown = (
            (name, to_rgb(image)),
            ("truth", colored(mask, labels)),
            ("prediction", colored(prediction, labels)),
            (f"error: {wrong.sum() / max(1, valid.sum()):.1%}", error_map(image, wrong, valid)),
        )
        for ax, (title, picture) in zip(axes, shown, strict=True):
            ax.imshow(picture, interpolation="nearest")
            ax.set_title(visible(title), fontsize=9)
            ax.set_axis_off()
    handles = legend_of(labels, [mask for _, _, mask, _ in rows])
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 8), fontsize=9, frameon=False)
    return figure


def legend_of(labels: Labels, masks: Iterable[Any]) -> list[Patch]:
    """Return the patches of a legend: the classes, what is wrong, and what is ignored where any mask has some."""
    ignored = [("ignored", IGNORED)] if any((mask == labels.ignore_index).any() for mask in masks) else []
    return [
        Patch(facecolor="#{:02x}{:02x}{:02x}".format(*color), edgecolor="black", linewidth=0.5, label=visible(name))
        for name, color in (*zip(labels.names, labels.colors, strict=True), ("wrong", WRONG), *ignored)
    ]


def colored(ids: Any, labels: Labels) -> Any:
    """Return ``(H, W, 3)`` uint8 colours of class ids ``(H, W)``; what is no class is grey."""
    table = np.array([*labels.colors, IGNORED], dtype=np.uint8)
    return table[np.where((ids < 0) | (ids >= labels.num_classes), labels.num_classes, ids)]


def to_rgb(image: Any) -> Any:
    """Return ``(H, W, 3)`` in 0 … 1 of an image ``(C, H, W)``: its first three channels, or its first in grey."""
    picked = image[:3] if image.shape[0] >= 3 else np.repeat(image[:1], 3, axis=0)
    return np.clip(np.transpose(picked, (1, 2, 0)), 0, 1)


def error_map(image: Any, wrong: Any, valid: Any) -> Any:
    """Return ``(H, W, 3)`` uint8: the image in grey, wrong pixels in :data:`WRONG`, those that do not count white."""
    grey = to_rgb(image).mean(axis=2, keepdims=True).repeat(3, axis=2) * 0.4 + 0.3  # never white: that is ignored
    picture = (grey * 255).astype(np.uint8)
    picture[wrong] = WRONG
    picture[~valid] = IGNORED
    return picture


def _line(axes: Any, rows: list[dict[str, str]], name: str, label: str, smooth: bool = False, **style: Any) -> None:
    points = [(int(row["step"]), float(row[name])) for row in rows if row[name]]
    if not points:
        return
    steps, values = (np.array(column) for column in zip(*points, strict=True))
    if smooth:
        window = max(1, len(values) // 20)
        values = np.convolve(values, np.ones(window) / window, mode="valid")
        steps = steps[window - 1 :]
    axes.plot(steps, values, label=label, **style)
