"""Compare predicting a folder with a plain loop: ``python scripts/benchmark_predict.py``.

The same JPEG files are segmented by segmentation_models_pytorch's Unet in a plain loop (read, run, write class ids and
overlay), by ``segup predict``'s code with segup's U-Net of the same encoder and widths, by its optimised copy, and by
its exported files. They take turns in one process. Needs the extras ``compare`` and ``export``.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from benchmark_training import ENCODERS, WIDTHS, their_unet
from measuring import alternate
from PIL import Image

from segup import create_model
from segup.data.labels import Labels
from segup.evaluation.plan import plan
from segup.evaluation.predict import overlay, predict_files
from segup.evaluation.segment import Predictor
from segup.export import export_model, open_exported

LABELS = Labels(("soil", "leaf", "ear"))


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    height, width = arguments.size
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.images} images {height}×{width}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = write_images(folder / "images", arguments.images, (height, width))
        model = create_model(arguments.encoder, "unet", "deconv", num_classes=3, widths=WIDTHS, pretrained=False).eval()
        model.to(memory_format=torch.channels_last)
        exported = [
            open_exported(export_model(model, folder / name).path, trust=True) for name in ("model.onnx", "model.pt2")
        ]
        names = ["SMP, a plain loop", "segup", "segup, optimize()", "segup, model.onnx", "segup, model.pt2"]
        opened: list[Predictor] = [model, model.optimize(), *exported]
        runs = [plain_loop(arguments.encoder, files, folder / "out")]
        runs += [predicts(one, folder) for one in opened]
        found = alternate(runs, arguments.rounds, torch.device("cpu"))
    for name, times in zip(names, found, strict=True):
        spread = f"{times.median:6.1f} s ({times.low:.1f} … {times.high:.1f})"
        print(f"{name:>20}  {spread}  {found[0].median / times.median:.2f} × the plain loop")


def write_images(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """Write smooth random pictures, which JPEG stores as it stores photographs."""
    folder.mkdir()
    files = [folder / f"{number:03}.jpg" for number in range(count)]
    for number, file in enumerate(files):
        coarse = np.random.default_rng(number).integers(0, 256, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC).save(file, quality=90)
    return files


def plain_loop(encoder: str, files: list[Path], out: Path) -> Callable[[], None]:
    """Return a loop over SMP's Unet as one writes it, one image after the other."""
    model = their_unet(encoder).eval().to(memory_format=torch.channels_last)
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    out.mkdir()

    def run() -> None:
        for file in files:
            pixels = np.asarray(Image.open(file).convert("RGB"))
            image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
            height, width = image.shape[-2:]
            image = torch.nn.functional.pad((image - mean) / std, (0, -width % 32, 0, -height % 32))
            with torch.inference_mode():
                logits = model(image.to(memory_format=torch.channels_last))[..., :height, :width]
            ids = logits[0].argmax(0).byte().numpy()
            Image.fromarray(ids).save(out / f"{file.stem}.png")
            drawn = overlay(pixels.transpose(2, 0, 1).astype(np.float32) / 255, ids, LABELS)
            Image.fromarray(drawn).save(out / f"{file.stem}_overlay.png")

    return run


def predicts(model: Predictor, folder: Path) -> Callable[[], None]:
    """Return what ``segup predict`` does once its model is open."""

    def run() -> None:
        tasks = plan([folder / "images"], folder / "predicted", overwrite=True)
        if failures := predict_files(model, LABELS, tasks):
            raise SystemExit("\n".join(failures))

    return run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="resnet18", choices=ENCODERS)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--size", type=int, nargs=2, default=(720, 960), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--rounds", type=int, default=3, help="after two rounds of warm-up (default: 3)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of torch and onnxruntime (default: 2)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
