"""Print the README's table from finished runs: ``python scripts/table_of_runs.py [--no-times] RUN RUN ...``.

One row for each upsampler: mean and standard deviation over its seeds of the last checkpoint's scores. ``--no-times``
leaves the times out, for runs that shared their machine.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

SCORES = ("decoder", "mIoU", "per seed", "Boundary IoU", "BF score", "checkerboard", "parameters", "MACs")
TIMES = ("step", "whole run")


def main() -> None:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    times = "--no-times" not in sys.argv
    for run in (word for word in sys.argv[1:] if word != "--no-times"):
        result = json.loads((Path(run) / "result.json").read_text())
        groups[result["config"]["decoder"]["upsampler"]].append(result)
    header = SCORES + TIMES if times else SCORES
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for name, results in groups.items():
        results.sort(key=lambda result: result["seed"])
        print(f"| {' | '.join(row(name, results)[: len(header)])} |")


def row(name: str, results: list[dict[str, Any]]) -> list[str]:
    """Return the cells of one decoder's row."""
    first = results[0]
    return [
        f"`{name}`",
        spread([r["last"]["miou"] for r in results]),
        ", ".join(f"{r['last']['miou']:.3f}" for r in results),
        spread([r["last"]["boundary_iou"] for r in results]),
        spread([r["last"]["bf_score"] for r in results]),
        checkerboard([r["checkerboard"]["mean"] for r in results]),
        f"{first['parameters']['total'] / 1e6:.2f} M",
        f"{first['macs']['total'] / 1e9:.2f} G",
        f"{median(r['step_seconds'] for r in results):.2f} s",
        f"{median(r['wall_seconds'] for r in results):.0f} s",
    ]


def spread(values: list[float]) -> str:
    """Return mean ± standard deviation, the mean alone for one value."""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{mean(values):.3f} ± {stdev(values):.3f}"


def checkerboard(figures: list[float | None]) -> str:
    """Return the mean figure; a dash where the operator has none, because what it does depends on the place."""
    measured = [figure for figure in figures if figure is not None]
    return f"{mean(measured):.2f}" if measured else "–"


if __name__ == "__main__":
    main()
