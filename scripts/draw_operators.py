"""Draw what one pixel of an operator's result depends on: ``python scripts/draw_operators.py RUN ... --out FILE.png``.

Each run's model looks at one validation image. In the step that reaches half of the image's size, the picture shows by
how much each cell of the map changes one pixel of the result: the norm of the derivatives over all channels, divided by
its largest value. A cross marks the pixel, by default one on the border of two classes. Made for docs/operators.md.
"""

import argparse
import io
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from draw_decoders import validation_data
from matplotlib.figure import Figure
from torch import Tensor

from segup.atomic import atomic_write, check_free
from segup.checkpoints import load_checkpoint
from segup.cli.report import run_reported
from segup.models import SegmentationModel
from segup.training.pictures import to_rgb
from segup.upsamplers import Upsampler

CHANNELS = 16
"""Of the result, whose derivatives are added."""


def main() -> int:
    arguments = _arguments()
    if not arguments.overwrite and (code := run_reported(lambda: check_free([arguments.out]))):
        return code
    sample = validation_data(arguments.runs[0]).sample("val", arguments.index)
    at = arguments.at or border_pixel(sample["mask"])
    reach = arguments.cells
    panels: list[tuple[str, Any, tuple[float, float], str | None]] = []
    for run in arguments.runs:
        model = load_checkpoint(run / "last.ckpt").model.eval()
        up, x, size, guides = half_step(model, sample["image"][None])
        pixel = at[0] // 2, at[1] // 2
        place = tuple(
            (place + 0.5) * low / high - 0.5 for place, low, high in zip(pixel, x.shape[-2:], size, strict=True)
        )
        heat = influence(up, x, size, guides, pixel)
        top, left = (round(middle) - reach for middle in place)
        window = np.pad(heat.numpy(), reach)[top + reach : top + 3 * reach + 1, left + reach : left + 3 * reach + 1]
        panels.append((up.name, window / window.max(), (place[1] - left, place[0] - top), "Greys"))
    side = 4 * reach + 2
    view = np.pad(to_rgb(sample["image"].numpy()), ((side, side), (side, side), (0, 0)))
    view = view[at[0] : at[0] + 2 * side, at[1] : at[1] + 2 * side]
    panels.insert(0, ("the image there", view, (side, side), None))

    columns = min(6, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(columns * 1.9, rows * 2.1), layout="constrained")
    for axes, (title, picture, (across, down), colors) in zip(
        figure.subplots(rows, columns).flat, panels, strict=False
    ):
        axes.imshow(picture, interpolation="nearest", cmap=colors, vmin=0, vmax=1)
        axes.plot(across, down, "+", color="tab:red", markersize=9, markeredgewidth=1.5)
        axes.set_title("\n".join(textwrap.wrap(title, 21)), fontsize=9)
    for axes in figure.axes:
        axes.set(xticks=[], yticks=[], frame_on=bool(axes.images))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    atomic_write(arguments.out, buffer.getbuffer())
    print(arguments.out)
    return 0


def border_pixel(mask: Tensor) -> tuple[int, int]:
    """Return the pixel nearest to the middle whose right neighbour has another class."""
    rows, columns = torch.nonzero(mask[:, 1:] != mask[:, :-1], as_tuple=True)
    middle = (mask.shape[0] / 2, mask.shape[1] / 2)
    nearest = int(((rows - middle[0]).square() + (columns - middle[1]).square()).argmin())
    return int(rows[nearest]), int(columns[nearest])


def half_step(model: SegmentationModel, image: Tensor) -> tuple[Upsampler, Tensor, tuple[int, int], dict[str, Any]]:
    """Return the operator whose result has half of the image's size, and what it is called with."""
    calls: list[tuple[Upsampler, Tensor, tuple[int, int], dict[str, Any]]] = []

    def keep(up: Any, given: Any, named: Any) -> None:
        size = given[1] if len(given) > 1 else named.pop("size")
        calls.append((up, given[0], size, {name: value for name, value in named.items() if name != "joins"}))

    for module in model.modules():
        if isinstance(module, Upsampler):
            module.register_forward_pre_hook(keep, with_kwargs=True)
    with torch.no_grad():
        model(image)
    return min(calls, key=lambda call: abs(call[2][0] - image.shape[-2] / 2))


def influence(
    up: Upsampler, x: Tensor, size: tuple[int, int], guides: dict[str, Any], pixel: tuple[int, int]
) -> Tensor:
    """Return ``(h, w)``: the norm of the derivatives of one pixel's channels by those of each cell."""
    x = x.detach().requires_grad_()
    y = up(x, size, **guides)
    total = torch.zeros(x.shape[-2:])
    for channel in range(min(y.shape[1], CHANNELS)):
        (gradient,) = torch.autograd.grad(y[0, channel, pixel[0], pixel[1]], x, retain_graph=True)
        total += gradient[0].square().sum(0)
    return total.sqrt()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders trained on one data set")
    parser.add_argument("--index", type=int, default=0, help="which validation image; the first by default")
    parser.add_argument("--at", type=int, nargs=2, metavar=("ROW", "COLUMN"), help="which pixel of the image")
    parser.add_argument("--cells", type=int, default=6, help="cells that are shown on each side of the pixel's")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    parser.add_argument("--overwrite", action="store_true", help="replace the picture")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
