"""What the runs of a part cost, and their scores that are described and not tested."""

from collections.abc import Callable, Iterable, Sequence

from noise_floor_measured import Row, score_of

from segup.ablation.comparison import TIMED
from segup.ablation.markup import code, pipes
from segup.ablation.tables import COSTS, score_text
from segup.statistics import Spread, spread

GPU = "GPU "
"""How the name of a GPU begins in the column ``device``, so that it is told from a processor's."""
CPU = "a CPU"
"""Where a run was trained, if on no GPU."""
_MEMORY = "peak_memory_bytes"
_FURTHER = ("boundary_iou", "bf_score", "pixel_accuracy")
_TIMES = (
    " Times were measured in turns, once for all runs of a row, on a machine that was not always idle: compare them "
    "within a part, and roughly."
)


def costs(rows: Sequence[Row]) -> list[str]:
    """Return the section on costs and scores that are not tested, as Markdown."""
    places = by_place(rows)
    gpus = [place for place in places if place != CPU]
    columns = [column for column in COSTS if any(row.get(column.key) for row in rows)]
    if gpus:  # others ran on it at the same time
        columns = [column for column in columns if column.key not in TIMED]
    further = [score_of(f"{split}{name}") for split in ("", "test_") for name in _FURTHER
               if any(row.get(f"{split}{name}") for row in rows)]  # fmt: skip
    titles = ["operator", *(score.label for score in further), "more parameters", *(column.title for column in columns)]
    least = min((float(row["parameters"]) for row in rows if row.get("parameters")), default=0.0)
    on = f"on {', '.join(gpus)}, with other runs on it" if gpus else "on one thread of a CPU"
    timed = any(column.key in TIMED for column in columns)
    mixed = len(places) > len(gpus) > 0
    if mixed:  # a process's memory is not a GPU's
        rows = [row if (row.get("device") or "").startswith(GPU) else {**row, _MEMORY: ""} for row in rows]
    lines = [
        "### Costs and further scores",
        "",
        "Scores are described and not tested; where no *test* is said they are of the validation images. Costs are of "
        f"the whole model {on}: multiply-accumulates{' and latency' if timed else ''} of one training crop"
        f"{', a step of a batch,' if timed else ''} and the run's peak memory"
        f"{', of runs on a GPU alone' if mixed else ''}. "
        f"*More parameters*: than the row with the fewest.{_TIMES if timed else ' No times were measured in turns.'}",
        "",
        pipes(titles),
        f"|{'---|' * len(titles)}",
    ]
    for name, own in _finished(rows).items():
        cells = [_cell(own, score.name, score_text) for score in further]
        cells.append(_cell(own, "parameters", lambda value: f"{value.mean - least:,.0f}"))
        cells += [_cell(own, column.key, column.text) for column in columns]
        lines.append(pipes([code(name), *cells]))
    return [*lines, ""]


def by_place(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the runs by the GPU that trained them, or by "a CPU", whichever it was.

    >>> list(by_place([{"device": "Y Processor"}, {}, {"device": "GPU NVIDIA X"}]))
    ['NVIDIA X', 'a CPU']
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        device = row.get("device") or ""
        found.setdefault(device.removeprefix(GPU) if device.startswith(GPU) else CPU, []).append(row)
    return dict(sorted(found.items(), key=lambda place: (place[0] == CPU, place[0])))


def classes(rows: Sequence[Row]) -> list[str]:
    """Return the section on the IoU of each class on the test images; nothing where no run was scored on them."""
    columns = [key for key in rows[0] if key.startswith("test_iou/")]
    if not columns:
        return []
    lines = ["### IoU of each class on the test images", "", "Means over the seeds, described and not tested.", ""]
    lines += [pipes(["operator", *(key.partition("/")[2] for key in columns)]), f"|{'---|' * (1 + len(columns))}"]
    for name, own in _finished(rows).items():
        lines.append(pipes([code(name), *(_cell(own, key, lambda value: f"{value.mean:.3f}") for key in columns)]))
    return [*lines, ""]


def _finished(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the finished runs of each operator, in the order of the file."""
    names = dict.fromkeys(row["decoder"] for row in rows)
    return {name: [row for row in rows if row["decoder"] == name and row["state"] == "finished"] for name in names}


def _cell(rows: Iterable[Row], key: str, text: Callable[[Spread], str]) -> str:
    values = [float(row[key]) for row in rows if row.get(key)]
    return text(spread(values)) if values else "–"
