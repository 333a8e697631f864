"""Compare inference in torch and from an exported file: ``python scripts/benchmark_export.py``.

For each decoder the model as ``segup predict`` runs it, ``model.optimize()`` and the exported file in onnxruntime take
turns in one process, with the same images and threads. Times are medians with quartiles, ratios are those of medians
(below 1: faster than the model). Needs the extra ``export``.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import alternate
from torch import Tensor

from segup import create_model
from segup.export import export_model, open_exported
from segup.export.about import library
from segup.upsamplers import list_upsamplers

CARD = ("deconv", "deconv_matched", "bilinear", "pixel_shuffle")


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    cpu, (height, width) = torch.device("cpu"), arguments.size
    runtime = library("onnxruntime").__version__
    print(f"torch {torch.__version__}, onnxruntime {runtime}, {torch.get_num_threads()} threads")
    print(f"{arguments.encoder}, {arguments.batch}×3×{height}×{width}, {arguments.steps} runs each")
    print("| decoder | model | optimize() | ratio | onnxruntime | ratio |\n|---|---|---|---|---|---|")
    image = torch.rand(arguments.batch, 3, height, width).to(memory_format=torch.channels_last)
    for upsampler in arguments.upsampler:
        model = create_model(arguments.encoder, "unet", upsampler, num_classes=19, pretrained=False).eval()
        model.to(memory_format=torch.channels_last)
        with tempfile.TemporaryDirectory() as folder:
            file = export_model(model, Path(folder) / "model.onnx").path
            runs: list[Any] = [model, model.optimize(), open_exported(file)]
        with torch.inference_mode():
            eager, fast, exported = alternate([_call(run, image) for run in runs], arguments.steps, cpu)
        ratios = [one.median / eager.median for one in (fast, exported)]
        print(f"| `{upsampler}` | {eager} | {fast} | {ratios[0]:.2f} | {exported} | {ratios[1]:.2f} |", flush=True)


def _call(run: Callable[[Tensor], Tensor], image: Tensor) -> Callable[[], None]:
    def call() -> None:
        run(image)

    return call


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="efficientnet_lite0")
    parser.add_argument("--upsampler", nargs="+", default=CARD, choices=list_upsamplers(), metavar="NAME")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 320), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of torch and onnxruntime (default: 2)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
