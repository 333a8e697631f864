"""Draw one validation image through several runs: ``python scripts/draw_decoders.py RUN RUN ... --out FILE.png``.

Made for the README: the image and the truth, then each run's prediction with its errors marked.
"""

import argparse
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from segup.atomic import atomic_write, check_free
from segup.checkpoints import load_checkpoint
from segup.cli.report import run_reported
from segup.data import SegmentationData, create_data
from segup.metrics import SegmentationMetrics
from segup.models import predicted_labels
from segup.training.pictures import WRONG, colored, to_rgb


def validation_data(run: Path) -> SegmentationData:
    """Return the data of a run, ready to validate."""
    config = load_checkpoint(run / "last.ckpt").info["config"]
    data = create_data(config["data"], config["seed"])
    data.setup("validate")
    return data


def main() -> int:
    arguments = _arguments()
    if not arguments.overwrite and (code := run_reported(lambda: check_free([arguments.out]))):
        return code
    data = validation_data(arguments.runs[0])
    sample = data.sample("val", arguments.index)
    image, mask = sample["image"], sample["mask"].numpy()
    top, left, height, width = arguments.crop or (0, 0, *mask.shape)
    view = np.s_[top : top + height, left : left + width]

    panels: list[tuple[str, Any]] = [
        (sample["name"], to_rgb(image.numpy())[view]),
        ("truth", colored(mask, data.labels)[view]),
    ]
    for run in arguments.runs:
        model = load_checkpoint(run / "last.ckpt").model
        with torch.no_grad():
            prediction = predicted_labels(model(image[None]))[0]
        metrics = SegmentationMetrics(data.labels.num_classes, data.labels.ignore_index)
        metrics.update(prediction, sample["mask"])
        picture = colored(prediction.numpy(), data.labels)
        picture[(prediction.numpy() != mask) & (mask != data.labels.ignore_index)] = WRONG
        panels.append((f"{model.spec['upsampler']}: mIoU {metrics.compute()['miou']:.3f}", picture[view]))

    columns = 3
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(columns * 4, rows * (4 * height / width + 0.35) + 0.4), layout="constrained")
    for axes, (title, picture) in zip(figure.subplots(rows, columns, squeeze=False).flat, panels, strict=False):
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(title, fontsize=13)
    for axes in figure.axes:
        axes.set_axis_off()
    colors = dict(zip(data.labels.names, data.labels.colors, strict=True)) | {"wrong": WRONG}
    handles = [
        Patch(facecolor="#{:02x}{:02x}{:02x}".format(*color), edgecolor="black", linewidth=0.5, label=name)
        for name, color in colors.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=12, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    atomic_write(arguments.out, buffer.getbuffer())
    print(arguments.out)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders trained on one data set")
    parser.add_argument("--index", type=int, default=0, help="which validation image; the first by default")
    parser.add_argument(
        "--crop", type=int, nargs=4, metavar=("TOP", "LEFT", "HEIGHT", "WIDTH"), help="what is shown of it"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
