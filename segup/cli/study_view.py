"""One view over a whole study while it runs: a live table on a terminal, a line for each change elsewhere."""

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from segup.ablation.block import Block
from segup.ablation.watch import Sight, Watch, best_so_far, seconds_left
from segup.metrics.scores import MIOU
from segup.stored import visible
from segup.tables import counted, duration

_EVERY = 1.0
_STYLES = {"running": "cyan", "finished": "green", "failed": "bold red", "interrupted": "yellow", "waiting": "dim"}


class StudyView:
    """Shows a study's runs from their files, whoever trains them, until it is left.

    Args:
        study: The study's folder.
        members: Label and seed of each run, with its fold where the data is in folds.
        at_once: How many are trained at a time.
        console: Where it goes; standard output by default.
        errors: Where failures go; standard error by default.
    """

    def __init__(
        self,
        study: Path,
        members: Sequence[tuple[Any, ...]],
        at_once: int = 1,
        console: Console | None = None,
        errors: Console | None = None,
    ) -> None:
        self._watch, self._study, self._at_once = Watch(study, members), study, at_once
        self._console, self._errors = console or Console(), errors or Console(stderr=True)
        self._seen: dict[tuple[str, Block], tuple[str, int]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None

    def __enter__(self) -> "StudyView":
        sights = self._watch.look()
        before = sum(sight.status.state == "finished" for sight in sights)
        again = sum(sight.status.state in ("failed", "interrupted") for sight in sights)
        self._seen = {(sight.label, sight.block): _moment(sight) for sight in sights}
        parts = [counted(len(sights), "run")]
        parts += [f"{before} finished before"] * bool(before) + [f"{again} to be taken up again"] * bool(again)
        self._print(f"study {self._study}: {', '.join(parts)}")
        if self._live is not None:
            self._live.start()
        self._thread.start()
        return self

    def add(self, members: Sequence[tuple[Any, ...]]) -> None:
        """Show further runs, too."""
        self._watch.add(members)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._look()
        if self._live is not None:
            self._live.stop()

    def _show(self) -> None:
        self._look()
        while not self._ended.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        sights = self._watch.look()
        for sight in sights:
            key, moment = (sight.label, sight.block), _moment(sight)
            if self._seen.get(key) != moment:
                self._say(sight, sights)
                self._seen[key] = moment
        if self._live is not None:
            self._live.update(study_table(sights, self._at_once, self._console.height), refresh=True)

    def _say(self, sight: Sight, sights: Sequence[Sight]) -> None:
        """Say what became of a run; on a terminal the table does, but for why a run failed."""
        name, status = f"{sight.label} {sight.block}", sight.status
        if status.state == "failed":
            (self._live.console if self._live is not None else self._errors).print(
                Text(visible(f"{name} failed: {status.cause}", keep="\n")), soft_wrap=True
            )
        elif self._live is None:
            score = "" if sight.miou is None or status.state != "finished" else f", {MIOU.label} {sight.miou:.4f}"
            score += f", {duration(status.seconds)}" if status.state == "finished" else ""
            self._print(f"{name} {status.state}{score}  [{summary(sights, self._at_once)}]")

    def _print(self, line: str) -> None:
        self._console.print(Text(visible(line)), soft_wrap=True)


def _moment(sight: Sight) -> tuple[str, int]:
    return sight.status.state, sight.status.attempt


def summary(sights: Sequence[Sight], at_once: int = 1) -> str:
    """Return the study in one line: how many runs are in which state, the best so far, and the time left.

    >>> from segup.ablation.member import Status
    >>> summary([Sight("deconv", 0, Status("finished", seconds=90), miou=0.76), Sight("deconv", 1, Status())])
    '1 of 2 finished, about 1 min 30 s left, best so far: deconv 0.760 (1 seed)'
    """
    counts = {state: sum(sight.status.state == state for sight in sights) for state in _STYLES}
    parts = [f"{counts['finished']} of {len(sights)} finished"]
    parts += [f"{counts[state]} {state}" for state in ("running", "failed", "interrupted") if counts[state]]
    left = seconds_left(sights, at_once)
    if left:
        parts.append(f"about {duration(left)} left")
    best = best_so_far(sights)
    if best is not None:
        label, miou, seeds = best
        parts.append(f"best so far: {label} {miou:.3f} ({counted(seeds, 'seed')})")
    return ", ".join(parts)


def study_table(sights: Sequence[Sight], at_once: int = 1, height: int = 40) -> Group:
    """Return decoders by seeds, each with its score or its state, what these are, and the summary below.

    Args:
        sights: Every run.
        at_once: How many are trained at a time.
        height: Rows of the terminal; a table that is taller leaves out decoders that wait or have finished.
    """
    blocks = sorted({sight.block for sight in sights}, key=lambda block: block.order)
    table = Table(title_justify="left", header_style="bold", caption_justify="left", caption=_legend(sights))
    table.add_column("decoder", overflow="fold")
    for block in blocks:
        table.add_column(str(block), justify="right", no_wrap=block.fold is None)
    rows: dict[str, dict[Block, Sight]] = {}
    for sight in sights:
        rows.setdefault(sight.label, {})[sight.block] = sight
    shown = _fitting(rows, max(3, height - 8))
    for label in shown:
        table.add_row(Text(visible(label)), *(_cell(rows[label].get(block)) for block in blocks))
    lines = [Text(visible(summary(sights, at_once)))]
    if len(shown) < len(rows):
        lines.insert(0, Text(f"{len(rows) - len(shown)} more decoders are not shown", style="dim"))
    return Group(table, *lines)


def _fitting(rows: dict[str, dict[Block, Sight]], most: int) -> list[str]:
    if len(rows) <= most:
        return list(rows)
    busy = {label for label, row in rows.items() if any(s.status.state in ("running", "failed") for s in row.values())}
    chosen = sorted(rows, key=lambda label: label not in busy)[:most]
    return [label for label in rows if label in set(chosen)]


def _legend(sights: Sequence[Sight]) -> str:
    """Return what the cells mean, of those that are there."""
    said = {
        "finished": f"validation {MIOU.label} of a finished run",
        "running": f"epochs done/asked for · {MIOU.label} so far",
        "interrupted": "stopped at: to be taken up again",
    }
    states = {sight.status.state for sight in sights}
    return "; ".join(text for state, text in said.items() if state in states)


def _cell(sight: Sight | None) -> Text:
    if sight is None:
        return Text("–", style="dim")
    state = sight.status.state
    if state == "finished" and sight.miou is not None:
        text = f"{sight.miou:.3f}"
    elif state in ("running", "interrupted") and sight.epochs is not None:
        text = f"{'' if state == 'running' else 'stopped at '}{sight.epoch}/{sight.epochs}"
        text += f" · {sight.miou:.3f}" if sight.miou is not None and state == "running" else ""
    else:
        text = {"running": "starting"}.get(state, state)
    return Text(text, style=_STYLES[state])
