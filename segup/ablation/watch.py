"""A study while it runs: where each run stands, the best so far and the time left, read from its files."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, TypedDict

from segup.ablation.block import Block
from segup.ablation.member import Status, member_path, read_status
from segup.errors import SegupError
from segup.metrics.scores import MIOU
from segup.stored import as_written, read_json, read_yaml
from segup.training.config import Times
from segup.training.rows import read_history


@dataclass(frozen=True)
class Sight:
    """One run at one moment.

    Args:
        label: Of its decoder.
        seed: The seed.
        status: Where it stands.
        epoch: Epochs done; None where that is not known.
        epochs: Epochs asked for.
        miou: The last validation's; None before the first.
        fold: On which it validates, where the data is in folds.
    """

    label: str
    seed: int
    status: Status
    epoch: int | None = None
    epochs: int | None = None
    miou: float | None = None
    fold: int | None = None

    @property
    def block(self) -> Block:
        """Seed and fold."""
        return Block(self.seed, self.fold)

    @property
    def done(self) -> float:
        """The share of its epochs that is done."""
        return (self.epoch or 0) / self.epochs if self.epochs else 0.0


_group: Any = TypedDict  # made of other groups
_Result = _group("_Result", {"last": _group("_Last", {MIOU.name: MIOU.stored})})
_Config = _group("_Config", {"trainer": _group("_Trainer", {"max_epochs": Times})})


class Watch:
    """Looks at runs of a study; a finished one is read once.

    Args:
        study: The study's folder.
        members: Label and seed of each run to look at, with its fold where the data is in folds.
    """

    def __init__(self, study: Path, members: Sequence[tuple[Any, ...]]) -> None:
        self._study, self._members = study, tuple(members)
        self._finished: dict[tuple[Any, ...], Sight] = {}
        self._epochs: dict[tuple[Any, ...], int] = {}

    def look(self) -> list[Sight]:
        """Return every run as it stands now."""
        return [self._finished.get(member) or self._look_at(member) for member in self._members]

    def add(self, members: Sequence[tuple[Any, ...]]) -> None:
        """Look at further runs, too."""
        self._members += tuple(members)

    def _look_at(self, member: tuple[Any, ...]) -> Sight:
        label, block = member[0], Block(*member[1:])
        sight = partial(Sight, label, block.seed, fold=block.fold)
        folder = member_path(self._study, *member)
        try:
            status = read_status(folder)
        except SegupError as cause:
            return sight(Status("failed", str(cause)))
        if status.state == "finished":
            result = _read(folder / "result.json", lambda file: as_written(_Result, read_json(file), file))
            if result is None:
                return sight(status)
            self._finished[member] = sight(status, miou=result["last"][MIOU.name])
            return self._finished[member]
        if status.state not in ("running", "interrupted"):
            return sight(status)
        rows = _read(folder / "metrics.csv", read_history)
        if member not in self._epochs:
            config = _read(folder / "config.yaml", lambda file: as_written(_Config, read_yaml(file), file))
            if config is not None:
                self._epochs[member] = config["trainer"]["max_epochs"]
        epochs = self._epochs.get(member)
        if rows is None or epochs is None:
            return sight(status)
        column = f"val/{MIOU.name}"
        validated = [row for row in rows if row.get(column)]
        last: Mapping[str, str] = validated[-1] if validated else {}
        epoch, miou = (int(last["epoch"]) + 1, float(last[column])) if last else (0, None)
        return sight(status, epoch, epochs, miou)


def _read(file: Path, how: Callable[[Path], Any]) -> Any:
    """Return what ``how`` reads from the file, or None where there is none, or none that it can read."""
    try:
        return how(file)
    except (FileNotFoundError, SegupError):  # asked first, it may be gone when it is opened: a retried run's folder is
        return None


def best_so_far(sights: Sequence[Sight]) -> tuple[str, float, int] | None:
    """Return the label with the best mean mIoU, that mean, and how many seeds it is of.

    Means are taken over the seeds, or seeds and folds, that every label has finished which has finished any; None where
    there is none.
    """
    scores: dict[str, dict[Block, float]] = {}
    for sight in sights:
        if sight.status.state == "finished" and sight.miou is not None:
            scores.setdefault(sight.label, {})[sight.block] = sight.miou
    common = set.intersection(*map(set, scores.values())) if scores else set()
    if not common:
        return None
    means = {label: fmean(own[block] for block in common) for label, own in scores.items()}
    label = max(means, key=lambda name: means[name])
    return label, means[label], len({block.seed for block in common})


def seconds_left(sights: Sequence[Sight], at_once: int = 1, now: float | None = None) -> float | None:
    """Return about how long it takes until all have ended; None as long as nothing tells.

    A run is taken to last as long as the finished ones of its decoder, or as all finished ones, or as the running ones
    will at their present pace.

    Args:
        sights: Every run.
        at_once: How many are trained at a time.
        now: Seconds since 1970; the present by default.
    """
    now = time.time() if now is None else now
    lasted: dict[str, list[float]] = {}
    for sight in sights:
        if sight.status.state == "finished":
            lasted.setdefault(sight.label, []).append(sight.status.seconds)
    paces = [
        (now - sight.status.started) / sight.done
        for sight in sights
        if sight.status.state == "running" and sight.status.started is not None and sight.done > 0
    ]
    every = [seconds for values in lasted.values() for seconds in values] or paces
    if not every:
        return None
    left, longest = 0.0, 0.0
    for sight in sights:
        whole = fmean(lasted.get(sight.label) or every)
        if sight.status.state == "running":
            lasts = 0.0 if sight.status.started is None else now - sight.status.started
            rest = max(0.0, whole - lasts)
        elif sight.status.state in ("waiting", "interrupted"):
            rest = whole * (1 - sight.done)
        else:
            continue
        left, longest = left + rest, max(longest, rest)
    return max(left / at_once, longest)
