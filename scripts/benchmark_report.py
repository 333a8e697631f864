"""Time a study's report: read many generated runs, write tables, figures and the page.

    python scripts/benchmark_report.py [--runs 500] [--steps 225]

The runs are made up, with results and a metrics.csv as long as a real one's. They have no checkpoints: of those, a
report opens one for each row that it shows, whatever the number of runs.
"""

import argparse
import csv
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from segup.ablation.report import write_report
from segup.atomic import atomic_write
from segup.training.history import columns_of

OPERATORS = (
    "deconv", "deconv_matched", "bilinear", "nearest", "bicubic", "bilinear_additive", "pixel_shuffle", "carafe",
    "dysample", "fade", "sapa", "max_unpool",
)  # fmt: skip
CLASSES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
WIDTHS = (1, 2, 3, 5, 8, 12, 20)
COLUMNS = columns_of()


def make_study(folder: Path, runs: int, steps: int) -> Path:
    """Write a study of ``runs`` finished runs, as many seeds of every operator as that takes, and return its folder."""
    draw = random.Random(0)
    members = [(operator, seed) for seed in range(-(-runs // len(OPERATORS))) for operator in OPERATORS][:runs]
    for operator, seed in members:
        run = folder / operator / str(seed)
        run.mkdir(parents=True)
        result = _result(operator, seed, draw)
        (run / "result.json").write_text(json.dumps(result, indent=2))
        status = {"state": "finished", "started": 0.0, "ended": 240.0, "attempt": 1, "seconds": 240.0}
        (run / "status.json").write_text(json.dumps(status))
        _history(run / "metrics.csv", steps, result["last"]["miou"], draw)
    settings: dict[str, Any] = {
        "command": "train.py -m experiment=generated", "baseline": "deconv", "match": "none", "start": None,
        "config": {}, "decoders": {}, "members": [list(member) for member in members],
    }  # fmt: skip
    atomic_write(folder / "study.yaml", yaml.safe_dump(settings).encode())
    return folder


def _result(operator: str, seed: int, draw: random.Random) -> dict[str, Any]:
    place = OPERATORS.index(operator)
    miou = 0.6 + 0.004 * place + draw.gauss(0, 0.01)
    last = {
        "epoch": 15, "step": 225, "miou": miou, "iou": [min(1.0, miou + draw.gauss(0, 0.1)) for _ in CLASSES],
        "pixel_accuracy": miou + 0.1, "boundary_iou": miou - 0.1, "bf_score": miou - 0.05,
        "band_widths": list(WIDTHS), "band_iou": [miou * (1 - 0.4 / width) for width in WIDTHS],
    }  # fmt: skip
    uneven = draw.uniform(0, 0.1) * (place % 3)
    energy = [[1 - 3 * uneven, uneven], [uneven, uneven]]
    paths = (
        "decoder.blocks.0.up",
        "decoder.blocks.1.up",
        "decoder.blocks.2.up",
        "decoder.blocks.3.up",
        "decoder.final",
    )
    spectrum = [{"operator": path, "reduction": 2 ** (4 - i), "energy": energy} for i, path in enumerate(paths)]
    config = {
        "encoder": {"name": "efficientnet_lite0", "library": None, "pretrained": True, "options": {}},
        "decoder": {"topology": "unet", "upsampler": operator, "widths": None, "upsampler_options": {}},
        "data": {"name": "camvid", "classes": list(CLASSES), "crop_size": [360, 480], "batch_size": 8},
        "loss": {"name": "ce_dice"}, "optimizer": {"name": "adamw", "lr": 0.002}, "scheduler": {"name": "one_cycle"},
        "trainer": {"max_epochs": 15, "threads": 1}, "name": "generated", "seed": seed, "trust": [],
    }  # fmt: skip
    return {
        "name": "generated", "seed": seed, "classes": list(CLASSES), "last": last,
        "best": {**last, "miou": miou + 0.01},
        "checkerboard": {"mean": 3 * uneven, "operators": dict.fromkeys(paths, 3 * uneven), "spectrum": spectrum},
        "parameters": {"total": 4_000_000 + 100_000 * place},
        "macs": {"size": [360, 480], "total": 10**9 + 10**7 * place},
        "step_seconds": 0.9 + draw.gauss(0, 0.02), "inference_seconds": 0.1 + draw.gauss(0, 0.005),
        "peak_memory_bytes": 2**30 + draw.randrange(2**24), "wall_seconds": 240.0,
        "environment": {"packages": {"torch": "2.15.0"}, "threads": 1, "gpu": None, "processor": "generated"},
        "config": config,
    }  # fmt: skip


def _history(path: Path, steps: int, miou: float, draw: random.Random) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for step in range(1, steps + 1):
            share, validated = step / steps, step % 15 == 0
            scores = [miou * share**0.2 + draw.gauss(0, 0.003) for _ in COLUMNS[4:]] if validated else [""] * 7
            writer.writerow([step, step // 15, 0.002 * (1 - share), 2 - share + draw.gauss(0, 0.05), *scores])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=500, help="how many runs the study has")
    parser.add_argument("--steps", type=int, default=225, help="rows of each metrics.csv")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = make_study(Path(folder) / "generated", options.runs, options.steps)
        wall, processor = time.perf_counter(), time.process_time()
        page = write_report(study)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        size = page.stat().st_size / 1e6
    print(
        f"{options.runs} runs of {options.steps} steps: {wall:.1f} s, of the processor {processor:.1f} s; {size:.1f} MB"
    )


if __name__ == "__main__":
    main()
