"""What the terminal shows: a bar while it trains, a line per epoch, a table at the end."""

import itertools
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from segup.decoders import LadderStep
from segup.metrics.scores import OWN_SCORES, Score, shown_in
from segup.stored import visible


class RunProgressBar(RichProgressBar):
    """Lightning's rich bar without its version number."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Return what stands beside the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class EpochLines(L.Callback):
    """Print one line per validated epoch, on the first process."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Print the line."""
        if not trainer.is_global_zero:
            return
        logged = trainer.callback_metrics
        epoch = f"epoch {trainer.current_epoch + 1:>3}/{trainer.max_epochs}"
        parts = [epoch, f"loss {float(logged['train/loss']):.3f}"]
        if pl_module.scored_step == trainer.global_step:
            shown = shown_in("progress", pl_module.metrics.scores)
            parts += [f"{visible(score.label)} {score.one_number(pl_module.scores):.4f}" for score in shown]
        self._console.print("  ".join(parts), highlight=False)


def ladder_table(
    title: str,
    stages: Sequence[str],
    size: tuple[int, int],
    maps: Sequence[Sequence[int]],
    ladders: Sequence[Sequence[LadderStep]],
    head: tuple[int, str] | None = None,
) -> Table:
    """Return sizes stage by stage: down through the encoder, up through the decoder.

    Args:
        title: Above the table.
        stages: What the encoder's stages are called.
        size: (height, width) of the image.
        maps: For each axis, the sizes of the encoder's maps.
        ladders: For each axis, the decoder's steps.
        head: Before which step the classifier stands, and what it is called, where it stands before one.
    """
    table = Table(title=Text(visible(title)), title_justify="left", header_style="bold")
    table.add_column("step")
    for name in ("from", "to", "corrected"):
        table.add_column(name, justify="right", no_wrap=True)
    pairs = [f"{height}×{width}" for height, width in zip(*maps, strict=True)]
    for stage, (before, after) in zip(stages, itertools.pairwise([f"{size[0]}×{size[1]}", *pairs]), strict=True):
        table.add_row(Text(stage), before, after, "")
    table.add_section()
    for place, (height, width) in enumerate(zip(*ladders, strict=True)):
        if head is not None and head[0] == place:
            table.add_row(head[1], *[f"{height.low}×{width.low}"] * 2, "")
        table.add_row(
            height.operator,
            f"{height.low}×{width.low}",
            f"{height.wanted}×{width.wanted}",
            _joined(height.correction, width.correction),
        )
    return table


def _joined(rows: int, columns: int) -> str:
    row, column = _correction(rows, "row"), _correction(columns, "column")
    verb = row.partition(" ")[0]
    return ", ".join(filter(None, (row, column.removeprefix(f"{verb} ") if row else column)))


def _correction(count: int, of: str) -> str:
    if count == 0:
        return ""
    plural = "" if abs(count) == 1 else "s"
    return f"{'cut' if count < 0 else 'repeat'} {abs(count)} {of}{plural}"


def as_text(*parts: Table | str) -> str:
    """Return tables and lines as the plain text of a file, in no colour, lines unbroken."""
    console = Console(file=StringIO(), width=200, highlight=False, soft_wrap=True)
    console.print(*parts, sep="\n")
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"  # type: ignore[attr-defined]


def score_table(
    title: str,
    columns: Mapping[str, Mapping[str, Any]],
    classes: Sequence[str],
    scores: Sequence[Score] = OWN_SCORES,
) -> Table:
    """Return a table of scores, one column for each set of scores (``last``, ``best``, ...).

    Args:
        title: Above the table.
        columns: From the column's name to what :meth:`segup.metrics.Metrics.compute` returned.
        classes: Names of the classes.
        scores: The declarations of those that are shown.
    """
    table = Table(title=Text(visible(title)), title_justify="left", header_style="bold")
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    shown = shown_in("run", scores)
    for score in (score for score in shown if not score.per_class):
        table.add_row(Text(visible(score.label)), *(_cell(found[score.name]) for found in columns.values()))
    for score in (score for score in shown if score.per_class):
        table.add_section()
        for index, name in enumerate(classes):
            cells = (_cell(found[score.name][index]) for found in columns.values())
            table.add_row(Text(visible(f"{score.label} {name}")), *cells)
    return table


def _cell(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.4f}"
